"""Chinese class names: aligned with ImageNet's labels, and shown only on the page and for ImageNet classes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from inception.explain.shapley import branch_votes
from inception.export.report import answer_report
from inception.prediction import predict
from inception.pretrained.labels import chinese_names
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import EMBEDDED_WEIGHTS, load
from inception.vision.photo import open_photo
from inception.web.class_names import class_name, class_names
from support.paths import EXAMPLES
from support.stage_visitor import StageVisit

ESPRESSO = str(EXAMPLES / "espresso.jpg")


def test_chinese_names_are_aligned_with_imagenets_labels(
    embedded: PretrainedModel, random_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = chinese_names()
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(random_onnx.parent))
    assert tuple(names) == load("googlenet").labels
    for index, label, chinese in (
        (0, "tench", "丁鲷"),
        (15, "robin", "旅鸫"),
        (134, "crane bird", "鹤"),
        (340, "zebra", "斑马"),
        (388, "giant panda", "大熊猫"),
        (517, "crane", "起重机"),
        (639, "maillot tank suit", "连体泳衣"),
        (681, "notebook", "笔记本电脑"),
        (980, "volcano", "火山"),
        (999, "toilet tissue", "卫生纸"),
    ):
        assert list(names.items())[index] == (label, chinese)
    assert set(embedded.labels) <= set(names)
    assert len(embedded.labels) == len(set(embedded.labels))


def test_chinese_names_are_unique_and_few_are_missing(embedded: PretrainedModel) -> None:
    translated = [name for name in chinese_names().values() if name is not None]
    assert len(translated) == len(set(translated)) >= 980
    assert [name for name in translated if not re.search(r"[\u4e00-\u9fff]", name)] == ["iPod"]
    assert [name for name in translated if re.search(r"[\s；;，,、（）()]", name)] == [], "one name, no remarks"
    assert [label for label in embedded.labels if chinese_names()[label] is None] == []


def test_class_names_by_language(embedded: PretrainedModel) -> None:
    crane = embedded.labels.index("crane")
    assert class_name(embedded, crane, "en") == "crane"
    assert class_name(embedded, crane, "zh") == "起重机 (crane)"
    assert class_name(embedded, embedded.labels.index("iPod"), "zh") == "iPod"
    other = replace(embedded, labels=("zebra", "eft", "unicorn"))
    assert class_names(other, "zh") == ("斑马 (zebra)", "eft（英文名）", "unicorn（英文名）")


def test_class_names_of_a_users_checkpoint_are_unchanged(tmp_path: Path, embedded: PretrainedModel) -> None:
    path = tmp_path / "tiny-imagenet.safetensors"
    path.write_bytes(EMBEDDED_WEIGHTS.read_bytes())
    assert embedded.imagenet
    assert class_names(load(path), "zh") == embedded.labels


def test_api_and_python_explanations_use_english(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(ESPRESSO))
    assert answer_report("tiny-imagenet", prediction, 1)["top"][0]["label"] == "espresso"
    assert branch_votes(embedded, prediction, "4c").label == "espresso"


@pytest.mark.browser
def test_the_chinese_stage_shows_chinese_class_names(visit: StageVisit) -> None:
    visit.open()
    answer = visit.page.locator("[data-stage=answer]")
    expect(answer).to_contain_text("espresso")
    visit.page.get_by_role("button", name="中文", exact=True).click()
    expect(answer).to_contain_text("浓缩咖啡")
    visit.page.get_by_role("button", name="EN", exact=True).click()
    expect(answer).not_to_contain_text("浓缩咖啡")
    expect(answer).to_contain_text("espresso")
