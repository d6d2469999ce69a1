"""The command line, run in a subprocess."""

from __future__ import annotations

import os
import subprocess
import sys

from support.paths import ROOT


def run_inception(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m inception` with these arguments; keywords are added to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "inception", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
