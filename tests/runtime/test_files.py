"""Files are replaced as a whole, and nothing but files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inception.errors import UserError
from inception.runtime.files import check_writable, write_file


@pytest.fixture(params=["pipe", "link to a pipe", "folder", "loop"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Something else than a file."""
    place = tmp_path / "results.json"
    if request.param == "pipe":
        os.mkfifo(place)
    elif request.param == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to("pipe")
    elif request.param == "folder":
        place.mkdir()
    else:
        place.symlink_to("results.json")
    return place


def test_what_is_not_a_file_is_refused_and_stays(other: Path) -> None:
    before = {path.name: path.lstat() for path in other.parent.iterdir()}
    for attempt in (check_writable, lambda file: write_file(file, b"data")):
        with pytest.raises(UserError, match="not a file that can be replaced; please name another"):
            attempt(other)
    assert {path.name: path.lstat() for path in other.parent.iterdir()} == before


@pytest.mark.parametrize("exists", [True, False], ids=["to a file", "to nothing"])
def test_link_stays_a_link(exists: bool, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    target, link = folder / "target.json", tmp_path / "link.json"
    if exists:
        target.write_bytes(b"before")
    link.symlink_to(target)
    check_writable(link)
    assert target.exists() == exists
    write_file(link, b"after")
    assert link.is_symlink()
    assert target.read_bytes() == link.read_bytes() == b"after"
    assert list(folder.iterdir()) == [target]


def test_trial_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(b"before")
    before = file.stat()
    check_writable(file)
    assert file.stat() == before
    assert list(tmp_path.iterdir()) == [file]


def test_trial_of_an_existing_file_needs_a_writable_folder() -> None:
    for name in ("version", "new"):
        with pytest.raises(UserError, match="Nothing can be written to '/proc'"):
            check_writable(Path("/proc") / name)
