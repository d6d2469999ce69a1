"""The command `atlas`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inception.cli.main import main
from inception.units.atlas import read_atlas
from support.photo_folders import make_photo

QUICK = ("--blocks", "3a", "--channels", "2", "--steps", "2", "--size", "32")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["atlas", "tiny-imagenet", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(12):
        make_photo(tmp_path / "photos" / f"class {number % 2}" / f"{number}.png", number)
    return tmp_path / "photos"


def test_atlas_writes_a_folder_that_can_be_read(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, stdout, stderr = run(capsys, "--data", photos, "--out", tmp_path / "atlas", *QUICK, "--json")
    report = json.loads(stdout)
    assert (status, stderr) == (0, "")
    assert (report["photos"], report["classes"], report["channels"]) == (12, 2, 8)
    (tmp_path / "atlas" / "notes.txt").write_text("mine")
    atlas = read_atlas(tmp_path / "atlas")
    assert report["bytes"] == sum(file.stat().st_size for file in atlas.files)
    status, stdout, _ = run(capsys, "--data", photos, "--out", tmp_path / "atlas", *QUICK, "--json")
    assert (status, json.loads(stdout)) == (0, report), "files that are not the atlas's do not count"
    changed = ("--data", photos, "--out", tmp_path / "atlas", *QUICK, "--no-crops", "--seed", 3)
    status, _, stderr = run(capsys, *changed)
    assert status == 2
    assert "'atlas' holds an atlas with other --crops and --seed; please give the same" in stderr
    assert (atlas.data.name, atlas.data.classes) == ("photos", ("class 0", "class 1"))
    record = next(iter(atlas.branch("3a", "1x1").channels.values()))
    assert {row.label for row in record.classes} == {"class 0", "class 1"}


def test_photos_need_no_class_folders_and_invalid_ones_are_skipped(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos / "class 0")
    (photos / "class 0" / "bad.png").write_text("no photo")
    out = tmp_path / "plain"
    status, stdout, stderr = run(capsys, "--data", ".", "--out", out, *QUICK, "--limit", 7, "--no-images", "--no-crops")
    assert (status, stdout) == (0, f"8 channels on 7 photos, 0.0 MB in {out}\n")
    assert stderr.startswith("skipped, cannot be read: ")
    data = read_atlas(out).data
    assert (data.name, data.classes) == ("class 0", ())


def test_errors_are_reported_in_one_sentence(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        (["--data", tmp_path / "empty"], "There are no photos (.jpg"),
        (["--data", tmp_path / "nowhere"], "There is no data at"),
        (["--data", photos, "--blocks", "3a,9z"], "it must be some of 3a, 3b"),
        (["--data", photos, "--out", "LICENSE/x"], "cannot be made"),
        (["--data", photos, "--out", photos], "'photos' holds other files; please name a new or empty folder"),
    ):
        status, stdout, stderr = run(capsys, "--out", tmp_path / "out", *QUICK, *arguments)
        assert (status, stdout) == (2, "")
        assert message in stderr
        assert len(stderr.splitlines()) == 1
