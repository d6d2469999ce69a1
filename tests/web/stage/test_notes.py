"""The notes about the networks in the page's words, which the page shows instead of the server's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import load
from support.paths import ROOT

ENGLISH = ROOT / "inception" / "web" / "stage" / "static" / "words" / "en.json"


@pytest.mark.parametrize("name", ["tiny-imagenet", "googlenet"])
def test_the_english_notes_are_those_of_the_provenance(
    name: str, embedded: PretrainedModel, random_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(random_onnx.parent))
    pretrained = embedded if name == "tiny-imagenet" else load(name)
    words = json.loads(ENGLISH.read_text("utf-8"))
    prefix = f"deeper.about_{name.replace('-', '_')}_"
    notes = {key.removeprefix(prefix): text for key, text in words.items() if key.startswith(prefix)}
    provenance = pretrained.provenance
    expected = {
        "source": provenance.source.replace("`", ""),
        "licence": provenance.licence,
        "training_data": provenance.training_data,
        "accuracy": provenance.accuracy,
    }
    if pretrained.rejection:
        expected["outside_photos"] = pretrained.rejection.outside_photos
    assert notes == {key: typeset(text) for key, text in expected.items()}


def typeset(text: str) -> str:
    """Return a text with the apostrophes, times signs, numbers and no-break spaces of the page."""
    text = re.sub(r"(\d)x(\d)", r"\1×\2", text.replace("'", "’").replace(" %", "\N{NO-BREAK SPACE}%"))
    return re.sub(r"\b(\d)(\d{3}) classes", r"\1,\2 classes", text)
