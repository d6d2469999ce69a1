"""Checks of payloads by component: type, length, choices, range and finiteness, before any work is done.

The components declare what is allowed: `max_length` of a `gr.Textbox`, `minimum` and `maximum` of a `gr.Number`, the
choices of a `gr.Radio`. The API's endpoints and the page's own events are checked by the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from ...checks import choice, is_whole, whole
from ...errors import UserError, quoted
from ...explain.registry import MAX_CHANNELS, Argument, listed
from ..http.upload_paths import is_uploaded
from ..photo_input import PhotoInput, foreign_file_error

PATH_LETTERS = 4096
MOST = 10**9  # of a number whose component has a `minimum` and no `maximum`


def may_be_null(component: Component, *, is_endpoint: bool) -> bool:
    """Return whether null is allowed for a component: if the page was built with it empty.

    On the page a visitor can also empty a number field, while an endpoint needs the number.
    """
    if isinstance(component, gr.Number):
        return not is_endpoint
    return not isinstance(component, gr.Dataset) and component.value in (None, "", [])


def checked(component: Component, what: str, value: Any, *, may_be_null: bool = False) -> Any:
    """Return the payload of a component in the form in which Gradio takes it.

    Args:
        component: of one of the types below; what it allows is read from it, or its attribute `own_check` says.
        what: how the error calls the argument.
        value: JSON, as it was parsed.
        may_be_null: whether null stands for nothing: an empty text or list, or no photo, choice or number.

    Raises:
        UserError: if it is not allowed.
        gr.Error: if it is a photo that was not sent to this server.
        TypeError: for a component of another type.
    """
    if component.stateful:
        return None  # Gradio takes it from the session
    if (own_check := getattr(component, "own_check", None)) is not None:
        return own_check(what, value)
    if value is None and may_be_null:
        if isinstance(component, gr.Textbox):
            return ""
        return [] if isinstance(component, gr.CheckboxGroup | gr.JSON) else None
    match component:
        case PhotoInput():
            return _photo(what, value)
        case gr.Number() | gr.Slider():
            bounds = (component.minimum, component.maximum)
            least, most = (None if bound is None else int(bound) for bound in bounds)
            most = MOST if most is None and least is not None else most
            return Argument("", "", name=what, type=int, minimum=least, maximum=most).check(value)
        case gr.Dataset():
            return whole(what, value, 0, len(component.raw_samples) - 1)
        case gr.CheckboxGroup():
            several = tuple(allowed for _, allowed in component.choices)
            return Argument("", "", name=what, type=Sequence[str], choices=several).check(value)
        case gr.Radio() | gr.Dropdown():
            return _one(what, value, [allowed for _, allowed in component.choices])
        case gr.Checkbox():
            return _flag(what, value)
        case gr.JSON():
            return Argument("", "", name=what, type=Sequence[int], max_length=MAX_CHANNELS).check(value)
        case gr.Textbox():
            return Argument("", "", name=what, max_length=component.max_length).check(value)
        case _:
            raise TypeError(f"There is no check for a {type(component).__name__}.")


def _one(what: str, value: Any, allowed: Sequence[Any]) -> Any:
    if all(isinstance(one, str) for one in allowed):
        return choice(what, value, allowed)
    # The numbers of classes.
    if not is_whole(value) or value not in allowed:
        raise UserError(
            "choice",
            "{what} is {value}; it must be one of: {allowed}.",
            what=what,
            value=quoted(value),
            allowed=listed(allowed),
        )
    return value


def _flag(what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UserError("argument_flag", "{what} is {value}; it must be true or false.", what=what, value=quoted(value))
    return value


def _photo(what: str, value: Any) -> dict[str, Any]:
    """A file that was uploaded to this server, or a `data:` address, in Gradio's form."""
    path, url = (value.get("path"), value.get("url")) if isinstance(value, dict) else (None, None)
    form = {"meta": {"_type": "gradio.FileData"}}
    if isinstance(url, str) and url.startswith("data:"):
        return {**form, "url": url}
    if not isinstance(path, str) or len(path) > PATH_LETTERS:
        raise UserError(
            "argument_photo",
            "{what} is {value}; it must be {form}. Please send the photo to {upload}, whose answer is the path.",
            what=what,
            value=quoted(value),
            form='{"path": "…", "meta": {"_type": "gradio.FileData"}}',
            upload="/gradio_api/upload",
        )
    if not is_uploaded(path):
        raise foreign_file_error()
    return {**form, "path": path}
