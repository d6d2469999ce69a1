"""Chinese names of classes: in line with ImageNet's labels, on the page only, and only for ImageNet's classes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from inception.explain.ablation import ablate
from inception.explain.shapley import branch_votes
from inception.export.report import answer_report
from inception.prediction import predict
from inception.pretrained.labels import chinese_names
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import _imagenet_labels, load
from inception.render.branches import ViewOptions
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.vision.photo import open_photo
from inception.web.class_names import class_name, class_names, sort_key
from inception.web.explanations import Question, Why
from inception.web.handlers import Handlers
from inception.web.panels.block import about_html
from inception.web.sections.why import WhySection
from support.paths import EXAMPLES
from support.visitor import Visit

ESPRESSO = str(EXAMPLES / "espresso.jpg")


@pytest.fixture(scope="module")
def service() -> InferenceService:
    return InferenceService(("tiny-imagenet",), choose_device("cpu"))


def test_the_list_is_in_line_with_imagenets_labels(embedded: PretrainedModel) -> None:
    names = chinese_names()
    assert tuple(names) == _imagenet_labels()
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


def test_no_two_classes_share_a_chinese_name_and_few_have_none(embedded: PretrainedModel) -> None:
    sure = [name for name in chinese_names().values() if name is not None]
    assert len(sure) == len(set(sure)) >= 980
    assert [name for name in sure if not re.search(r"[\u4e00-\u9fff]", name)] == ["iPod"]
    assert [name for name in sure if re.search(r"[\s；;，,、（）()]", name)] == [], "one name, no remarks"
    assert [label for label in embedded.labels if chinese_names()[label] is None] == []


def test_names_in_a_language(embedded: PretrainedModel) -> None:
    crane = embedded.labels.index("crane")
    assert class_name(embedded, crane, "en") == "crane"
    assert class_name(embedded, crane, "zh") == "起重机 (crane)"
    assert class_name(embedded, crane, "zh", short=True) == "起重机"
    assert class_name(embedded, embedded.labels.index("iPod"), "zh") == "iPod"
    strange = replace(embedded, labels=("zebra", "eft", "unicorn"))
    assert class_names(strange, "zh") == ("斑马 (zebra)", "eft（英文名）", "unicorn（英文名）")
    assert class_names(strange, "zh", short=True) == ("斑马", "eft（英文名）", "unicorn（英文名）")


def test_a_users_own_classes_are_untouched(tmp_path: Path, embedded: PretrainedModel) -> None:
    from inception.pretrained.zoo import EMBEDDED

    path = tmp_path / "tiny-imagenet.safetensors"
    path.write_bytes(EMBEDDED.read_bytes())
    assert embedded.imagenet
    assert class_names(load(path), "zh") == embedded.labels


def test_chinese_names_are_sorted_by_their_sound() -> None:
    assert sorted(["斑马", "蚂蚁", "Ant", "鹅", "bee"], key=sort_key) == ["Ant", "bee", "斑马", "鹅", "蚂蚁"]


def test_answer_classes_and_about_are_in_the_visitors_language(service: InferenceService) -> None:
    handlers, pretrained = Handlers(service), service.pretrained("tiny-imagenet")
    shown = handlers.answer(ESPRESSO, "tiny-imagenet", 3, ViewOptions(), "zh")
    assert shown.answer is not None
    assert next(iter(shown.answer)) == "浓缩咖啡 (espresso)"
    english = handlers.top(shown.query, 3, "en")
    assert english is not None
    assert next(iter(english)) == "espresso"
    assert list(english.values()) == list(shown.answer.values())
    assert "红毛猩猩 (orangutan)" in about_html(pretrained, "zh")
    assert "红毛猩猩" not in about_html(pretrained, "en")
    assert "浓缩咖啡" in handlers.network(shown.query, "tiny-imagenet", "3a", "zh")


def test_the_choice_of_a_class_offers_both_names(service: InferenceService) -> None:
    section = WhySection.__new__(WhySection)
    section.service = service
    (_, answer), *offered = section._classes("tiny-imagenet", "zh")
    assert answer == -1
    labels = service.pretrained("tiny-imagenet").labels
    assert len(offered) == len(labels)
    assert dict(offered)["小熊猫 (lesser panda)"] == labels.index("lesser panda")
    assert [name for name, _ in offered] == sorted((name for name, _ in offered), key=sort_key)


def test_explanations_speak_of_the_class_in_the_visitors_language(service: InferenceService) -> None:
    why, query = Why(service), service.query("tiny-imagenet", ESPRESSO)
    question = Question(ViewOptions("5b"), branches_off=("3x3",))
    for tab in ("votes", "network", "evidence", "cam"):
        assert "“浓缩咖啡”" in why.tab(tab, query, question, "zh"), tab
        assert "“espresso”" in why.tab(tab, query, question, "en"), tab
    told = why.switched(query, question, "zh")
    exact = service.explained(query, ablate, "5b", ("3x3",), (), "zero")
    for change in (*exact.top, exact.first_before):
        assert f"{chinese_names()[change.label]}" in told
        assert f">{change.label}<" not in told


def test_api_and_explanations_in_python_keep_english(embedded: PretrainedModel) -> None:
    seen = predict(embedded, open_photo(ESPRESSO))
    assert answer_report("tiny-imagenet", seen, 1)["top"][0]["label"] == "espresso"
    assert branch_votes(embedded, seen, "4c").label == "espresso"


@pytest.mark.browser
def test_the_page_in_chinese_names_classes_in_chinese(visit: Visit) -> None:
    visit.upload(EXAMPLES / "espresso.jpg")
    visit.panels_of("Block 3a")
    answer = visit.page.locator("#il-answer")
    expect(answer).to_contain_text("espresso")
    visit.choose("language", "中文")
    expect(answer).to_contain_text("浓缩咖啡 (espresso)")
    visit.choose("language", "English")
    expect(answer).not_to_contain_text("浓缩咖啡")
    expect(answer).to_contain_text("espresso")
