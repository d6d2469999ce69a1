"""The workflow on GitHub: of the form that GitHub takes, and the same as `.ci/run` on the Pythons that are promised."""

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


def test_it_is_of_the_form_that_github_takes(tmp_path: Path) -> None:
    subprocess.run([*CHECK, WORKFLOW], check=True, capture_output=True)
    wrong = tmp_path / "ci.yml"
    wrong.write_text(WORKFLOW.read_text().replace("runs-on:", "runs-at:"))
    assert subprocess.run([*CHECK, wrong], check=False, capture_output=True).returncode == 1


def test_it_runs_what_ci_runs_on_the_oldest_and_the_newest_python() -> None:
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    named = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in project["classifiers"]]
    newest = max((found[1] for found in named if found), key=lambda version: int(version.split(".")[1]))
    assert job["strategy"]["matrix"]["python"] == [oldest, newest]
    assert "PYTHON ?=" in (ROOT / "Makefile").read_text(), "the workflow says which Python by this"
    assert any(step.get("env", {}).get("PYTHON") for step in job["steps"])
