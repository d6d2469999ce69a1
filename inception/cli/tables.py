"""Rich tables for terminals; piped output stays plain text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..runtime.files import one_line
from ..runtime.terminal import writing

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text


def in_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def show(*parts: RenderableType) -> None:
    """Print on stdout.

    Raises:
        BrokenPipeError, UserError: as `runtime.terminal.out`.
    """
    from rich.console import Console

    with writing():
        # No markup and no highlighting: names of files and classes are shown as they are.
        Console(markup=False, highlight=False, emoji=False).print(*parts, sep="\n")


def table(*columns: str, title: str = "", right: tuple[str, ...] = ()) -> Table:
    """Return an empty table; the columns in `right` hold numbers."""
    from rich import box
    from rich.table import Table

    made = Table(title=text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left")
    return made


def text(value: object, style: str = "") -> Text:
    """Return a cell; control characters are spelled out."""
    from rich.text import Text

    return Text(one_line(str(value)), style=style)


def bar(share: float) -> RenderableType:
    """Return a bar of `share`, from 0 to 1."""
    from rich.progress_bar import ProgressBar

    return ProgressBar(total=1.0, completed=share, width=24)
