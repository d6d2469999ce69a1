"""Views of a branch as a picture. A module of its own, as `--help` must not wait for NumPy."""

from __future__ import annotations

# By name, what each shows, as the API says it.
VIEW_CONTENTS = {"channels": "all channels side by side", "mean": "their mean", "photo": "that mean over the photo"}
VIEWS = tuple(VIEW_CONTENTS)
