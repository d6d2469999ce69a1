"""The loop of the commands that answer photo by photo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from inception.cli.main import main
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
