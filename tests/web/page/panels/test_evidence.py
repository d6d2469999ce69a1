"""The evidence's page says what the numbers say: sums that add up as shown, one scale for all pictures."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from html import unescape

import numpy as np
import pytest
from PIL import Image

from inception.explain.attribution import Evidence, GradCam, evidence, grad_cams
from inception.network.blocks import BRANCHES
from inception.prediction import Prediction, predict
from inception.pretrained.pretrained import PretrainedModel
from inception.render import maps as render
from inception.web.panels.block import data_url
from inception.web.panels.evidence import adding_up, cams_html, decimals_for, evidence_html, number, settled
from inception.web.text import say

NAMES = {"1x1": "1×1", "3x3": "3×3", "5x5": "5×5", "pool": "the pool"}


@pytest.fixture(scope="module")
def looked(embedded: PretrainedModel, photo: Image.Image) -> Prediction:
    return predict(embedded, photo)


@pytest.fixture(scope="module")
def told(embedded: PretrainedModel, looked: Prediction) -> Evidence:
    return evidence(embedded, looked)


@pytest.fixture(scope="module")
def cams(embedded: PretrainedModel, looked: Prediction) -> dict[str | None, GradCam]:
    return grad_cams(embedded, looked, "4c")


def plain(html: str) -> str:
    """The words of a piece of HTML, with one space between them."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def decimal(shown: str) -> Decimal:
    return Decimal(shown.replace("−", "-").replace(" ", ""))


def sum_of(html: str) -> tuple[list[Decimal], Decimal, Decimal]:
    """The terms of the sum check, what it comes to, and the logit, as the page shows them."""
    (line,) = re.findall(r'<p class="il-evidence-sum">(.*?)</p>', html)
    terms = re.findall(r'<span class="il-evidence-term[^>]*>([+−]? ?−?[\d.]+) <small>', line)
    total, logit = re.search(r"= (−?[\d.]+); the logit is (−?[\d.]+)\.", line).groups()  # type: ignore[union-attr]
    return [decimal(term) for term in terms], decimal(total), decimal(logit)


def pictures(html: str) -> list[str]:
    return re.findall(r'<article .*?<img src="([^"]+)"', html)


# ---------------------------------------------------------------- numbers


def test_rounded_parts_add_up_and_none_is_off_by_more_than_one_unit() -> None:
    rng = np.random.default_rng(0)
    uneven = 0
    for _ in range(300):
        parts = rng.normal(scale=5, size=rng.integers(2, 13))
        shown = adding_up(list(parts), float(parts.sum()), 2)
        assert sum(shown) == Decimal(f"{parts.sum():.2f}")
        assert all(abs(float(one) - part) < 0.01 for one, part in zip(shown, parts, strict=True))
        uneven += sum(round(part, 2) for part in parts).round(2) != parts.sum().round(2)
    assert uneven > 50, "plain rounding would have done"


def test_what_rounding_leaves_over_goes_where_it_is_least_wrong() -> None:
    assert [str(one) for one in adding_up([0.114, 0.113, 0.113], 0.34, 2)] == ["0.12", "0.11", "0.11"]
    assert [str(one) for one in adding_up([0.338, 0.3365, 0.3355], 1.01, 2)] == ["0.34", "0.34", "0.33"]


def test_parts_that_do_not_come_to_the_total_are_no_matter_of_rounding() -> None:
    with pytest.raises(ValueError, match="not to 2"):
        adding_up([0.5, 0.5], 2.0, 2)


def test_a_last_digit_is_not_different_by_a_tie_alone() -> None:
    assert settled(1.23449999, 1.23450001, 3) == 1.23450001
    assert settled(1.2345, 1.2365, 3) == 1.2345


@pytest.mark.parametrize(
    ("value", "decimals", "shown"), [(-1.5, 2, "−1.50"), (-0.001, 2, "0.00"), (12.34, 1, "12.3"), (0.0, 0, "0")]
)
def test_numbers_have_a_true_minus_and_zero_has_none(value: float, decimals: int, shown: str) -> None:
    assert number(value, decimals) == shown


