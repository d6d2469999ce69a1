"""The guided lesson: each step's right answer against arithmetic of its own, and what the page says of it."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import googlenet, vgg16

from inception import load, open_photo, predict
from inception.explain.shapley import branch_votes
from inception.network.anatomy import network_facts
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.cost import published_network
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction, predict_crop
from inception.pretrained.description import UNKNOWN_PROVENANCE
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.query import Query
from inception.service.service import InferenceService
from inception.vision.preprocessing import Preprocessing
from inception.web.blocks import build
from inception.web.explanations import Why
from inception.web.lesson.material import upside_down
from inception.web.lesson.steps import STEPS, ClassNumber, Found, Material, nearest, step_number
from inception.web.panels.lesson import choice_text, head_html, sentence, verdict_html
from inception.web.sections.lesson import Progress
from inception.web.text import TEXT
from support.networks import lively
from support.paths import EXAMPLES

# The paper's table 1, typed in once more: channels in, 1x1, 3x3 reduction and 3x3, 5x5 reduction and 5x5, pool.
TABLE = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
NUMBERS = {step.key: number for number, step in enumerate(STEPS, 1)}


@pytest.fixture(scope="module", params=["red_panda.jpg", "giant_panda.jpg"])
def seen(request: pytest.FixtureRequest) -> Prediction:
    return predict(load(), open_photo(EXAMPLES / request.param))


def seeing(size: int) -> Preprocessing:
    return replace(load().preprocessing, size=size)


def material(pretrained: PretrainedModel, seen: Prediction | None = None) -> Material:
    facts = network_facts(pretrained.model)
    if seen is None:
        return Material(pretrained, facts)
    turned = seen.image.rotate(180)
    return Material(
        pretrained,
        facts,
        seen,
        lambda block: branch_votes(pretrained, seen, block),
        lambda: predict_crop(pretrained, turned),
    )


def random_network(variant: str, classes: int = 7) -> PretrainedModel:
    model = lively(InceptionV1(variant=variant, classes=classes, classifier_activation=None))
    assert isinstance(model, InceptionV1)
    labels = tuple(f"thing {number}" for number in range(classes))
    return PretrainedModel(variant, model, seeing(224), labels, UNKNOWN_PROVENANCE)


def check(key: str, given: Material) -> Found:
    step = STEPS[NUMBERS[key] - 1]
    found, posed = step.check(given), step.pose(given)
    assert found.right in [choice.key for choice in posed.choices]
    assert 2 <= len(posed.choices) <= 4
    return found


def weights_of(row: tuple[int, ...], wide: int = 5) -> tuple[int, int]:
    """A block's weights with reductions and without."""
    given, one, reduce3, three, reduce5, five, pool = row
    reduced = given * (one + reduce3 + reduce5 + pool) + 9 * reduce3 * three + wide**2 * reduce5 * five
    return reduced, given * one + 9 * given * three + wide**2 * given * five


def test_the_lesson_has_ten_steps_on_blocks_and_explanations_that_there_are(embedded: PretrainedModel) -> None:
    assert len(STEPS) == len({step.key for step in STEPS}) == 10
    tabs = Why(InferenceService(("tiny-imagenet",), choose_device("cpu"))).tabs
    for step in STEPS:
        for scene in (step.before, step.after):
            assert scene.block in BLOCKS
            assert scene.tab in tabs
            assert f"view_{scene.view}" in TEXT["en"]
    assert [step.key for step in STEPS if step.needs_photo] == ["depth", "votes", "wrong"]


def test_what_a_cell_sees_by_hand(embedded: PretrainedModel) -> None:
    # Kernel and stride of each layer from the photo to the input of block 3a.
    size, stride = 1, 1
    for kernel, step in ((7, 2), (3, 2), (1, 1), (3, 1), (3, 2)):
        size, stride = size + (kernel - 1) * stride, stride * step
    found = check("sizes", material(embedded))
    assert found.right == str(size + 4 * stride) == "59"
    assert (found.details["one"], found.details["stride"], found.details["pool"]) == (size, stride, size + 2 * stride)
    # torchvision's "5x5" runs 3x3.
    assert check("sizes", material(random_network("torchvision"))).right == str(size + 2 * stride)


