"""The command `census`: its tables, sentences, JSON file and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inception.cli import census
from inception.cli.main import main
from inception.units import tuning
from inception.units.census import MEASURES
from inception.units.tuning import stimulus_grid
from support.narrow import narrow_model
from support.photo_folders import class_folders

PHOTOS = {"bee": ["honey_bee.jpg"], "bison": ["bison.jpg"]}


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks and few stimuli, because real ones take 15 seconds."""
    seeds = {"first": 0, "second": 1}
    monkeypatch.setattr(tuning, "stimulus_grid", lambda side: stimulus_grid(side, 3, 2, 2, 2, 3))
    monkeypatch.setattr(census, "load_pretrained", lambda model, _: narrow_model(48, seed=seeds[model]))


def test_two_networks_are_shown_side_by_side(
    networks: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, file = class_folders(tmp_path / "data", PHOTOS), tmp_path / "census.json"
    (data / "bee" / "broken.jpg").write_bytes(b"no photo")
    assert main(["census", "first", "second", "--data", str(data), "--out", str(file)]) == 0
    out, err = capsys.readouterr()
    report = json.loads(file.read_text())
    tables = out.split("\n\n")
    assert [table.splitlines()[0] for table in tables[:5]] == [measure.title for measure in MEASURES.values()]
    numbers = {line[:2]: line.split()[1:] for line in tables[0].splitlines()[3:]}
    for block, shown in numbers.items():
        values = [branch["orientation"] for network in report for branch in network["blocks"][block].values()]
        assert shown == ["-" if value is None else f"{value:.2f}" for value in values]
    for network in report:
        assert network["photos"] == 2
        assert all(sentence in out for sentence in network["sentences"])
    assert "broken.jpg" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b", "c", "d"], "There are 4 networks; please name at most 3."),
        (["first", "--out", "/proc/x/census.json"], "The folder '/proc/x' cannot be made; please name another."),
        (["first", "--data", "nowhere"], "There is no data"),
        (["first", "--limit", "1"], "a whole number from 2 to 10000"),
    ],
)
def test_errors_are_reported_in_one_sentence(
    arguments: list[str], message: str, networks: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["census", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert message in err
