"""The loop of the commands that answer photo by photo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from inception.cli.main import main
from inception.cli.photos import Stems
from support.networks import overflowing_on_red


def test_a_photo_whose_activations_overflow_is_refused_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(overflowing_on_red(tmp_path / "large.safetensors"))
    photos = []
    for colour in ("black", "red", "white"):
        photos.append(str(tmp_path / f"{colour}.png"))
        Image.new("RGB", (160, 160), colour).save(photos[-1])
    assert main(["predict", *photos, "--model", model, "--json"]) == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    sentence = "The activations of large overflow (NaN or infinite); please choose another network."
    assert [row["photo"] for row in rows] == photos
    assert [row.get("error") for row in rows] == [None, sentence, None]
    assert captured.err.endswith(f"red.png: {sentence}\n")


def test_file_names_that_differ_in_case_only_are_numbered() -> None:
    stems = Stems()
    photos = ("a/IMG.jpg", "b/img.jpg", "b/Img-2.png", "c/img.JPG", "c/other.jpg")
    assert [stems.take(Path(photo)) for photo in photos] == ["IMG", "img-2", "Img-2-2", "img-3", "other"]