def test_what_the_naive_block_costs_by_the_papers_table(embedded: PretrainedModel) -> None:
    reduced, naive = weights_of(TABLE["3a"])
    found = check("naive", material(embedded))
    assert (
        (found.details["naive"], found.details["reduced"]) == (f"{naive:,}", f"{reduced:,}") == ("387,072", "163,328")
    )
    assert found.right == "2"
    terms = [np.prod([int(factor) for factor in term.split("×")]) for term in str(found.details["sum"]).split(" + ")]
    assert sum(terms) == naive
    cells = (embedded.input_size // 8) ** 2
    assert found.details["naive_work"] == f"{naive * cells / 1e6:.1f}"
    assert (
        check("naive", material(random_network("torchvision"))).details["naive"] == f"{weights_of(TABLE['3a'], 3)[1]:,}"
    )


def test_how_many_channels_the_reductions_leave(embedded: PretrainedModel) -> None:
    given, _, reduce3, _, reduce5, five, _ = TABLE["4c"]
    found = check("reduction", material(embedded))
    assert found.right == str(reduce5)
    assert found.details["three_reduced"] == reduce3
    assert found.details["direct"] == f"{25 * given * five:,}"
    assert found.details["through"] == f"{given * reduce5 + 25 * reduce5 * five:,}"


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
def test_which_block_multiplies_more_counted_by_hooks(variant: str) -> None:
    network = random_network(variant)
    done = {"3a": 0, "5b": 0}

    def count(block: str, module: nn.Module, output: torch.Tensor) -> None:
        done[block] += output[0].numel() * module.weight[0].numel() if isinstance(module, nn.Conv2d) else 0

    for block in done:
        for module in network.model.block(block).modules():
            module.register_forward_hook(lambda one, _, output, block=block: count(block, one, output))
    network.model(torch.zeros(1, 3, 224, 224))
    counted = dict(done)  # the lesson counts on copies of the network, whose hooks count on
    found = check("price", material(network))
    assert found.right == max(counted, key=lambda block: counted[block]) == "3a"
    assert found.details["early_work"] == f"{counted['3a'] / 1e6:,.1f}"
    assert found.details["late_work"] == f"{counted['5b'] / 1e6:,.1f}"


def test_how_wide_nine_naive_blocks_become(embedded: PretrainedModel) -> None:
    channels = TABLE["3a"][0]
    for _, one, _, three, _, five, _ in TABLE.values():
        channels += one + three + five
    found = check("pool", material(embedded))
    assert found.right == str(channels) == "4944"
    assert found.details["places"] == "0–383, 384–767, 768–895, 896–1023"


def test_which_block_is_more_silent(embedded: PretrainedModel, seen: Prediction) -> None:
    early, late = (float(np.mean(seen.block(block) == 0)) for block in ("3a", "5b"))
    found = check("depth", material(embedded, seen))
    assert found.right == ("same" if abs(early - late) < 0.05 else "5b" if late > early else "3a")
    assert (found.details["early_zero"], found.details["late_zero"]) == (f"{early:.1%}", f"{late:.1%}")
    assert bool(found.why) is (found.right == "5b")


def test_a_network_without_zeros_is_the_same_early_and_late() -> None:
    model = lively(InceptionV1(preact=True, classes=7, classifier_activation=None, input_shape=(3, 64, 64)))
    assert isinstance(model, InceptionV1)
    network = PretrainedModel("own", model, seeing(64), tuple("abcdefg"), UNKNOWN_PROVENANCE)
    seen = predict(network, open_photo(EXAMPLES / "bison.jpg"))
    found = check("depth", material(network, seen))
    assert (found.right, found.why) == ("same", "")


def test_what_the_auxiliary_classifiers_hold_and_that_they_have_no_say(embedded: PretrainedModel) -> None:
    # 1x1 to 128 channels, 4x4 cells, 1024 hidden units, 1000 classes; with biases.
    by_hand = sum(given * 128 + 128 + 2048 * 1024 + 1024 + 1024 * 1000 + 1000 for given in (512, 528))
    found = check("auxiliary", material(embedded))
    assert found.details["gone"] == f"{by_hand:,}"
    assert found.details["here"] == "0"
    assert found.right == "50"
    everything = sum(parameter.numel() for parameter in published_network().parameters())
    assert found.details["trained"] == f"{everything:,}"
    theirs = googlenet(weights=None, aux_logits=True, init_weights=False)
    aux = sum(p.numel() for name, p in theirs.named_parameters() if name.startswith("aux"))
    # torchvision's have BatchNorm, a scale and a shift, where the paper's have a bias.
    assert aux == by_hand + 2 * 128
    trained = InceptionV1(variant="googlenet", classes=3, aux_classifiers=True, input_shape=(3, 64, 64))
    assert (
        check(
            "auxiliary", material(PretrainedModel("own", trained, seeing(64), tuple("abc"), UNKNOWN_PROVENANCE))
        ).details["here"]
        != "0"
    )
    assert trained.eval().trace(torch.zeros(1, 3, 64, 64)).aux == {}


def test_vgg16_as_torchvision_builds_it(embedded: PretrainedModel) -> None:
    with torch.device("meta"):
        theirs = vgg16()
    parameters = sum(parameter.numel() for parameter in theirs.parameters())
    found = check("vgg", material(embedded))
    assert parameters == 138_357_544
    assert found.details["vgg_parameters"] == f"{parameters / 1e6:.1f}"
    # Thirteen 3x3 convolutions at 224, 112, 56, 28 and 14 pixels, and three linear layers.
    work, given = 25_088 * 4096 + 4096 * 4096 + 4096 * 1000, 3
    for side, widths in ((224, (64, 64)), (112, (128, 128)), (56, (256,) * 3), (28, (512,) * 3), (14, (512,) * 3)):
        for width in widths:
            work, given = work + 9 * given * width * side * side, width
    assert found.details["vgg_work"] == f"{work / 1e6:,.1f}"
    assert found.right == "10"
    own = float(str(found.details["work"]).replace(",", ""))
    assert found.details["times"] == f"{work / 1e6 / own:.1f}"


def test_which_branch_has_the_largest_vote(embedded: PretrainedModel, seen: Prediction) -> None:
    told = branch_votes(embedded, seen, "4c")
    found = check("votes", material(embedded, seen))
    assert told.votes[found.right] == max(told.votes.values())
    terms = [float(str(found.details[f"vote{number}"]).replace("\u2212", "-")) for number in range(1, 5)]
    assert terms == pytest.approx(list(told.votes.values()), abs=0.005)
    brightest = max(BRANCHES, key=lambda branch: seen.branch("4c", branch).mean())
    assert found.why == ("lesson_votes_bright" if brightest == found.right else "lesson_votes_dark")


def test_what_becomes_of_the_answer_upside_down(embedded: PretrainedModel, seen: Prediction) -> None:
    turned = predict_crop(embedded, seen.image.rotate(180))
    before, after = seen.top(1)[0], turned.top(1)[0]
    found = check("wrong", material(embedded, seen))
    assert (found.right == "other") is (before.index != after.index)
    assert found.details["now"] == ClassNumber(after.index)
    assert found.details["left"] == f"{turned.probabilities[before.index]:.1%}"


@pytest.mark.parametrize(("index", "left", "right"), [(0, 0.9, "same"), (0, 0.75, "unsure"), (1, 0.1, "other")])
def test_the_three_outcomes_upside_down(
    embedded: PretrainedModel, seen: Prediction, index: int, left: float, right: str
) -> None:
    def answer(first: int, probability: float) -> Any:
        probabilities = np.zeros(len(embedded.labels))
        probabilities[0] = probability
        return SimpleNamespace(
            top=lambda _k: [SimpleNamespace(index=first, probability=0.9)], probabilities=probabilities
        )

    given = replace(material(embedded, seen), prediction=answer(0, 0.9), turned=lambda: answer(index, left))
    assert check("wrong", given).right == right


def test_a_step_about_a_photo_cannot_be_checked_without_one(embedded: PretrainedModel) -> None:
    for step in STEPS:
        if step.needs_photo:
            with pytest.raises(ValueError, match="needs a photo"):
                step.check(material(embedded))
        else:
            assert check(step.key, material(embedded)).right


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("variant", ["embedded", "torchvision"])
def test_every_step_is_said_in_whole_sentences(language: str, variant: str, seen: Prediction) -> None:
    network = load() if variant == "embedded" else random_network(variant)
    if variant != "embedded":
        seen = predict(network, open_photo(EXAMPLES / "bison.jpg"))
    given = material(network, seen)
    for number, step in enumerate(STEPS, 1):
        posed, found = step.pose(given), step.check(given)
        chosen = posed.choices[0].key
        said = [
            head_html(number, posed, step.before, [None] * len(STEPS), network, language),
            sentence(f"lesson_{step.key}_ask", posed.details, network, language),
            *(choice_text(choice, network, language) for choice in posed.choices),
            verdict_html(number, chosen, found, posed.choices, network, language),
        ]
        assert len(set(said)) == len(said)
        text = re.sub("<[^>]+>", " ", " ".join(said))
        assert "{" not in text
        assert "object" not in text and "BranchFacts" not in text and "ClassNumber" not in text  # noqa: PT018
        if language == "zh":
            assert not re.search(r"(?:\b[a-z]+ ){4}", text)
        right = verdict_html(number, found.right, found, posed.choices, network, language)
        assert "il-right" in right
        assert TEXT[language]["lesson_right"] in right


def test_without_a_photo_the_step_asks_for_one(embedded: PretrainedModel) -> None:
    html = head_html(9, None, STEPS[8].before, [True, False, *[None] * 8], embedded, "en")
    assert "Choose one on this page" in html
    assert "1 of 2 right" in html
    assert html.count("il-right") == html.count("il-wrong") == html.count("il-here") == 1


@pytest.mark.parametrize(
    ("told", "number"),
    [("3", 3), ("10", 10), ("0", None), ("11", None), ("-3", None), ("", None), ("x", None), ("²", None), (None, None)],
)
def test_only_steps_that_there_are_can_be_linked_to(told: object, number: int | None) -> None:
    assert step_number(told) == number


def test_the_nearest_is_meant_as_a_factor() -> None:
    assert nearest(3.1, (1, 10)) == 1
    assert nearest(3.2, (1, 10)) == 10


def test_upside_down_is_another_look_at_the_same_pixels(photo: Any) -> None:
    query = Query("tiny-imagenet", photo, "abc")
    turned = upside_down(query)
    assert turned.digest != query.digest
    assert np.array_equal(np.asarray(turned.image), np.asarray(photo)[::-1, ::-1])


class Page:
    """The lesson on a page that nobody looks at: what its handler is told and tells."""

    def __init__(self) -> None:
        from inception.web.sections.lesson import LessonSection

        made: list[LessonSection] = []
        first = LessonSection.__init__
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LessonSection, "__init__", lambda it, service: (made.append(it), first(it, service))[1])
            self.service = InferenceService(("tiny-imagenet",), choose_device("cpu"))
            build(self.service)
        self.lesson = made[0]
        around, lesson = self.lesson.around, self.lesson
        self.data: dict[Any, Any] = {
            lesson.at: "0",
            lesson.guess: "",
            lesson.choice: None,
            lesson.progress: Progress(),
            around.query: None,
            around.model: "tiny-imagenet",
            around.language: "en",
        }

    def tell(self, **changes: Any) -> dict[Any, Any]:
        lesson, around = self.lesson, self.lesson.around
        where = {"at": lesson.at, "guess": lesson.guess, "query": around.query, "language": around.language}
        self.data.update({where[name]: value for name, value in changes.items()})
        told = lesson._show(self.data)
        self.data[lesson.progress] = told[lesson.progress]
        return told


