"""docs/tour.ipynb: it runs from top to bottom, and is committed without outputs."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from support.paths import ROOT

NOTEBOOK = ROOT / "docs" / "tour.ipynb"
CELL_TIMEOUT = 240  # seconds for one cell; the first waits for torch


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


def test_the_committed_notebook_is_valid_and_has_no_outputs(committed: Any) -> None:
    nbformat.validate(committed)
    assert outputs(committed) == []
    assert {cell.execution_count for cell in committed.cells if cell.cell_type == "code"} == {None}


def test_the_notebook_runs_from_top_to_bottom_and_shows_its_results(
    committed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook = nbformat.from_dict(committed)
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    # A cell that raises, for instance because the check of an explanation fails, ends the run with its traceback.
    NotebookClient(notebook, timeout=CELL_TIMEOUT, iopub_timeout=CELL_TIMEOUT, resources=resources).execute()
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    printed = "".join(output.text for output in outputs(notebook) if output.get("name") == "stdout")
    for text in ("lesser panda", "together 9.28", "819,200 weights directly, 208,896 through 32"):
        assert text in printed
    drawn = [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert len(drawn) == 7
    for picture in drawn:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("L"), dtype=np.float32)
        assert pixels.std() > 5, "the picture is blank"
