"""The panels of votes, switches and the network at a glance say what the numbers say, in both languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import chain, combinations
from string import Formatter

import pytest
from gradio.themes.utils.colors import slate
from PIL import Image

from inception import predict
from inception.explain.ablation import AblationResult, AblationTable, ClassChange, ablate, ablation_table
from inception.explain.shapley import BranchVotes, branch_votes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.prediction import Prediction
from inception.pretrained.pretrained import PretrainedModel
from inception.web.panels.votes import HEAT, glance_html, switched_html, votes_html
from inception.web.text.votes import TEXT
from support.paths import ROOT

NAMES = {"1x1": "1×1", "3x3": "3×3", "5x5": "5×5 (runs 3×3)", "pool": "pool"}
SLICES = {"1x1": slice(0, 10), "3x3": slice(10, 30), "5x5": slice(30, 34), "pool": slice(34, 40)}
CSS = (ROOT / "inception" / "web" / "static" / "votes.css").read_text()
VOID = {"img", "br", "meta", "hr"}


class Tags(HTMLParser):
    """Checks that tags are closed in order, and keeps them with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.all if name == tag]


def words(html: str) -> str:
    """What a reader sees, in one line."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)))


def additive(
    baseline: float, worth: Mapping[str, float], *, logit: float | None = None, label: str = "red fox"
) -> BranchVotes:
    """Votes of a game in which every branch adds the same whoever else is on."""
    sets = chain.from_iterable(combinations(BRANCHES, size) for size in range(5))
    subsets = {frozenset(on): baseline + sum(worth[branch] for branch in on) for on in sets}
    total = subsets[frozenset(BRANCHES)]
    return BranchVotes(
        block="4c",
        index=7,
        label=label,
        ablation="zero",
        logit=total if logit is None else logit,
        probability=0.75,
        baseline=baseline,
        votes=dict(worth),
        subsets=subsets,
        probabilities={on: len(on) / 4 for on in subsets},
    )


def of(one: float, three: float, five: float, pool: float) -> dict[str, float]:
    return dict(zip(BRANCHES, (one, three, five, pool), strict=True))


LABELS = ("red fox", "cat", "dog")


def change(label: str, now: float, before: float) -> ClassChange:
    return ClassChange(LABELS.index(label) if label in LABELS else len(LABELS), label, now, before, 0.0, 0.0)


def switched_off(
    branches: tuple[str, ...] = ("3x3",), channels: tuple[int, ...] = (), **others: object
) -> AblationResult:
    usual = AblationResult(
        block="4c",
        ablation="zero",
        branches=branches,
        channels=channels,
        top=(change("red fox", 0.6, 0.9), change("cat", 0.25, 0.05)),
        first_before=change("red fox", 0.6, 0.9),
        risen=(change("cat", 0.25, 0.05),),
        fallen=(change("red fox", 0.6, 0.9),),
    )
    return replace(usual, **others)  # type: ignore[arg-type]


def network(falls: Mapping[tuple[str, str], float], label: str = "red fox") -> AblationTable:
    """A network in which only `falls` differ from zero."""
    return AblationTable(
        index=7,
        label=label,
        ablation="zero",
        logit=9.5,
        falls={block: {branch: falls.get((block, branch), 0.0) for branch in BRANCHES} for block in BLOCKS},
    )


@pytest.fixture(scope="module")
def seen(embedded: PretrainedModel, photo: Image.Image) -> Prediction:
    return predict(embedded, photo)


def shown_sum(html: str) -> tuple[list[str], str, str, str]:
    """The terms of the check, the sign between sum and total, the total, and the logit, as they are shown."""
    found = re.search(r"Check: ([^=≈]+) ([=≈]) (\S+); the network's own logit is (\S+)\.(?= |$)", words(html))
    assert found
    terms, equals, total, logit = (part.replace("\u2212", "-") for part in found.groups())
    return terms.replace("+ ", "+").replace("- ", "-").split(), equals, total, logit


def in_last_digits(number: str) -> int:
    """0.21 as 21, so that sums are whole numbers."""
    return int(number.replace(".", ""))


# Votes


@pytest.mark.parametrize("block", ["3a", "4c", "5b"])
def test_the_sum_of_a_real_photo_adds_up_as_it_is_shown_or_says_that_it_does_not(
    embedded: PretrainedModel, seen: Prediction, block: str
) -> None:
    told = branch_votes(embedded, seen, block)
    html = votes_html(told, NAMES, "en")
    terms, equals, total, logit = shown_sum(html)
    assert len(terms) == 5
    assert logit == f"{told.logit:.{len(logit.split('.')[1])}f}"
    # A photo's numbers may fit with none of the digits that are tried: then it must say so.
    fit = sum(map(in_last_digits, terms)) == in_last_digits(total) == in_last_digits(logit)
    assert fit == (equals == "=")
    assert fit != ("rounded" in words(html))


def test_the_fewest_digits_are_shown_that_add_up() -> None:
    plain = votes_html(additive(0.31, of(22.39, 0.81, 0.58, 0.93)), NAMES, "en")
    assert "0.31 + 22.39 + 0.81 + 0.58 + 0.93 = 25.02; the network's own logit is 25.02." in words(plain)
    # With two digits it would read 0.00 + 1.00 + 2.00 + 3.00 + 4.00 = 10.02.
    finer = votes_html(additive(0.004, of(1.004, 2.004, 3.004, 4.004)), NAMES, "en")
    assert "0.004 + 1.004 + 2.004 + 3.004 + 4.004 = 10.020" in words(finer)
    assert "rounded" not in words(plain) + words(finer)


def test_numbers_that_cannot_add_up_as_shown_are_said_to_be_rounded() -> None:
    third = 1 / 3  # 5 × 0.3333 is 1.6665, five thirds are 1.6667
    _, equals, *_ = shown_sum(html := votes_html(additive(third, of(third, third, third, third)), NAMES, "en"))
    assert equals == "≈"
    assert "rounded" in words(html)


def test_a_negative_vote_is_subtracted_in_the_check() -> None:
    html = votes_html(additive(-0.5, of(4.0, -1.25, 0.5, 0.25)), NAMES, "en")
    assert "\u22120.50 + 4.00 \u2212 1.25 + 0.50 + 0.25 = 3.00" in words(html)


@pytest.mark.parametrize(("gap", "confessed"), [(0.0009, False), (0.0012, True), (0.5, True)])
def test_a_sum_that_misses_the_logit_is_confessed(gap: float, confessed: bool) -> None:
    html = votes_html(additive(1.0, of(2.0, 0.5, 0.25, 0.25), logit=4.0 + gap), NAMES, "en")
    _, _, total, logit = shown_sum(html)
    assert (f"differ by {gap:.4f}" in words(html)) == confessed
    assert (total != logit) == confessed


@pytest.mark.parametrize(
    ("worth", "sentence"),
    [
        (of(6.0, 2.0, 1.0, 0.5), "The 1×1 branch carries “red fox” here: its vote is +6.00, 3.00 times the next"),
        (of(1.0, 2.0, 2.4, 0.0), "No branch clearly carries “red fox”: the largest vote, +2.40 of 5×5 (runs 3×3), is"),
        (of(-1.0, 0.0, 3.0, -2.0), "Only the 5×5 (runs 3×3) branch speaks for “red fox”: its vote is +3.00. Against"),
        (of(-1.0, -4.0, 0.0, -2.0), "No branch speaks for “red fox”. Most strongly against it is 3×3 with \u22124.00."),
        (of(0.004, -0.001, 0.0, 0.0), "The four branches make no difference to “red fox”"),
    ],
)
def test_it_is_said_who_carries_the_class(worth: dict[str, float], sentence: str) -> None:
    assert sentence in words(votes_html(additive(0.5, worth), NAMES, "en"))


def test_those_against_the_class_are_named_the_strongest_first() -> None:
    html = votes_html(additive(0.0, of(5.0, -0.5, 1.0, -2.0)), NAMES, "en")
    assert "Against it: pool with \u22122.00, 3×3 with \u22120.50." in words(html)
    assert "Against it" not in words(votes_html(additive(0.0, of(5.0, 1.0, 1.0, 2.0)), NAMES, "en"))


def test_bars_share_one_scale_and_negative_ones_end_at_zero() -> None:
    html = votes_html(additive(1.0, of(6.0, 3.0, 0.0, -2.0)), NAMES, "en")
    # From -2 to 6 is 8: a unit is 12.5 percent, and zero lies at 25.
    assert 'style="--zero: 25.00%"' in html
    bars = [
        (float(left), float(width))
        for left, width in re.findall(r'class="il-votes-bar" style="left: ([\d.]+)%; width: ([\d.]+)%"', html)
    ]
    assert bars == [(25, 12.5), (25, 75), (25, 37.5), (25, 0), (0, 25)]


def test_each_bar_has_its_branchs_colour_and_says_name_and_number() -> None:
    html = votes_html(additive(1.0, of(6.0, 3.0, 0.5, -2.0)), NAMES, "en")
    rows = re.findall(r'<li class="(.*?)">(.*?)</li>', html)
    assert [kind for kind, _ in rows] == ["il-votes-baseline", "il-1x1", "il-3x3", "il-5x5", "il-pool"]
    said = [words(row).split() for _, row in rows]
    assert [row[-1] for row in said] == ["1.00", "+6.00", "+3.00", "+0.50", "\u22122.00"]
    assert said[0][:-1] == ["with", "all", "four", "off"]
    assert said[3][:-1] == ["5×5", "(runs", "3×3)"]


def test_the_table_tells_each_of_the_sixteen_sets_from_none_to_all() -> None:
    worth = of(8.0, 4.0, 2.0, 1.0)
    html = votes_html(additive(0.5, worth), NAMES, "en")
    body = re.search(r"<tbody>(.*?)</tbody>", html, re.S)
    assert body
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body[1].split("</tr>") if row]
    assert rows[0] == ["off", "off", "off", "off", "0.50", "0.0%"]
    assert rows[-1] == ["on", "on", "on", "on", "15.50", "100.0%"]
    assert len({tuple(row[:4]) for row in rows}) == 16
    for row in rows:
        held = [value for value, word in zip(worth.values(), row, strict=False) if word == "on"]
        assert float(row[4]) == 0.5 + sum(held)
        assert row[5] == f"{len(held) * 25}.0%"


@pytest.mark.parametrize(("off", "sentence"), [("zero", "every value is zero"), ("mean", "mean over training photos")])
def test_it_is_said_what_off_means(off: str, sentence: str) -> None:
    assert sentence in words(votes_html(replace(additive(0.0, of(1.0, 2.0, 3.0, 4.0)), ablation=off), NAMES, "en"))
    assert sentence in words(switched_html(switched_off(ablation=off), SLICES, NAMES, "en"))
    assert sentence in words(glance_html(replace(network({}), ablation=off), "4c", NAMES, "en"))


# Switches


def test_nothing_off_is_an_invitation() -> None:
    html = switched_html(switched_off(branches=()), SLICES, NAMES, "en")
    assert "Switch a branch off" in words(html)
    assert "<li" not in html


def test_what_is_off_is_named_and_channels_are_counted_within_their_branch() -> None:
    # 12 is in 3x3, which is off as a whole; 30 to 32 are the first of 5x5.
    html = switched_html(switched_off(("3x3",), (0, 3, 4, 5, 9, 12, 30, 31, 39)), SLICES, NAMES, "en")
    assert (
        "Off: the 3×3 branch; channels 0, 3–5, 9 of the 1×1 branch; channels 0–1 of the 5×5 (runs 3×3) branch; "
        "channel 5 of the pool branch. Channels are counted from 0."
    ) in words(html)
    assert "counted from 0" not in words(switched_html(switched_off(), SLICES, NAMES, "en"))


def test_the_classes_are_told_now_and_before_with_the_points_between() -> None:
    html = switched_html(switched_off(), SLICES, NAMES, "en")
    rows = re.findall(r"<li>(.*?)</li>", html)
    assert [words(row).strip() for row in rows] == [
        "red fox 60.0% before 90.0%, \u221230.0 points",
        "cat 25.0% before 5.0%, +20.0 points",
    ]
    assert 'class="il-switch-now" style="width: 60.00%"' in rows[0]
    assert 'class="il-switch-mark" style="left: 90.00%"' in rows[0]
    assert "Rose most: cat 5.0% → 25.0%." in words(html)
    assert "Fell most: red fox 90.0% → 60.0%." in words(html)


def test_the_points_are_the_difference_of_the_numbers_shown() -> None:
    # The true difference is 29.56, but a reader would check 98.6 - 69.1.
    told = switched_off(top=(change("fox", 0.6906, 0.9862),))
    assert "before 98.6%, \u221229.5 points" in words(switched_html(told, SLICES, NAMES, "en"))


def test_another_first_class_is_said_plainly() -> None:
    same = switched_html(switched_off(), SLICES, NAMES, "en")
    assert "First is “red fox”: 60.0% now, 90.0% before." in words(same)
    assert "The answer changes" not in words(same)
    fox = change("red fox", 0.01, 0.9)
    told = switched_off(top=(change("cat", 0.5, 0.05), change("dog", 0.1, 0.02)), first_before=fox, fallen=(fox,))
    assert (
        "The answer changes: “cat” is now first with 50.0%, before it had 5.0%. “red fox” goes from 90.0% to 1.0%."
    ) in words(switched_html(told, SLICES, NAMES, "en"))


def test_changes_too_small_to_be_shown_are_not_called_a_rise_or_fall() -> None:
    still = change("fox", 0.90001, 0.90002)
    html = switched_html(switched_off(top=(still,), risen=(), fallen=(still,)), SLICES, NAMES, "en")
    assert "No probability changed" in words(html)
    assert "Fell most" not in words(html)


def test_a_real_switch_tells_what_the_network_answers(embedded: PretrainedModel, seen: Prediction) -> None:
    told = ablate(embedded, seen, "4c", ["1x1"], [130])
    html = words(switched_html(told, embedded.model.block("4c").slices, NAMES, "en"))
    assert "Off: the 1×1 branch; channel 2 of the 3×3 branch." in html
    assert f"“{told.top[0].label}”" in html
    assert f"{told.top[0].probability:.1%}" in html
    assert f"before {seen.top(1)[0].probability:.1%}" in html or f"from {seen.top(1)[0].probability:.1%}" in html


# The network at a glance


def test_every_branch_of_every_block_is_a_button_with_its_number(embedded: PretrainedModel, seen: Prediction) -> None:
    told = ablation_table(embedded, seen)
    html = glance_html(told, "4c", NAMES, "en")
    buttons = re.findall(r'<button type="button"[^>]*data-block="(\w+)" data-branch="(\w+)"[^>]*>(.*?)</button>', html)
    assert [(block, branch) for block, branch, _ in buttons] == [(b, n) for b in BLOCKS for n in BRANCHES]
    for block, branch, number in buttons:
        assert float(number.replace("\u2212", "-")) == pytest.approx(told.falls[block][branch], abs=0.00501)


def test_the_colour_grows_with_the_fall_and_its_side_tells_the_sign() -> None:
    html = glance_html(network({("3b", "1x1"): 8.0, ("4a", "pool"): -4.0, ("5b", "5x5"): 2.0}), "4c", NAMES, "en")
    cells = {
        (block, branch): (side, int(heat))
        for side, block, branch, heat in re.findall(
            r'class="il-glance-(\w+)" data-block="(\w+)" data-branch="(\w+)" style="--heat: (\d+)%"', html
        )
    }
    assert len(cells) == 36
    assert cells["3b", "1x1"] == ("for", HEAT)
    assert cells["4a", "pool"] == ("against", HEAT // 2)
    assert cells["5b", "5x5"] == ("for", HEAT // 4)
    assert cells["5a", "3x3"][1] == 0


def test_only_the_row_of_the_chosen_block_is_marked() -> None:
    html = glance_html(network({}), "4d", NAMES, "en")
    assert re.findall(r'<tr aria-current="true"><th scope="row">(\w+)</th>', html) == ["4d"]
    assert html.count("aria-current") == 1


@pytest.mark.parametrize(
    ("falls", "sentence"),
    [
        (
            {("4b", "3x3"): 5.0, ("5a", "1x1"): -4.0},
            "3×3 branch of block 4b: without it the logit of “red fox” falls by 5.00",
        ),
        (
            {("4b", "3x3"): 5.0, ("5a", "1x1"): -6.0},
            "it speaks against the class: without it the logit of “red fox” rises by 6.00",
        ),
        ({}, "No single branch makes a difference to “red fox”."),
    ],
)
def test_the_strongest_cell_is_named(falls: dict[tuple[str, str], float], sentence: str) -> None:
    assert sentence in words(glance_html(network(falls), "4c", NAMES, "en"))


def test_each_button_is_described_with_the_number_on_it() -> None:
    falls = {("3b", "1x1"): 8.0, ("4a", "pool"): -4.0, ("5b", "5x5"): 0.001}
    labels = {
        (button["data-block"], button["data-branch"]): button["aria-label"]
        for button in Tags(glance_html(network(falls), "4c", NAMES, "en")).named("button")
    }
    assert labels["3b", "1x1"] == "Block 3b, 1×1: 8.00. The logit falls without this branch."
    assert labels["4a", "pool"] == "Block 4a, pool: \u22124.00. The logit rises without this branch."
    assert labels["5b", "5x5"] == "Block 5b, 5×5 (runs 3×3): 0.00. The logit hardly changes without this branch."


def test_the_legend_reaches_as_far_below_zero_as_above_and_the_limits_are_told() -> None:
    said = words(glance_html(network({("3b", "1x1"): 8.0, ("4a", "pool"): -4.0}), "4c", NAMES, "en"))
    assert "\u22128.00 rises: the branch speaks against it 8.00 falls" in said
    assert "do not add up" in said
    assert "stands in for the other" in said


def luminance(colour: tuple[float, ...]) -> float:
    """As WCAG 2 defines it, of 0 to 255."""
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


@pytest.mark.parametrize("side", ["for", "against"])
@pytest.mark.parametrize(("text", "paper"), [(slate.c800, "#ffffff"), (slate.c100, slate.c950)])
def test_numbers_stay_readable_on_the_hottest_cells(side: str, text: str, paper: str) -> None:
    hue = re.search(rf"--il-glance-{side}: (#\w{{6}});", CSS)
    assert hue
    mixed = tuple((a * HEAT + b * (100 - HEAT)) / 100 for a, b in zip(rgb(hue[1]), rgb(paper), strict=True))
    darker, lighter = sorted((luminance(rgb(text)), luminance(mixed)))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


# All three


@pytest.mark.parametrize("language", ["en", "zh"])
def test_names_from_a_users_file_are_escaped_and_the_html_is_well_formed(language: str) -> None:
    bad = '<script>alert("1")</script> & {label}'
    odd = change(bad, 0.5, 0.2)
    names = {**NAMES, "pool": "<b>pool</b>"}
    pages = [
        votes_html(additive(0.5, of(1.0, 2.0, -1.0, 3.0), label=bad), names, language),
        switched_html(switched_off(top=(odd,), risen=(odd,), fallen=(odd,)), SLICES, names, language),
        switched_html(switched_off(("pool",), top=(odd, change(bad, 0.1, 0.8))), SLICES, names, language),
        glance_html(network({("3a", "pool"): 1.0}, label=bad), "3a", names, language),
    ]
    for html in pages:
        Tags(html)
        assert bad in words(html)
        assert "<script" not in html
        assert "<b>" not in html
        assert 'aria-label="' in html


def test_chinese_is_spoken_where_chinese_is_asked_for() -> None:
    pages = [
        votes_html(additive(0.5, of(1.0, 2.0, -1.0, 3.0)), {**NAMES, "5x5": "5×5", "pool": "池化"}, "zh"),
        switched_html(switched_off(), SLICES, NAMES, "zh"),
        switched_html(switched_off(branches=()), SLICES, NAMES, "zh"),
        glance_html(network({("3a", "pool"): 1.0}), "3a", {**NAMES, "5x5": "5×5", "pool": "池化"}, "zh"),
    ]
    allowed = {"red", "fox", "cat", "logit", "Shapley", "softmax"}
    for html in pages:
        assert set(re.findall(r"[A-Za-z]{3,}", words(html))) <= allowed


def test_both_languages_say_the_same_with_the_same_values() -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    english, chinese = TEXT["en"], TEXT["zh"]
    assert {key: fields(text) for key, text in english.items()} == {key: fields(text) for key, text in chinese.items()}
    assert not [key for key in english if english[key] == chinese[key]]
    assert all(key.startswith(("votes_", "switch_", "glance_")) for key in english)


def test_the_style_has_no_comma_where_gradio_breaks_it() -> None:
    assert not re.findall(r":(?:is|not|where|has)\([^)]*,", re.sub(r"/\*.*?\*/", "", CSS, flags=re.S))
