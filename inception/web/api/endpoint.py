"""Endpoint: a function that programs call without a session, with a declaration of each argument.

The API's information, its OpenAPI description, the MCP tools and the checks all read the same declarations.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args, get_origin, get_type_hints

import gradio as gr
from gradio.components import Component

from ...explain.registry import Argument, described, sentence
from ..class_input import ClassInput
from ..photo_input import PhotoInput

# Of the arguments with choices, those that are drop-down menus on the page: the API's information says so.
MENUS = frozenset({"model", "other_model", "colours"})


class Photo(str):
    """Type of an argument that is a photo: each kind of client sends it in its own way."""

    __slots__ = ()


@dataclass(frozen=True)
class Endpoint:
    """A function for callers; its docstring says what it does and, behind `Returns:`, what it returns.

    Args:
        inputs: a declaration for each parameter, in their order; names come from the signature.
        outputs: the components of the results.
        is_tool: whether assistants get it as an MCP tool.
    """

    function: Callable[..., Any]
    inputs: Sequence[Argument]
    outputs: Sequence[Component]
    is_tool: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def description(self) -> str:
        """Description of the endpoint and of its result, without the arguments."""
        what, returned = described(self.function)
        return f"{what} Returns: {returned}."

    @property
    def returned(self) -> str:
        """Description of the result, as a sentence."""
        return sentence(described(self.function)[1])

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """The arguments in order; those without a default are required."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(
            replace(
                argument,
                name=parameter.name,
                required=argument.default is None and parameter.default is inspect.Parameter.empty,
            )
            for argument, parameter in zip(self.inputs, parameters, strict=True)
        )

    @property
    def result_types(self) -> tuple[Any, ...]:
        """The type of each result, in the order of `outputs`."""
        hint = get_type_hints(self.function)["return"]
        return get_args(hint) if get_origin(hint) is tuple else (hint,)


def is_photo(argument: Argument) -> bool:
    """Whether an argument is a photo."""
    return argument.type is Photo


def add_to_page(endpoints: Sequence[Endpoint]) -> None:
    """Add endpoints to the page that is being built, with hidden components; equal arguments share one."""
    components: dict[str, Component] = {}

    def component(argument: Argument) -> Component:
        key = repr(replace(argument, help="", required=False))
        if key not in components:
            components[key] = _component(argument)
        return components[key]

    for endpoint in endpoints:
        # A hidden button is how Gradio gives components' types and upload checks to a function.
        gr.Button(visible=False).click(
            endpoint.function,
            [component(argument) for argument in endpoint.arguments],
            list(endpoint.outputs),
            api_name=endpoint.name,
            api_description=endpoint.description,
            api_visibility="public",
        )


def _component(argument: Argument) -> Component:
    """The hidden component by which Gradio describes an argument and `arguments.checked` checks it."""
    shown: dict[str, Any] = {"visible": False, "label": argument.label}
    if is_photo(argument):
        return PhotoInput(**shown)
    if argument.type == Sequence[int]:
        return gr.JSON(value=argument.default, **shown)
    if argument.is_list:
        return gr.CheckboxGroup(list(argument.choices), value=argument.default, **shown)
    if argument.type is int:
        # A range that depends on other arguments is not Gradio's to check.
        bounds = {} if argument.maximum is None else {"minimum": argument.minimum, "maximum": argument.maximum}
        return gr.Number(argument.default, precision=0, **bounds, **shown)
    if argument.choices:
        kind = gr.Dropdown if argument.name in MENUS else gr.Radio
        return kind(list(argument.choices), value=argument.default, **shown)
    kind = ClassInput if argument.type == str | int else gr.Textbox
    return kind(value=argument.default, max_length=argument.max_length, **shown)
