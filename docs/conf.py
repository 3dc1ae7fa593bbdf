"""The site: ``sphinx-build -W --keep-going docs docs/_build/html`` makes it out of docs/, specs/*.md and docstrings."""

import os
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))  # for site_pages and api_text, which only this configuration needs
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the commands set it; chapters are executed with it

PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]
project, version = PROJECT["name"], PROJECT["version"]
copyright = "the elt_ref authors, Apache-2.0"  # noqa: A001  Sphinx reads this name

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "site_pages", "api_text"]
exclude_patterns = ["_build", "ports", "port-reports", "pictures"]
html_extra_path = sorted(path.name for path in DOCS.glob("explore*.html"))

myst_heading_anchors = 4
nb_execution_mode = "cache"  # a chapter is executed again when its cells change
nb_execution_cache_path = str(DOCS / "_build" / "executed")
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

suppress_warnings = ["ref.python"]  # the words of a shape, as in "batch tokens", are no names
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 100
default_role = "code"

html_theme = "furo"
html_title = "elt_ref"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
templates_path = []

linkcheck_timeout = 20
linkcheck_anchors = False
