"""Predictions of a folder of photos: the same as for single photos, and bad files are reported."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from inception import load, open_photo, predict
from inception.cli.main import main
from inception.errors import UserError
from inception.export import folder
from inception.export.folder import photos_in, predict_folder
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.terminal import short_path
from support.networks import overflowing_on_red
from support.paths import EXAMPLES
from support.photo_folders import PHOTO_NAMES, make_photo, read_rows


@pytest.mark.parametrize(("batch", "workers"), [(None, None), (1, 2), (4, 1), (64, 3)])
def test_every_photo_is_predicted_as_it_is_alone(
    embedded: PretrainedModel, photos: Path, tmp_path: Path, batch: int | None, workers: int | None
) -> None:
    outcome = predict_folder(embedded, photos, tmp_path / "r.parquet", top=3, batch=batch, workers=workers)
    rows = read_rows(tmp_path / "r.parquet")
    assert (outcome.photos, outcome.known, outcome.refused) == (len(PHOTO_NAMES), 0, {})
    assert [row["path"] for row in rows] == sorted(PHOTO_NAMES)
    for row in rows:
        guesses = predict(embedded, open_photo(photos / row["path"])).top(3)
        assert row["indices"] == [guess.index for guess in guesses]
        assert row["labels"] == [guess.label for guess in guesses]
        assert row["probabilities"] == pytest.approx([guess.probability for guess in guesses], abs=1e-5)
        assert (row["label"], row["index"], row["probability"], row["error"]) == (
            row["labels"][0],
            row["indices"][0],
            row["probabilities"][0],
            None,
        )
        assert row["bytes"] == (photos / row["path"]).stat().st_size


def test_hidden_files_other_types_and_pipes_are_skipped(photos: Path) -> None:
    make_photo(photos / ".hidden.jpg", 0)
    make_photo(photos / ".thumbnails" / "x.jpg", 0)
    (photos / "notes.txt").write_text("no photo")
    (photos / "folder.jpg").mkdir()
    os.mkfifo(photos / "pipe.jpg")
    listed, unreadable = photos_in(photos)
    assert [photo.path for photo in listed] == sorted(PHOTO_NAMES)
    assert unreadable == ()


def test_an_unreadable_folder_is_reported(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def failing_scandir(path: object) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "no", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing_scandir)
    assert main(["predict", str(photos), "--out", str(tmp_path / "r.parquet")]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"skipped, cannot be read: {short_path(str(photos / 'b' / 'deep'))}\n"
    assert captured.out.endswith(": 5 photos, 0 known before, 0 refused\n")


def test_a_folder_that_cannot_be_listed_is_not_said_to_be_without_photos(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)  # messages cut long paths off
    folder = Path(photos.name)
    scandir = os.scandir

    def failing_scandir(path: Any = ".") -> Any:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing_scandir)
    with pytest.raises(UserError, match=rf"The folder '{folder}' cannot be read \(Permission denied\)"):
        photos_in(folder)


def test_a_file_name_that_is_not_utf8_is_escaped(embedded: PretrainedModel, tmp_path: Path) -> None:
    make_photo(tmp_path / "photos" / "x.jpg", 0)
    os.rename(os.fsencode(tmp_path / "photos" / "x.jpg"), os.fsencode(tmp_path / "photos") + b"/caf\xe9.jpg")  # noqa: PTH104
    for known in (0, 1):
        assert predict_folder(embedded, tmp_path / "photos", tmp_path / "r.parquet").known == known
    assert [row["path"] for row in read_rows(tmp_path / "r.parquet")] == ["caf\\xe9.jpg"]


# ---------------------------------------------------------------- bad files


def test_bad_files_are_listed_and_do_not_stop_the_run(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], opened: list[str]
) -> None:
    out = tmp_path / "new" / "r.parquet"
    (photos / "text.jpg").write_text("no photo")
    (photos / "empty.jpg").touch()
    (photos / "gone.jpg").symlink_to("nowhere.jpg")
    data = (EXAMPLES / "bison.jpg").read_bytes()
    (photos / "truncated.jpg").write_bytes(data[: len(data) // 2])
    assert main(["predict", str(photos), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    refused = {row["path"]: row["error"] for row in read_rows(out) if row["error"]}
    assert {name: sentence.split(";")[0] for name, sentence in refused.items()} == {
        "text.jpg": "This file is not a picture that can be read",
        "empty.jpg": "This file is empty",
        "gone.jpg": "There is no readable file 'gone.jpg'",
        "truncated.jpg": "This picture is damaged or cut off",
    }
    assert all(f"{name}: {sentence}\n" in captured.err for name, sentence in refused.items())
    assert all(row["label"] is None and row["labels"] is None for row in read_rows(out) if row["error"])
    assert captured.out == f"{out}: 10 photos, 0 known before, 4 refused\n"

    # An unchanged bad file is not opened again; one that could not be read is.
    opened.clear()
    assert main(["predict", str(photos), "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert opened == ["gone.jpg"]
    assert report == {
        "model": "tiny-imagenet",
        "file": str(out),
        "photos": 10,
        "known_before": 9,
        "refused": 4,
    }


def test_a_photo_whose_activations_overflow_is_refused_and_does_not_stop_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = overflowing_on_red(tmp_path / "large.safetensors"), tmp_path / "r.parquet"
    sentence = "The activations of large overflow (NaN or infinite); please choose another network."
    (tmp_path / "photos").mkdir()
    for colour in ("black", "blue", "red", "white"):
        Image.new("RGB", (160, 160), colour).save(tmp_path / "photos" / f"{colour}.png")
    for known in (0, 4):
        assert main(["predict", str(tmp_path / "photos"), "--out", str(out), "--model", str(model)]) == 0
        captured = capsys.readouterr()
        assert captured.err == f"red.png: {sentence}\n"
        assert captured.out == f"{out}: 4 photos, {known} known before, 1 refused\n"
    pretrained, rows = load(model), {row["path"]: row for row in read_rows(out)}
    assert (rows["red.png"]["label"], rows["red.png"]["error"]) == (None, sentence)
    for colour in ("black", "blue", "white"):
        guesses = predict(pretrained, open_photo(tmp_path / "photos" / f"{colour}.png")).top(5)
        assert rows[f"{colour}.png"]["indices"] == [guess.index for guess in guesses]


def test_an_unreadable_photo_is_retried(
    embedded: PretrainedModel, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing_open(file: Path) -> Image.Image:
        return open_photo(file if file.name != "a.png" else file / "not to be read")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "open_photo", failing_open)
        assert list(predict_folder(embedded, photos, tmp_path / "r.parquet").refused) == ["a.png"]
    outcome = predict_folder(embedded, photos, tmp_path / "r.parquet")
    assert (outcome.known, outcome.refused) == (len(PHOTO_NAMES) - 1, {})


def test_a_folder_of_only_bad_files_fails_with_at_most_ten_messages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        (tmp_path / f"{number}.jpg").touch()
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "r.parquet")]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("This file is empty") == 10
    assert "and 2 more" in stderr
    assert len(read_rows(tmp_path / "r.parquet")) == 12


# ---------------------------------------------------------------- threads and arguments


def test_the_number_of_pending_items_is_bounded() -> None:
    started: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        results = folder.map_in_order(pool, lambda number: started.append(number) or -number, iter(range(50)), 6)
        for number, result in enumerate(results):
            assert result == -number
            assert len(started) <= number + 6


def test_the_number_of_threads_is_restored(embedded: PretrainedModel, photos: Path, tmp_path: Path) -> None:
    counts: list[int] = []

    def count() -> None:
        torch.ones(10).sum()
        counts.append(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        predict_folder(embedded, photos, tmp_path / "r.parquet")
        for run in (count, lambda: (thread := threading.Thread(target=count), thread.start(), thread.join())):
            run()
        assert counts == [2, 2]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["FOLDER"], "with --out FILE.parquet"),
        (["FOLDER", "--out", "r.csv"], "let --out end in .parquet"),
        (["FOLDER", "FOLDER", "--out", "r.parquet"], "one folder and no more"),
        (["FOLDER/a.png", "--out", "r.parquet"], "is no folder; please name one"),
        (["FOLDER/a.png", "--batch", "4"], "--batch is for a folder of photos; please name one"),
        (["FOLDER/a.png", "--workers", "1"], "--workers is for a folder of photos; please name one"),
        (["FOLDER/b/empty", "--out", "r.parquet"], "There are no photos (.jpg"),
        (["FOLDER", "--out", "/proc/r.parquet"], "cannot be made"),
    ],
)
def test_invalid_arguments_are_rejected_in_one_sentence(
    photos: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (photos / "b" / "empty").mkdir()
    assert main(["predict", *(word.replace("FOLDER", str(photos)) for word in arguments)]) == 2
    stderr = capsys.readouterr().err
    assert message.replace("FOLDER", str(photos)) in stderr
    assert stderr.count("\n") == 1


def test_a_modification_time_outside_int64_is_stored_as_none(
    photos: Path, tmp_path: Path, embedded: PretrainedModel
) -> None:
    os.utime(photos / "a.png", (2**34, 2**34))  # in the year 2514
    if (photos / "a.png").stat().st_mtime_ns < 2**63:
        pytest.skip("this file system cannot store such times")
    outcomes = [predict_folder(embedded, photos, tmp_path / "r.parquet") for _ in range(2)]
    assert [outcome.known for outcome in outcomes] == [0, len(PHOTO_NAMES)]
    assert outcomes[0].refused == {}
