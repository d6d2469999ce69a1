"""The command line, run in this process: a process of its own would take two seconds for its imports."""

from __future__ import annotations

import os
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from unittest.mock import patch

from inception.cli.main import main
from support.paths import ROOT


@dataclass(frozen=True)
class Run:
    """A command with its exit status and what it wrote."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def run_inception(*arguments: object, **environment: str) -> Run:
    """Run a command of the command line in the project's folder; keywords are added to the environment."""
    args = tuple(map(str, arguments))
    written = BytesIO(), BytesIO()
    stdout, stderr = (TextIOWrapper(stream, "utf-8", write_through=True) for stream in written)
    # Undoes what the command itself sets, too.
    variables = patch.dict(os.environ, environment)
    with chdir(ROOT), variables, redirect_stdout(stdout), redirect_stderr(stderr):
        status = main(args)
    return Run(args, status, *(stream.getvalue().decode() for stream in written))
