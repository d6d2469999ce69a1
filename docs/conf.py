"""Sphinx configuration of the documentation site (`make docs`). Built pages load nothing from other servers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from inception import __version__

project = "InceptionLens"
html_title = "InceptionLens"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "scripts.docs_pages"]
exclude_patterns = ["conf.py"]

myst_heading_anchors = 4  # anchors of headings as on GitHub
default_role = "literal"  # `name` in docstrings is code

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 88

html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"font-stack": "system-ui, -apple-system, Segoe UI, sans-serif"},
    "dark_css_variables": {"font-stack": "system-ui, -apple-system, Segoe UI, sans-serif"},
}
