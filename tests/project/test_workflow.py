"""The GitHub workflow: it is valid, and runs `.ci/run` with the supported Pythons."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from support.paths import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
CHECK = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows")


def test_the_workflow_is_valid(tmp_path: Path) -> None:
    subprocess.run([*CHECK, WORKFLOW], check=True, capture_output=True)
    invalid = tmp_path / "ci.yml"
    invalid.write_text(WORKFLOW.read_text().replace("runs-on:", "runs-at:"))
    assert subprocess.run([*CHECK, invalid], check=False, capture_output=True).returncode == 1


def test_the_workflow_runs_ci_on_the_oldest_and_the_newest_python() -> None:
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    versions = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in project["classifiers"]]
    newest = max((match[1] for match in versions if match), key=lambda version: int(version.split(".")[1]))
    assert job["strategy"]["matrix"]["python"] == [oldest, newest]
    assert "PYTHON ?=" in (ROOT / "Makefile").read_text(), "the workflow chooses the Python by this variable"
    assert any(step.get("env", {}).get("PYTHON") for step in job["steps"])
