"""`atlas` as a user calls it."""

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
    told = capsys.readouterr()
    return status, told.out, told.err


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(12):
        make_photo(tmp_path / "photos" / f"class {number % 2}" / f"{number}.png", number)
    return tmp_path / "photos"


def test_atlas_makes_a_folder_that_can_be_read(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, errors = run(capsys, "--data", photos, "--out", tmp_path / "atlas", *QUICK, "--json")
    told = json.loads(said)
    assert (status, errors) == (0, "")
    assert (told["photos"], told["classes"], told["channels"]) == (12, 2, 8)
    atlas = read_atlas(tmp_path / "atlas")
    assert (atlas.data.name, atlas.data.classes) == ("photos", ("class 0", "class 1"))
    record = next(iter(atlas.branch("3a", "1x1").channels.values()))
    assert {row.label for row in record.classes} == {"class 0", "class 1"}


def test_photos_without_class_folders_and_one_that_is_none(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "class 0" / "bad.png").write_text("no photo")
    out = tmp_path / "plain"
    status, said, errors = run(
        capsys, "--data", photos / "class 0", "--out", out, *QUICK, "--limit", 7, "--no-images", "--no-crops"
    )
    assert (status, said) == (0, f"8 channels on 7 photos, 0.0 MB in {out}\n")
    assert errors.startswith("skipped, cannot be read: ")
    assert read_atlas(out).data.classes == ()


def test_what_cannot_be_made_is_one_sentence(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, sentence in (
        (["--data", tmp_path / "empty"], "There are no photos (.jpg"),
        (["--data", tmp_path / "nowhere"], "There is no data at"),
        (["--data", photos, "--blocks", "3a,9z"], "it must be some of 3a, 3b"),
        (["--data", photos, "--out", "LICENSE/x"], "cannot be made"),
    ):
        status, said, errors = run(capsys, "--out", tmp_path / "out", *QUICK, *arguments)
        assert (status, said) == (2, "")
        assert sentence in errors
        assert len(errors.splitlines()) == 1
