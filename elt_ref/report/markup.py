"""HTML as a tree; text is escaped, whatever characters it contains."""

import html as html_library
from xml.etree.ElementTree import Element, tostring

from elt_ref.literal import visible


def element(tag: str, *content: str | Element, **attributes: str) -> Element:
    """Return an HTML element.

    Args:
        tag: Its name, such as ``"td"``.
        *content: Text and child elements, in order.
        **attributes: Its attributes; ``class_`` stands for ``class`` and ``aria_label`` for ``aria-label``.
    """
    node = Element(tag, {name.rstrip("_").replace("_", "-"): visible(value) for name, value in attributes.items()})
    for part in content:
        if isinstance(part, Element):
            node.append(part)
        elif len(node):
            node[-1].tail = (node[-1].tail or "") + visible(part)
        else:
            node.text = (node.text or "") + visible(part)
    return node


def escaped(text: str) -> str:
    """Return a text to stand in HTML as it is."""
    return html_library.escape(visible(text))


def html(*elements: Element) -> str:
    """Return elements as HTML, one per line, with every text and attribute escaped."""
    return "\n".join(tostring(node, encoding="unicode", method="html") for node in elements)
