"""Parameters that several commands share, and the values that a shell completes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..pretrained import names
from ..render import views
from .numbers import refused, with_default

YEAR_MINUTES = 525_600
MODELS, VIEWS = names.MODEL_NAMES, views.VIEWS
# These as in the modules that check them; those need torch, which neither `--help` nor completion must import.
DEVICES = ("auto", "cpu", "cuda", "mps")
BLOCKS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
VARIANTS = ("batchnorm", "googlenet", "torchvision")
SPLITS = ("train", "val", "test")
SCALES = ("shared", "branch", "channel")
COLOURS = ("magma", "inferno", "viridis", "cividis", "grey")

# `parser=str` and `parser=Path`: Typer's own types refuse names of bytes that are not UTF-8, and unreadable files.


def text_option(name: str, help: str, *, default: str = "", values: tuple[str, ...] = (), **more: Any) -> Any:
    """Return a Typer option for a text; a shell completes `values`, which the code behind the option checks."""
    complete = (lambda: list(values)) if values else None
    return typer.Option(name, parser=str, help=with_default(help, default), autocompletion=complete, **more)


def model_argument(metavar: str) -> Any:
    """A network by its name or path, as an argument."""
    about = "A name that `models` lists, or the path of a checkpoint."
    return typer.Argument(parser=str, metavar=metavar, help=about, autocompletion=lambda: list(MODELS))


def choice_option(name: str, values: tuple[str, ...], help: str, **more: Any) -> Any:
    """Return a Typer option for one of `values`, checked while parsing; its metavar lists them by default."""
    more = {"metavar": "|".join(values), **more}
    return typer.Option(name, parser=one_of(values), help=help, autocompletion=lambda: list(values), **more)


def one_of(values: tuple[str, ...]) -> Callable[[str], str]:
    """Return a parser of one of `values`."""

    def parse(text: str) -> str:
        if text not in values:
            raise refused(text, f"one of: {', '.join(values)}")
        return text

    return parse


def path_option(name: str, metavar: str, help: str, **more: Any) -> Any:
    """Return a Typer option for a path."""
    return typer.Option(name, parser=Path, metavar=metavar, help=help, **more)


def listed(values: tuple[str, ...]) -> str:
    """Return "a, b or c"."""
    return f"{', '.join(values[:-1])} or {values[-1]}"


Photos = Annotated[list[Path], typer.Argument(parser=Path, metavar="PHOTO", help="Photos.")]
Model = Annotated[
    str,
    text_option("--model", "A name that `models` lists, or the path of a checkpoint.", values=MODELS, metavar="MODEL"),
]
OneDevice = Annotated[str, text_option("--device", f"{listed(DEVICES)}.", values=DEVICES, metavar="DEVICE")]
Block = Annotated[str, choice_option("--block", BLOCKS, f"{listed(BLOCKS)}.", metavar="BLOCK")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
