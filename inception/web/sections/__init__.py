"""Parts of the page with events of their own: one module a section."""
