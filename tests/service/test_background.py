"""Background compilation at the end of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

SERVICE_SCRIPT = """
import sys, time
from inception.runtime.device import choose_device
from inception.service import service
service.COMPILE_AFTER = float(sys.argv[1])
service.InferenceService(("tiny-imagenet",), choose_device("cpu")).pretrained("tiny-imagenet")
time.sleep(float(sys.argv[2]))
print("end", flush=True)
"""


@pytest.mark.parametrize(("compile_after", "wait"), [("0", "0.3"), ("0", "0.8"), ("600", "0")])
def test_a_process_exits_cleanly_while_a_network_is_compiled(compile_after: str, wait: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SERVICE_SCRIPT, compile_after, wait],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path)},  # an empty cache: everything is compiled
        capture_output=True,
        text=True,
        check=False,
        timeout=120,  # less than the 600 seconds after which compilation would start
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "end\n", "")
