"""Declarations: an explanation and its arguments, from which the command line, the API and its tools follow.

Imports neither torch nor any interface, so that `--help` can list the explanations at once. The declared explanations
are in `inception.explain.catalogue`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, get_args, get_origin

from ..checks import choice, is_integral, is_whole, whole
from ..errors import UserError, quoted

if TYPE_CHECKING:
    from ..prediction import Prediction
    from ..pretrained.pretrained import PretrainedModel

CHOICES_SHOWN = 20  # in an error
TEXT_CHARACTERS = 4096  # of a text without a `max_length`

Value = TypeVar("Value")


@dataclass(frozen=True)
class Argument:
    """One argument: what it is and which values are allowed. Put it into the `Annotated` of a parameter.

    Args:
        label: a short title, for a form.
        help: a phrase that says what it is, without a full stop.
        choices: the values that a text (or each text of a list) may have; empty where any is allowed.
        minimum: of a whole number, or of each number of a list.
        maximum: of a whole number. Without it the function itself checks the range, which depends on other arguments.
        max_length: characters of a text, or items of a list of numbers.
        option: name on the command line, if it is not `name`.
        example: a value for an error; `default` if there is none.
        metavar: how the command line's help calls one text of a list.
        name, type, default: of the parameter; `declared` reads them from the signature. `type` is `str`, `int`,
            `str | int` (a number stays one), `Sequence[str]` or `Sequence[int]`.
        required: whether a caller must send it.
    """

    label: str
    help: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    max_length: int | None = None
    option: str | None = None
    example: Any = None
    metavar: str = "NAME"
    name: str = ""
    type: Any = str
    default: Any = None
    required: bool = False

    @property
    def sentence(self) -> str:
        """`help` as a sentence."""
        return sentence(self.help)

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return get_origin(self.type) is Sequence

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its value."""
        if self.is_list:
            single = replace(self, type=get_args(self.type)[0], max_length=None)
            bound = {} if self.max_length is None else {"maxItems": self.max_length}
            unique = {"uniqueItems": True} if self.choices else {}
            return {"type": "array", "items": single.schema, **bound, **unique}
        bounds = {"minimum": self.minimum, "maximum": self.maximum, "maxLength": self.max_length}
        return {
            "type": "integer" if self.type is int else "string",
            **({"enum": list(self.choices)} if self.choices else {}),
            **{name: bound for name, bound in bounds.items() if bound is not None},
        }

    def check(self, value: Any) -> Any:
        """Return a value from outside (parsed JSON) as the function takes it.

        Raises:
            UserError, ChoiceError: if it is of another type or not allowed.
        """
        if self.is_list:
            return self._numbers(value) if get_args(self.type) == (int,) else self._several(value)
        if self.type is int:
            return self._number(value)
        return choice(self.name, value, self.choices) if self.choices else self._text(value)

    def _number(self, value: Any) -> int:
        if self.maximum is not None:
            return whole(self.name, value, self.minimum or 0, self.maximum)
        if not is_integral(value):
            raise UserError(
                "argument_whole", "{what} is {value}; it must be a whole number.", what=self.name, value=quoted(value)
            )
        return int(value)

    def _several(self, value: Any) -> list[str]:
        if (
            not isinstance(value, list)
            or len(value) > len(self.choices)
            or any(one not in self.choices for one in value)
            or len(set(value)) < len(value)
        ):
            raise UserError(
                "argument_several",
                "{what} is {value}; it must be a list with any of: {allowed}, each at most once.",
                what=self.name,
                value=quoted(value),
                allowed=listed(self.choices),
            )
        return value

    def _numbers(self, value: Any) -> list[int]:
        assert self.max_length is not None
        if not isinstance(value, list) or len(value) > self.max_length or not all(map(is_whole, value)):
            raise UserError(
                "argument_numbers",
                "{what} is {value}; it must be a list of whole numbers, at most {most}, for instance [3, 17].",
                what=self.name,
                value=quoted(value),
                most=self.max_length,
            )
        return value

    def _text(self, value: Any) -> str | int:
        limit = self.max_length or TEXT_CHARACTERS
        if is_whole(value):
            if self.type == str | int:
                return int(value)
            value = str(value)
        if isinstance(value, str) and len(value) > limit:
            raise UserError(
                "argument_long",
                "{what} has {letters} characters; at most {limit} are allowed. Please send a shorter text.",
                what=self.name,
                letters=len(value),
                limit=limit,
            )
        if not isinstance(value, str) or not _is_unicode(value):
            raise UserError(
                "argument_text",
                "{what} is {value}; it must be a text of at most {limit} characters.",
                what=self.name,
                value=quoted(value),
                limit=limit,
            )
        return value


def listed(allowed: Sequence[Any]) -> str:
    """The allowed values for an error, at most `CHOICES_SHOWN`."""
    return ", ".join([*map(str, allowed[:CHOICES_SHOWN]), *(["…"] if len(allowed) > CHOICES_SHOWN else [])])


def sentence(text: str) -> str:
    """A phrase with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def _is_unicode(text: str) -> bool:
    """Whether a text can be encoded: JSON may hold lone surrogates, UTF-8 may not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# The names of blocks and branches repeat `network.blocks`, whose import loads torch; a test compares them.
BLOCK_NAMES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
BRANCH_NAMES = ("1x1", "3x3", "5x5", "pool")
ABLATIONS = ("zero", "mean")
ATTRIBUTIONS = ("grad_cam", "evidence", "occlusion", "integrated_gradients")
CLASS_LETTERS = 200  # of a class's name; the longest of ImageNet's has 121
CORE_SHARE = 0.9  # of the energy of an effective receptive field
MAX_CHANNELS = 1024  # of a block's output

