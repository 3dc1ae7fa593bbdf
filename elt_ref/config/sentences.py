"""What is wrong with a configuration, in one sentence; an unknown key comes with the nearest known one."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from elt_ref.config.schema import Config, DiffusionModelConfig, DriftingModelConfig, MaskedModelConfig
from elt_ref.errors import nearest

FAMILIES: dict[str, type[BaseModel]] = {
    "masked": MaskedModelConfig,
    "diffusion": DiffusionModelConfig,
    "drifting": DriftingModelConfig,
}


def sentence(error: ValidationError) -> str:
    """Return the first thing that is wrong: where, expected, got."""
    first = error.errors()[0]
    # Where a section comes in families, pydantic names the family too: model.masked.width.
    location = [str(part) for part in first["loc"]]
    named = location[:1] + location[2:] if location[:1] == ["model"] else location
    *sections, key = named or [""]
    place = ".".join([*sections, key])
    if first["type"] == "extra_forbidden":
        known = _fields_at(location[:-1])
        return f"{place}: expected one of {', '.join(known)}, got the unknown key '{key}'{nearest(key, known)}"
    if first["type"] == "missing":
        return f"{place}: expected a value, got none"
    if first["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        if not isinstance(first["input"], dict):
            return f"{place}: expected a section, got {first['input']!r}"
        got = first["input"]["family"]
        return f"{place}.family: expected one of {', '.join(FAMILIES)}, got {got!r}{nearest(str(got), FAMILIES)}"
    if first["type"] == "value_error":  # one of our own validators
        return _placed(first["msg"].removeprefix("Value error, "), place)
    return f"{place}: expected {_expectation(first)}, got {_short(first['input'])}"


def _expectation(error: Mapping[str, Any]) -> str:
    """Return what pydantic expected, in our words where its own name its types."""
    if error["type"] in {"model_type", "dict_type"}:
        return "a section"
    if error["type"] in {"too_short", "too_long"}:
        bounds = error["ctx"]
        return f"from {bounds.get('min_length', 0)} to {bounds.get('max_length', 'any number')} of them"
    return error["msg"].removeprefix("Input should be ").removeprefix("a valid ")


def _short(value: object) -> str:
    """Return a value as Python writes it, cut if it is long."""
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to write thousands of digits
        return f"about 2^{value.bit_length()}"
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _placed(sentence: str, place: str) -> str:
    """Return a validator's sentence, which may lack its field ("expected …") or its section ("field: expected …")."""
    if sentence.startswith("expected "):
        return f"{place}: {sentence}"
    return sentence if "." in sentence.split(":", maxsplit=1)[0] else f"{place}.{sentence}"


def _fields_at(location: Sequence[str]) -> list[str]:
    if location[:1] == ["model"]:
        return list(FAMILIES[location[1]].model_fields)
    model: type[BaseModel] = Config
    for section in location:
        annotation = model.model_fields[section].annotation
        candidates = (annotation, *getattr(annotation, "__args__", ()))
        model = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(model.model_fields)