def test_decimals_follow_the_largest_number() -> None:
    assert [decimals_for([value, 0.0]) for value in (123.4, 12.3, 1.0, 0.99, 0.0123, 1e-30, 0.0)] == [
        0,
        1,
        2,
        3,
        4,
        9,
        2,
    ]


# ---------------------------------------------------------------- evidence


def test_the_sum_check_adds_up_as_it_is_shown(told: Evidence, looked: Prediction) -> None:
    terms, total, logit = sum_of(evidence_html(told, looked, NAMES, "en"))
    assert sum(terms) == total == logit
    assert float(logit) == pytest.approx(float(looked.logits[told.index]), abs=0.005)
    truth = [*told.amounts.values(), told.rest]
    unit = 10.0 ** int(terms[0].as_tuple().exponent)
    assert [float(term) for term in terms] == pytest.approx(truth, abs=unit)


def test_the_sum_check_adds_up_for_all_sorts_of_numbers(told: Evidence, looked: Prediction) -> None:
    rng = np.random.default_rng(1)
    for size in (0.01, 1, 30) * 20:
        amounts, rest = (
            dict(zip(BRANCHES, (rng.normal(size=4) * size).tolist(), strict=True)),
            float(rng.normal() * size),
        )
        logit = float(np.float32(rest + sum(amounts.values())))
        terms, total, shown = sum_of(
            evidence_html(replace(told, amounts=amounts, rest=rest, logit=logit), looked, NAMES, "en")
        )
        assert sum(terms) == total == shown


def test_a_split_that_misses_the_logit_shows_it(told: Evidence, looked: Prediction) -> None:
    terms, total, logit = sum_of(evidence_html(replace(told, logit=told.logit + 1), looked, NAMES, "en"))
    assert sum(terms) == total
    assert float(logit - total) == pytest.approx(1, abs=0.01)


def test_the_panels_amounts_are_those_of_the_sum(told: Evidence, looked: Prediction) -> None:
    html = evidence_html(told, looked, NAMES, "en")
    terms, *_ = sum_of(html)
    amounts = [decimal(shown) for shown in re.findall(r"<strong>(−?[\d.]+) in sum</strong>", html)]
    assert amounts == [sum(terms[:4]), *terms[:4]]


def test_all_five_maps_lie_on_the_photo_in_one_signed_scale(told: Evidence, looked: Prediction) -> None:
    html = evidence_html(told, looked, NAMES, "en")
    maps = [sum(told.maps.values()), *told.maps.values()]
    reach = max(float(np.abs(one).max()) for one in maps)
    bounds = render.Limits(-reach, reach)
    assert pictures(html) == [data_url(render.overlay(looked.image, one, bounds, size=320)) for one in maps]
    assert re.findall(r'<article [^>]*data-branch="(\w+)"', html) == ["all", *BRANCHES]
    ends = [decimal(end) for end in re.findall(r"<span>(−?[\d.]+)</span>", html)]
    assert ends[0] == -ends[1]
    assert float(ends[1]) == pytest.approx(reach, rel=0.01)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_the_split_holds_for_is_said_as_the_head_has_it(told: Evidence, looked: Prediction, language: str) -> None:
    linear = plain(evidence_html(replace(told, linear=True), looked, NAMES, language))
    piece = plain(evidence_html(replace(told, linear=False), looked, NAMES, language))
    assert "Zhou" in linear
    assert "ReLU" not in linear
    assert "ReLU" in piece
    assert "Zhou" not in piece


def test_channels_are_numbered_within_their_branch(told: Evidence, looked: Prediction) -> None:
    html = evidence_html(told, looked, NAMES, "en")
    for side, strongest in (("for", told.strongest_for), ("against", told.strongest_against)):
        (table,) = re.findall(rf'<table data-side="{side}">.*?</table>', html)
        rows = [plain(row) for row in re.findall(r"<tr>(.*?)</tr>", table)][1:]
        assert len(rows) == len(strongest) == 10
        for row, one in zip(rows, strongest, strict=True):
            channel, shown = re.fullmatch(rf"(\d+) {NAMES[one.branch]} (−?[\d.]+)", row).groups()  # type: ignore[union-attr]
            assert looked.branch("5b", one.branch)[int(channel)].max() == np.float32(one.highest)
            assert float(decimal(shown)) == pytest.approx(one.amount, abs=0.005)


