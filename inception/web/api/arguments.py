"""Checks of payloads by component: type, length, choices, range and finiteness, before any work is done.

The components declare what is allowed: `max_length` of a `gr.Textbox`, `minimum` and `maximum` of a `gr.Number`, the
choices of a `gr.Radio`. The stage's events bring checks of their own, which the components carry as `own_check`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from ...checks import choice
from ...errors import UserError, quoted
from ...explain.registry import MAX_CHANNELS, Argument
from ..class_input import ClassInput
from ..http.upload_paths import MAX_PATH, is_uploaded
from ..http.uploads import foreign_photo_error
from ..photo_input import PhotoInput


def may_be_null(component: Component) -> bool:
    """Return whether null is allowed for a component: if it is empty at first, and no number."""
    return not isinstance(component, gr.Number) and component.value in (None, "", [])


def checked(component: Component, what: str, value: Any, *, may_be_null: bool = False) -> Any:
    """Return the payload of a component in the form in which Gradio takes it.

    Args:
        component: of one of the types below; what it allows is read from it, or its attribute `own_check` says.
        what: how the error calls the argument.
        value: JSON, as it was parsed.
        may_be_null: whether null stands for nothing: an empty text or list, or no photo or choice.

    Raises:
        UserError: if it is not allowed, or a photo that was not sent to this server.
        TypeError: for a component of another type.
    """
    if (own_check := getattr(component, "own_check", None)) is not None:
        return own_check(what, value)
    if value is None and may_be_null:
        if isinstance(component, gr.Textbox):
            return ""
        return [] if isinstance(component, gr.CheckboxGroup | gr.JSON) else None
    match component:
        case PhotoInput():
            return _photo(what, value)
        case gr.Number():
            bounds = (component.minimum, component.maximum)
            least, most = (None if bound is None else int(bound) for bound in bounds)
            return Argument("", "", name=what, type=int, minimum=least, maximum=most).check(value)
        case gr.CheckboxGroup():
            several = tuple(allowed for _, allowed in component.choices)
            return Argument("", "", name=what, type=Sequence[str], choices=several).check(value)
        case gr.Radio() | gr.Dropdown():
            return choice(what, value, [allowed for _, allowed in component.choices])
        case gr.JSON():
            return Argument("", "", name=what, type=Sequence[int], max_length=MAX_CHANNELS).check(value)
        case gr.Textbox():
            kind = str | int if isinstance(component, ClassInput) else str
            return Argument("", "", name=what, type=kind, max_length=component.max_length).check(value)
        case _:
            raise TypeError(f"There is no check for a {type(component).__name__}.")


def _photo(what: str, value: Any) -> dict[str, Any]:
    """A file that was uploaded to this server, or a `data:` address, in Gradio's form."""
    path, url = (value.get("path"), value.get("url")) if isinstance(value, dict) else (None, None)
    form = {"meta": {"_type": "gradio.FileData"}}
    if isinstance(url, str) and url.startswith("data:"):
        return {**form, "url": url}
    if not isinstance(path, str) or len(path) > MAX_PATH:
        raise UserError(
            "argument_photo",
            "{what} is {value}; it must be {form}. Please upload the photo to {upload} below the page's address, which "
            "returns the path; in Python, send {python}.",
            what=what,
            value=quoted(value),
            form='{"path": "…", "meta": {"_type": "gradio.FileData"}}',
            upload="gradio_api/upload",
            python='handle_file("photo.jpg")',
        )
    if not is_uploaded(path):
        raise foreign_photo_error(path)
    return {**form, "path": path}
