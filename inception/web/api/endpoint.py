"""Endpoints: functions that programs call without a session, and what each says of its arguments.

Names, descriptions and types are read from the function and its components, once for the API's information, its
OpenAPI description and the MCP tools.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from gradio.components import Component
from gradio.utils import get_function_description, get_function_params
from pydantic import Field, TypeAdapter, ValidationError

from ...errors import ChoiceError, UserError, quoted
from ...network.blocks import BLOCKS
from ..photo_input import PhotoInput

WIDEST = max(n1x1 + n3x3[-1] + n5x5[-1] + pool for _, n1x1, n3x3, n5x5, pool in BLOCKS.values())

# Types of arguments with bounds that their components do not know.
Index = Annotated[int, Field(ge=0)]
Indices = Annotated[list[Index], Field(max_length=WIDEST)]
ClassCount = Annotated[int, Field(ge=1, le=1000)]


@dataclass(frozen=True)
class Argument:
    """One argument of an endpoint.

    Args:
        sentence: what it is, for people.
        type: its type as the function annotates it, with the bounds of its component.
        choices: the values allowed; none where any value of the type is.
        required: whether a caller must give it; otherwise `default` holds.
        is_photo: whether it is a photo, which each kind of client sends in its own way.
    """

    name: str
    sentence: str
    type: Any
    choices: tuple[str, ...]
    required: bool
    default: Any
    is_photo: bool

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its value."""
        schema = TypeAdapter(self.type).json_schema()
        if self.choices:
            single = schema["items"] if schema["type"] == "array" else schema
            single["enum"] = list(self.choices)
        return schema

    def checked(self, value: Any) -> Any:
        """A caller's value as the function takes it.

        Raises:
            UserError: if it is of another type, or out of bounds.
            ChoiceError: if it is not among `choices`.
        """
        try:
            checked = TypeAdapter(self.type).validate_python(value)
        except ValidationError as error:
            why = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
            raise UserError(
                "argument", "{name} is {value}. {why}.", name=self.name, value=quoted(value), why=why
            ) from error
        for one in checked if isinstance(checked, list) else [checked]:
            if self.choices and one not in self.choices:
                raise ChoiceError(self.name, one, self.choices)
        return checked


@dataclass(frozen=True)
class Endpoint:
    """A function for callers, which gives the name, the description and the types of what it takes and returns.

    Gradio reads an argument's description from one line of the docstring, so it must fit there.

    Args:
        inputs: the components by which Gradio checks and converts the arguments, in their order.
        outputs: those for the results.
        examples: values for arguments without a default, by name; a photo brings its own.
    """

    function: Callable[..., Any]
    inputs: Sequence[Component]
    outputs: Sequence[Component]
    examples: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def description(self) -> str:
        """What it does and what it returns, without the arguments."""
        what, _, returned = get_function_description(self.function)
        return f"{what} Returns: {' '.join(returned)}."

    @property
    def returned(self) -> str:
        """What it returns, as a sentence."""
        return _sentence(" ".join(get_function_description(self.function)[2]))

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """The arguments in their order."""
        described = get_function_description(self.function)[1]
        hints = get_type_hints(self.function, include_extras=True)
        optional = {name for name, has_default, *_ in get_function_params(self.function) if has_default}
        return tuple(
            _argument(name, described[name], hints[name], component, name in optional)
            for name, component in zip(described, self.inputs, strict=True)
        )

    @property
    def result_types(self) -> tuple[Any, ...]:
        """The type of each result, in the order of `outputs`."""
        hint = get_type_hints(self.function)["return"]
        return get_args(hint) if get_origin(hint) is tuple else (hint,)


def _argument(name: str, description: str, hint: Any, component: Component, optional: bool) -> Argument:
    default = component.get_config().get("value")
    return Argument(
        name,
        _sentence(description),
        _bounded(hint, component),
        tuple(value for _, value in getattr(component, "choices", None) or ()),
        # As Gradio has it: a component's value is the argument's default.
        required=default is None and not optional,
        default=default,
        is_photo=isinstance(component, PhotoInput),
    )


def _bounded(hint: Any, component: Component) -> Any:
    names = {"ge": "minimum", "le": "maximum", "max_length": "max_length"}
    bounds = {bound: getattr(component, name, None) for bound, name in names.items()}
    return Annotated[hint, Field(**{bound: value for bound, value in bounds.items() if value is not None})]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