def test_bars_are_as_long_as_the_amounts(told: Evidence, looked: Prediction) -> None:
    html = evidence_html(told, looked, NAMES, "en")
    widths = [float(width) for width in re.findall(r"il-evidence-bar[^>]*width: ([\d.]+)%", html)]
    amounts = np.abs([one.amount for one in (*told.strongest_for, *told.strongest_against)])
    assert widths == pytest.approx(100 * amounts / amounts.max(), abs=0.06)


def test_nothing_against_a_class_is_said_in_a_sentence(told: Evidence, looked: Prediction) -> None:
    html = evidence_html(replace(told, strongest_against=()), looked, NAMES, "en")
    assert html.count("<table") == 1
    assert say("en", "evidence_none") in html


# ---------------------------------------------------------------- Grad-CAM


@pytest.mark.parametrize("rectified", [False, True])
def test_grad_cams_share_one_scale(cams: dict[str | None, GradCam], looked: Prediction, rectified: bool) -> None:
    html = cams_html(cams, looked, "4c", NAMES, "en", rectified=rectified)
    maps = [np.maximum(cam.signed, 0) if rectified else cam.signed for cam in cams.values()]
    reach = max(float(np.abs(one).max()) for one in maps)
    bounds = render.Limits(0.0 if rectified else -reach, reach)
    assert pictures(html) == [data_url(render.overlay(looked.image, one, bounds, size=320)) for one in maps]
    told = re.findall(r"lowest (−?[\d.]+) · highest (−?[\d.]+) · mean (−?[\d.]+)", html)
    for shown, one in zip(told, maps, strict=True):
        assert [float(decimal(part)) for part in shown] == pytest.approx(
            [one.min(), one.max(), one.mean()], abs=reach / 100
        )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_grad_cam_is_called_an_approximation_and_signed_and_rectified_are_told_apart(
    cams: dict[str | None, GradCam], looked: Prediction, language: str
) -> None:
    signed, rectified = (plain(cams_html(cams, looked, "4c", NAMES, language, rectified=one)) for one in (False, True))
    for words in (signed, rectified):
        assert "Selvaraju" in words
        assert say(language, "cam_no_check") in words
    assert say(language, "cam_signed") in signed
    assert say(language, "cam_signed") not in rectified
    assert say(language, "cam_rectified") in rectified


def test_a_class_that_nothing_speaks_for_is_no_reason_to_fail(
    cams: dict[str | None, GradCam], looked: Prediction
) -> None:
    against = {branch: replace(cam, signed=-np.abs(cam.signed)) for branch, cam in cams.items()}
    assert "highest 0.00" in cams_html(against, looked, "4c", NAMES, "en", rectified=True)


# ---------------------------------------------------------------- both


def test_names_from_outside_cannot_become_html(
    told: Evidence, cams: dict[str | None, GradCam], looked: Prediction
) -> None:
    bad = '<b onclick="x">'
    names = dict.fromkeys(BRANCHES, bad)
    for html in (
        evidence_html(replace(told, label=bad), looked, names, "en"),
        cams_html({branch: replace(cam, label=bad) for branch, cam in cams.items()}, looked, "4c", names, "en"),
    ):
        assert bad not in html
        assert "&lt;b onclick=&quot;x&quot;&gt;" in html


def test_every_picture_has_words_and_comes_with_the_page(
    told: Evidence, cams: dict[str | None, GradCam], looked: Prediction
) -> None:
    html = evidence_html(told, looked, NAMES, "zh") + cams_html(cams, looked, "4c", NAMES, "zh")
    shown = re.findall(r'<img src="(data:image/\w+;base64,[^"]+)" width="(\d+)" height="\d+" alt="([^"]+)"', html)
    assert len(shown) == 10
    assert all(int(width) <= 320 and told.label.split(",")[0] in alt for _, width, alt in shown)
    assert len(re.findall("<img", html)) == 10 + 2, "and two colour bars, whose ends are told in numbers"
