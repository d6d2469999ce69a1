"""The number of threads of a process, and waiting that does not occupy a core."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inception.runtime.threads import WAITING, available_cores
from support.paths import ROOT

LOCAL_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, LOCAL_CORES),
        ({"cpu.max": "max 100000\n"}, LOCAL_CORES),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, min(LOCAL_CORES, 2)),
        ({"cpu.max": "9999900000 100000\n"}, LOCAL_CORES),
        ({"cpu.max": "nonsense\n"}, LOCAL_CORES),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, LOCAL_CORES),
    ],
)
def test_the_quota_of_a_container_is_respected(files: dict[str, str], expected: int, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cores(tmp_path) == expected


def without_openmp() -> dict[str, str]:
    """Return the environment without OpenMP settings."""
    return {name: value for name, value in os.environ.items() if "OMP_" not in name and name not in WAITING}


@pytest.mark.parametrize(
    "user_variables", [{}, {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "ACTIVE"}], ids=["nothing", "own"]
)
def test_torch_uses_our_settings_unless_the_user_set_variables(user_variables: dict[str, str]) -> None:
    code = (
        "from inception.runtime.threads import configure_threads; configure_threads(); import os, torch; "
        f"print(torch.get_num_threads(), *(os.environ.get(name) for name in {tuple(WAITING)}))"
    )
    environment = without_openmp() | user_variables
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    expected = [available_cores(), *WAITING.values()] if not user_variables else [1, None, "ACTIVE", None]
    assert process.stdout.split() == [str(value) for value in expected]


@pytest.mark.parametrize(
    "start",
    ["runpy.run_path('app.py', run_name='__main__')", "runpy.run_module('inception', run_name='__main__')"],
)
def test_every_entry_point_sets_threads_before_torch_is_imported(start: str) -> None:
    code = (
        "import runpy, sys; sys.argv = ['inception', '--help']\n"
        f"try:\n    {start}\nexcept SystemExit:\n    pass\n"
        "import os; print('\\n', 'torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"
    )
    environment = without_openmp()
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert process.stdout.splitlines()[-1].split() == ["False", WAITING["GOMP_SPINCOUNT"]]
