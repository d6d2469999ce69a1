"""The Parquet file of a folder's predictions: it can be resumed, and is never mixed or partially written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pyarrow import parquet

from inception import load, open_photo, predict
from inception.cli.main import main
from inception.errors import UserError
from inception.export import folder
from inception.export import parquet as results
from inception.export.folder import predict_folder
from inception.pretrained.pretrained import PretrainedModel
from support.paths import ROOT
from support.photo_folders import PHOTO_NAMES, make_photo, read_rows
from support.waiting import wait_until


def assert_same(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """Check that the rows are equal, apart from the effect of the batch size on probabilities."""
    numbers = ("probability", "probabilities")
    for row, other in zip(rows, others, strict=True):
        for name in row:
            expected = pytest.approx(other[name], abs=1e-5) if name in numbers and other[name] else other[name]
            assert row[name] == expected, (row["path"], name)


# ---------------------------------------------------------------- interruption and resumption

HANGING_RUN = """
import sys, threading
from inception.cli import main as cli
from inception.export import folder, parquet

parquet.PART = 4
open_photo = folder.open_photo

def stuck_at_one(file):
    if file.name == "15.jpg":
        threading.Event().wait()
    return open_photo(file)

folder.open_photo = stuck_at_one
cli.main(sys.argv[1:])
"""


def test_a_killed_run_is_resumed(embedded: PretrainedModel, tmp_path: Path, opened: list[str]) -> None:
    photos, out = tmp_path / "photos", tmp_path / "r.parquet"
    for number in range(20):
        make_photo(photos / f"{number:02}.jpg", number)
    predict_folder(embedded, photos, tmp_path / "uninterrupted.parquet")
    assert len(opened) == 20

    arguments = ["predict", photos, "--out", out, "--batch", "2", "--workers", "1"]
    run = subprocess.Popen([sys.executable, "-c", HANGING_RUN, *map(str, arguments)], cwd=ROOT, env=os.environ)
    try:
        wait_until(lambda: len(list(tmp_path.glob("r.parquet.parts/*.parquet"))) == 3 or run.poll() is not None)
    finally:
        run.kill()
    assert run.wait(60) == -signal.SIGKILL
    assert not out.exists()

    opened.clear()
    outcome = predict_folder(embedded, photos, out)
    assert sorted(opened) == [f"{number:02}.jpg" for number in range(12, 20)]
    assert outcome.known == 12
    assert_same(read_rows(out), read_rows(tmp_path / "uninterrupted.parquet"))
    assert sorted(path.name for path in tmp_path.glob("*r.parquet*")) == ["r.parquet"]


def test_ctrl_c_keeps_all_predictions_so_far(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: Path) -> Image.Image:
        if file.name == "3.webp":
            raise KeyboardInterrupt
        return open_photo(file)

    command = ["predict", str(photos), "--out", str(tmp_path / "r.parquet"), "--batch", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(folder, "open_photo", interrupted)
        assert main(command) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert main(command) == 0
    assert "6 photos, 4 known before" in capsys.readouterr().out


def test_a_damaged_part_loses_only_its_own_photos(
    embedded: PretrainedModel, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r.parquet"
    monkeypatch.setattr(results, "PART", 2)
    interrupted_before_the_end(embedded, photos, out, monkeypatch)
    damaged, *others = sorted(tmp_path.glob("r.parquet.parts/*.parquet"))
    assert len(others) == 2
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert predict_folder(embedded, photos, out).known == 4
    assert [row["path"] for row in read_rows(out)] == sorted(PHOTO_NAMES)


def test_only_new_and_changed_photos_are_predicted_again(
    embedded: PretrainedModel, photos: Path, tmp_path: Path, opened: list[str]
) -> None:
    out = tmp_path / "r.parquet"
    predict_folder(embedded, photos, out)
    before, rows = out.stat(), read_rows(out)

    opened.clear()
    assert predict_folder(embedded, photos, out).known == len(PHOTO_NAMES)
    assert opened == []
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    make_photo(photos / "a.png", 7)  # another photo under the same name
    changed = photos / "b" / "2.jpg"
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))  # the same bytes with a newer time
    make_photo(photos / "b" / "0.jpg", 5)
    (photos / "b" / "1.JPG").unlink()
    assert predict_folder(embedded, photos, out).known == 3
    assert sorted(opened) == ["0.jpg", "2.jpg", "a.png"]
    now = {row["path"]: row for row in read_rows(out)}
    assert list(now) == ["a.png", "b-c/x.jpeg", "b/0.jpg", "b/2.jpg", "b/deep/er/3.webp", "ü ñ.jpg"]
    guess = predict(embedded, open_photo(photos / "a.png")).top(1)[0]
    assert now["a.png"]["probability"] == pytest.approx(guess.probability, abs=1e-5)
    untouched = ("b-c/x.jpeg", "b/deep/er/3.webp", "ü ñ.jpg")
    assert [now[path] for path in untouched] == [row for row in rows if row["path"] in untouched]


# ---------------------------------------------------------------- no mixed or partial files


def other_weights(embedded: PretrainedModel) -> PretrainedModel:
    """Return a network of the same name with different weights."""
    state = {name: tensor.clone() for name, tensor in embedded.model.state_dict().items()}
    state["head.classifier.bias"][0] += 1
    model = type(embedded.model)(classes=200, input_shape=(3, 128, 128))
    model.load_state_dict(state)
    return replace(embedded, model=model.eval())


@pytest.mark.parametrize("is_finished", [True, False], ids=["finished", "interrupted"])
@pytest.mark.parametrize(
    ("change", "top", "message"),
    [
        (lambda pretrained: pretrained, 3, "(top was 5, is 3)"),
        (lambda pretrained: replace(pretrained, name="mine"), 3, "(model was tiny-imagenet, is mine, top was 5, is 3)"),
        (lambda pretrained: replace(pretrained, temperature=2.0), 5, "is 2.0)"),
        (other_weights, 5, "(weights was "),
    ],
    ids=["top", "model", "temperature", "weights"],
)
def test_results_of_other_options_are_rejected(
    embedded: PretrainedModel,
    photos: Path,
    tmp_path: Path,
    change: Callable[[PretrainedModel], PretrainedModel],
    top: int,
    message: str,
    is_finished: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "r.parquet"
    if is_finished:
        predict_folder(embedded, photos, out)
    else:
        interrupted_before_the_end(embedded, photos, out, monkeypatch)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    with pytest.raises(UserError) as error:
        predict_folder(change(embedded), photos, out, top=top)
    assert message in str(error.value)
    assert ("remove 'r.parquet'." if is_finished else "remove 'r.parquet.parts'.") in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before
    assert predict_folder(embedded, photos, out).known == len(PHOTO_NAMES)


def interrupted_before_the_end(
    embedded: PretrainedModel, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(results.Results, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            predict_folder(embedded, photos, out, batch=2)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("content", ["text", "other columns", "folder", "list", "no JSON"])
def test_a_foreign_file_is_never_overwritten(
    embedded: PretrainedModel, photos: Path, tmp_path: Path, content: str
) -> None:
    out = tmp_path / "r.parquet"
    if content == "text":
        out.write_text("my notes")
    elif content == "folder":
        out.mkdir()
    elif content == "other columns":
        predict_folder(embedded, photos, out)
        parquet.write_table(parquet.read_table(out).drop_columns(["error"]), out)
    else:
        metadata = {"inception": "[1, 2]" if content == "list" else b"\xff{"}
        parquet.write_table(results.SCHEMA.empty_table().replace_schema_metadata(metadata), out)
    before = out.read_bytes() if out.is_file() else b""
    with pytest.raises(UserError, match="holds no results of this command"):
        predict_folder(embedded, photos, out)
    assert (out.read_bytes() if out.is_file() else b"") == before


def test_the_file_is_written_atomically(
    embedded: PretrainedModel, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r.parquet"
    predict_folder(embedded, photos, out)
    before = out.read_bytes()
    make_photo(photos / "z.jpg", 9)

    def fail_for_out(self: Path, target: Path) -> Path:
        if target == out:
            raise OSError("no space left")
        return shutil.move(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail_for_out)
        with pytest.raises(UserError, match="Nothing can be written"):
            predict_folder(embedded, photos, out)
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "r.parquet", "r.parquet.parts"]
    assert predict_folder(embedded, photos, out).known == len(PHOTO_NAMES) + 1, "nothing is lost"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "r.parquet"]


def test_the_metadata_names_the_weights_and_not_the_folder(
    embedded: PretrainedModel, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "elsewhere")
    predict_folder(embedded, photos, tmp_path / "one.parquet", batch=4)
    predict_folder(embedded, tmp_path / "elsewhere", tmp_path / "two.parquet", batch=4)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    metadata = json.loads(parquet.read_schema(tmp_path / "one.parquet").metadata[b"inception"])
    assert (metadata["model"], metadata["classes"], metadata["top"]) == ("tiny-imagenet", 200, 5)
    assert metadata["preprocessing"] == json.loads(json.dumps(embedded.preprocessing.to_dict()))
    assert metadata["provenance"] == asdict(embedded.provenance)
    assert len(metadata["weights"]) == 64


def test_the_weights_of_a_bfloat16_network_have_the_digest_of_their_values(small_file: Path) -> None:
    pretrained = load(small_file)
    usual = results.settings(pretrained, 5)["weights"]
    rounded = results.settings(replace(pretrained, model=pretrained.model.bfloat16()), 5)["weights"]
    assert rounded != usual
    assert rounded == results.settings(replace(pretrained, model=pretrained.model.float()), 5)["weights"]
