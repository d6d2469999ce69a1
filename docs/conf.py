"""How Sphinx makes the site of this folder: `make docs`. A built page asks nobody but its own server for anything."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from inception import __version__

project = "InceptionLens"
html_title = "InceptionLens"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "scripts.docs_pages"]
exclude_patterns = ["conf.py"]

myst_heading_anchors = 4  # links to headings as on GitHub
default_role = "literal"  # `so` are names written in docstrings

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
