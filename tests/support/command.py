"""The command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from support.paths import ROOT


def inception(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inception", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
