"""Parts of the page as HTML: one module a panel."""
