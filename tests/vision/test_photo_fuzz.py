"""A short coverage-guided search for files that the upload path does not take as it should; longer by hand."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

SECONDS = 15
SLOW = "slow-unit-"  # says that the machine was busy, and nothing of the file


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python or this machine"
)
def test_no_file_is_found_that_is_neither_shown_nor_refused(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "support.fuzz_photo", str(SECONDS), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [file.name for file in (tmp_path / "found").iterdir() if not file.name.startswith(SLOW)]
    assert (run.returncode, found) == (0, []), run.stderr[-3000:]
    begun = len(list((tmp_path / "begun").iterdir()))
    runs = int(re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)[1])  # type: ignore[index]
    assert runs > begun > 60
    assert re.search(r"cov: [1-9]\d\d", run.stderr), "the search sees what code its files reach"
