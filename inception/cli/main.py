"""Typer application: `python -m inception COMMAND`, installed as `inception-lens`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from .. import __version__
from ..errors import QUOTED_CHARACTERS, UserError
from ..runtime.files import one_line
from ..runtime.interrupt import LINE, STATUS, is_interrupted
from ..runtime.terminal import discard, err

COMMAND = "inception-lens"
COMPLETE_VARIABLE = "_INCEPTION_LENS_COMPLETE"
MAX_ERROR_CHARACTERS = 400  # of a parsing error, which quotes arguments whole
# Each is the function of that name in the module of that name, imported when the command or its help is run.
COMMANDS = {
    "models": "List the networks, and whether their weights are on this machine.",
    "predict": "Print the most probable classes of photos, or write those of a folder's photos to a file.",
    "maps": "Write pictures of what the four branches of a block computed for photos.",
    "explain": "Explain the network's answer: what each branch of a block adds to it.",
    "visualize": "Draw what excites a branch, a channel or a cell.",
    "atlas": "Collect what excites each channel of a network, among photos and as an image.",
    "evaluate": "Measure a network on labelled photos.",
    "census": "Measure what the four branches of each block of a network respond to.",
    "train": "Train the network on labelled photos.",
    "summary": "Print every layer with its output shape and parameters.",
    "serve": "Serve the page: see what each branch of an Inception block computes.",
}
# Plain help: Rich would add 0.2 s to its start. It is as wide as the terminal, up to 100 columns.
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(TyperCommand):
    """Command whose plain help keeps the panels of its options apart."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is None:
                continue
            if param.param_type_name == "argument":
                sections.setdefault("Arguments", []).append((param.metavar or record[0], record[1]))
            else:
                sections.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class LazyGroup(TyperGroup):
    """Group that replaces the chosen command's placeholder by the command itself."""

    def get_params(self, ctx: Any) -> list[Any]:
        params = super().get_params(ctx)
        for flag in params:
            # Typer validates None by pydantic, whose import would double the time that help takes.
            flag.default = flag.default or False
        return list(params)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, placeholder, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else placeholder, rest


def load_command(name: str) -> Any:
    """Return the command `name`, from the module of that name."""
    single = _typer()
    function = getattr(import_module(f".{name}", __package__), name)
    single.command(name, cls=Command, help=COMMANDS[name])(function)
    return get_command(single)


def application(*, completion: bool) -> Any:
    """Return the group of all commands; with `completion`, it can install itself in a shell."""
    app = _typer(cls=LazyGroup, add_completion=completion)
    app.callback(help="See how InceptionV1 (GoogLeNet) works.")(_options)
    for name, about in COMMANDS.items():
        app.command(name, short_help=about)(_placeholder)
    return get_command(app)


def _typer(**options: Any) -> typer.Typer:
    return typer.Typer(
        **{"add_completion": False, **options},
        context_settings=SETTINGS,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{COMMAND} {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _placeholder() -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; without `arguments`, that of this process.

    Returns:
        0, 1 where a photo was refused (of a folder, all), 2 where nothing could be done, or 130 after Ctrl+C.
    """
    # Completion is for the name that a shell knows; `python -m inception` has none.
    installed = Path(sys.argv[0]).stem == COMMAND
    group = application(completion=installed)
    if installed and os.environ.get(COMPLETE_VARIABLE):
        group.main(prog_name=COMMAND, complete_var=COMPLETE_VARIABLE)
    return run(group, COMMAND if installed else "python -m inception", arguments)


def run(command: Any, program: str, arguments: Sequence[str] | None = None) -> int:
    """Run a command or group as `program` and return the exit status; each error is one line on stderr.

    `Command.main` would print errors in a form of its own, and nothing after Ctrl+C.
    """
    try:
        with command.make_context(program, list(sys.argv[1:] if arguments is None else arguments)) as context:
            return command.invoke(context) or 0
    except typer.Exit as end:
        return end.exit_code
    except TyperException as error:
        err(_usage_error(error))
        return 2
    except UserError as error:
        err(str(error))
        return 2
    except BrokenPipeError:
        # The reader of our output (`| head`) has seen enough.
        discard(sys.stdout)
        return 0
    except RuntimeError as error:
        if not is_interrupted(error):
            raise
        line = LINE
    except KeyboardInterrupt as interrupt:
        line = str(interrupt) or LINE
    # Outside the handler: while the exception lives, so does the progress bar, which would garble this line.
    err(line)
    return STATUS


def _cut(word: re.Match[str]) -> str:
    return f"{word[0][: QUOTED_CHARACTERS - 1]}…"


def _usage_error(error: TyperException) -> str:
    """Return the message in one line of bounded length, with the command whose help says more."""
    message = re.sub(rf"\S{{{QUOTED_CHARACTERS},}}", _cut, one_line(error.format_message()))
    if len(message) > MAX_ERROR_CHARACTERS:
        message = f"{message[:MAX_ERROR_CHARACTERS]}…"
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    choices = f" It must be one of: {', '.join(COMMANDS)}." if isinstance(context.command, LazyGroup) else ""
    end = "" if message.endswith((".", "?")) else "."
    return f"{message}{end}{choices} See {context.command_path} --help."