def test_a_result_stays_and_goes_with_the_photo_that_it_is_about() -> None:
    page = Page()
    lesson, around = page.lesson, page.lesson.around
    told = page.tell(at="9")
    assert told[lesson.example]["visible"] is True
    assert told[around.block] == "4c"
    told = page.tell(query=page.service.query("tiny-imagenet", EXAMPLES / "red_panda.jpg"))
    assert told[lesson.verdict] == ""
    assert around.block not in told, "the page is driven once for each step"
    told = page.tell(guess="9 1 pool")
    assert "Not quite. It is: 3×3" in told[lesson.verdict]
    assert told[lesson.why.open] == "votes"
    assert page.tell(at="1")[lesson.verdict] == ""
    told = page.tell(at="9")
    assert "Not quite" in told[lesson.verdict]
    assert told[lesson.choice]["value"] == "pool"
    assert "不完全对" in page.tell(language="zh")[lesson.verdict]
    told = page.tell(query=page.service.query("tiny-imagenet", EXAMPLES / "espresso.jpg"))
    assert told[lesson.verdict] == ""
    assert told[lesson.choice]["interactive"] is True


def test_a_check_without_a_prediction_or_with_a_foreign_one_reveals_nothing() -> None:
    page = Page()
    lesson = page.lesson
    page.tell(at="1")
    for guess in ("1 1 ", "1 2 nonsense"):
        assert "Predict first" in page.tell(guess=guess)[lesson.verdict]
    assert page.tell(guess="2 3 59")[lesson.verdict] == "", "it was another step's"
    assert "Right" in page.tell(guess="1 4 59")[lesson.verdict]
    closed = page.tell(at="-1")
    assert closed[lesson.body]["visible"] is False


def test_what_cannot_be_computed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page()
    page.tell(at="1")
    monkeypatch.setattr(page.service, "facts", lambda _name: 1 / 0)
    assert "alert" in page.tell(guess="1 1 59")[page.lesson.verdict]