BLOCK = Argument("Inception block", "which of the nine Inception blocks, 3a to 5b", choices=BLOCK_NAMES)
BRANCH = Argument("Branch", "which branch of the block", choices=BRANCH_NAMES, example="3x3")
CLASS_NAME = Argument(
    "Class: a name or number, empty for the most probable",
    "the class whose logit is explained, by name or number; empty for the most probable class",
    max_length=CLASS_LETTERS,
    option="class",
    type=str | int,
)
ABLATION = Argument(
    "What replaces the output of an ablated branch",
    "what replaces the output of a branch that is switched off: zero, or its mean over training photos",
    choices=ABLATIONS,
)
CHANNEL = Argument("Channel, counted from 0", "the channel within the branch, counted from 0", minimum=0, example=17)
ROW = Argument("Row, counted from 0", "row of the cell, counted from 0 at the top", minimum=0, example=4)
COLUMN = Argument("Column, counted from 0", "column of the cell, counted from 0 at the left", minimum=0, example=5)

Block = Annotated[str, BLOCK]
Branch = Annotated[str, BRANCH]
ClassName = Annotated[str | int, CLASS_NAME]
Ablation = Annotated[str, ABLATION]


class Result(Protocol):
    """What an explanation returns: a frozen dataclass."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold, always with the same keys."""


class Subject(Protocol):
    """A network and its exact prediction for one photo, to be explained."""

    @property
    def pretrained(self) -> PretrainedModel:
        """The network."""

    @property
    def prediction(self) -> Prediction:
        """Its prediction."""

    def compute(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Return `function(pretrained, prediction, *arguments)`."""

    def cached(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Return the same; a server may keep the result, or compute it in another process.

        `function` is a module's function and the arguments are hashable.
        """


@dataclass(frozen=True, eq=False)
class PhotoSubject:
    """A `Subject` in this process, without a cache."""

    pretrained: PretrainedModel
    prediction: Prediction

    def compute(self, function: Callable[..., Value], *arguments: Any) -> Value:
        return function(self.pretrained, self.prediction, *arguments)

    cached = compute


@dataclass(frozen=True)
class Explanation:
    """A declared explanation; call it with a `Subject` and its arguments.

    Args:
        function: its docstring describes the explanation and, behind `Returns:`, the plain data of the result.
        arguments: read from the signature.
        option: name on the command line: `--table`.
        key: of its result in the command line's JSON.
        position: order among the explanations, in lists and in the command line's answer.
        is_tool: whether assistants get it as an MCP tool.
        has_maps: whether the result has `signed_maps()`, maps (H, W) to lay over the photo, by the end of their files'
            names.
        is_slow: whether it takes seconds. The command line then draws its maps only where it is asked for by name.
        checker: raises for arguments that the network cannot take, before there is a photo.
    """

    function: Callable[..., Result]
    arguments: tuple[Argument, ...]
    option: str
    key: str
    position: int
    is_tool: bool
    has_maps: bool
    is_slow: bool
    checker: Callable[..., object] | None

    @property
    def name(self) -> str:
        """Name of the endpoint and the tool."""
        return self.function.__name__

    @property
    def summary(self) -> str:
        """One line for `--help`."""
        return inspect.cleandoc(self.function.__doc__ or "").partition("\n")[0]

    def __call__(self, subject: Subject, **arguments: Any) -> Result:
        return self.function(subject, **arguments)

    def check(self, pretrained: PretrainedModel, **arguments: Any) -> None:
        """Check the arguments that can be checked without a photo.

        Raises:
            UserError: if the network has no such block, branch, channel, cell or ablation.
        """
        if self.checker is not None:
            self.checker(pretrained, **arguments)


def explanation(
    *,
    option: str | None = None,
    key: str | None = None,
    position: int = 100,
    is_tool: bool = True,
    has_maps: bool = False,
    is_slow: bool = False,
    check: Callable[..., object] | None = None,
) -> Callable[[Callable[..., Result]], Explanation]:
    """Declare a function as an explanation; the arguments are those of `Explanation`, `option` is its name by default.

    Behind the subject it takes keywords whose types are `Annotated` with an `Argument`.
    """

    def declare(function: Callable[..., Result]) -> Explanation:
        name = option or function.__name__.replace("_", "-")
        return Explanation(
            function=function,
            arguments=declared(function),
            option=name,
            key=key or function.__name__,
            position=position,
            is_tool=is_tool,
            has_maps=has_maps,
            is_slow=is_slow,
            checker=check,
        )

    return declare


def declared(function: Callable[..., Any]) -> tuple[Argument, ...]:
    """The arguments of a function: its parameters whose types are `Annotated` with an `Argument`."""
    return tuple(
        replace(
            next(one for one in get_args(parameter.annotation) if isinstance(one, Argument)),
            name=parameter.name,
            type=get_args(parameter.annotation)[0],
            default=list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default,
        )
        for parameter in inspect.signature(function).parameters.values()
        if get_origin(parameter.annotation) is Annotated
    )


def described(function: Callable[..., Any]) -> tuple[str, str]:
    """What a function does and what it returns, each on one line, from its docstring."""
    what, _, returned = inspect.cleandoc(function.__doc__ or "").partition("Returns:")
    return " ".join(what.split()), " ".join(returned.split())
