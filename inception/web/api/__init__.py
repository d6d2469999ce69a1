"""Named API endpoints: typed arguments, their checks, documentation and code snippets."""
