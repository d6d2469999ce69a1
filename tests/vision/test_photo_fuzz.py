"""A short coverage-guided fuzz test of opening photos; `make fuzz` runs a longer one."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

SECONDS = 8
SLOW_PREFIX = "slow-unit-"  # written when the machine is busy, whatever the file


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python or this machine"
)
def test_fuzzing_finds_no_file_that_is_neither_shown_nor_rejected(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "support.fuzz_photo", str(SECONDS), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    findings = [file.name for file in (tmp_path / "found").iterdir() if not file.name.startswith(SLOW_PREFIX)]
    assert (run.returncode, findings) == (0, []), run.stderr[-3000:]
    seed_count = len(list((tmp_path / "begun").iterdir()))
    execution_count = int(re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)[1])  # type: ignore[index]
    assert execution_count > seed_count > 60
    assert re.search(r"cov: [1-9]\d\d", run.stderr), "the fuzzer measures code coverage"
