"""The stage: photo, answer, network and unfolded block on one screen, and what follows from a click on each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Route, expect

from inception.explain.ablation import ablate
from inception.explain.shapley import branch_votes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.photo import open_photo
from support.paths import EXAMPLES
from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser

PHOTO = "espresso"
STILL = {"reduced_motion": "reduce"}


@pytest.fixture
def stage(browser: Browser, page_address: str, request: pytest.FixtureRequest) -> Iterator[StageVisit]:
    wanted: dict[str, Any] = {"locale": "en-GB", "viewport": {"width": 1440, "height": 900}, **STILL}
    wanted |= getattr(request, "param", {})
    query = wanted.pop("query", f"?photo={PHOTO}&block=4c")
    context = browser.new_context(**wanted)
    visit = StageVisit(context, page_address, query)
    yield visit
    context.close()
    assert visit.errors == []
    assert visit.foreign_requests == []


def sized(width: int, height: int, **more: Any) -> dict[str, Any]:
    return {"viewport": {"width": width, "height": height}, **more}


PHONE = sized(390, 844, has_touch=True, is_mobile=True)

# ---------------------------------------------------------------- one screen


@pytest.mark.parametrize("stage", [sized(1440, 900, query=""), sized(1920, 1080, query="")], indirect=True)
def test_without_a_click_all_that_matters_is_on_one_screen(stage: StageVisit) -> None:
    for part in ("photo", "answer", "network"):
        assert stage.is_in_view(f"[data-stage={part}]"), part
    for block in BLOCKS:
        assert stage.is_in_view(f"[data-block='{block}']"), block
    for branch in BRANCHES:
        assert stage.is_in_view(f"[data-lane='{branch}']"), branch
        assert stage.is_in_view(f"[data-switch='{branch}']"), branch


SMALL_TEXT = """least => [...document.querySelectorAll('[data-stage] *')]
  .filter(one => one.offsetParent && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
  .filter(one => parseFloat(getComputedStyle(one).fontSize) < least).map(one => one.textContent)"""


@pytest.mark.parametrize("stage", [sized(1920, 1080), {**sized(1920, 1080), "locale": "zh-CN"}], indirect=True)
def test_no_text_of_the_stage_is_below_18_pixels_at_1080p(stage: StageVisit) -> None:
    assert stage.page.evaluate(SMALL_TEXT, 18) == []
    stage.page.locator("[data-switch='3x3']").click()
    expect(stage.page.locator("[data-stage=answer] .was").first).to_be_visible()
    stage.page.locator("[data-lane='1x1'] [data-channel]").first.click()
    expect(stage.page.locator(".lens")).to_be_visible()
    assert stage.page.evaluate(SMALL_TEXT, 18) == []


@pytest.mark.parametrize("stage", [{**PHONE, "query": ""}], indirect=True)
def test_a_phone_shows_photo_answer_nine_blocks_and_two_lanes(stage: StageVisit) -> None:
    assert stage.is_in_view("[data-stage=photo] .photo-frame")
    assert stage.is_in_view("[data-stage=answer] h2")
    for block in BLOCKS:
        assert stage.is_in_view(f"[data-block='{block}']"), block
    for branch in ("1x1", "3x3"):
        assert stage.is_in_view(f"[data-lane='{branch}']"), branch


@pytest.mark.parametrize("stage", [PHONE, sized(720, 450), sized(1440, 900), sized(1920, 1080)], indirect=True)
def test_nothing_scrolls_sideways(stage: StageVisit) -> None:
    width = stage.page.evaluate("document.documentElement.clientWidth")
    assert stage.page.evaluate("document.documentElement.scrollWidth") <= width


# ---------------------------------------------------------------- answer


def test_the_answer_is_that_of_the_library(stage: StageVisit, embedded: PretrainedModel) -> None:
    top = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg")).top(5)
    shown = stage.page.locator("[data-stage=answer] .rows .name").all_inner_texts()
    assert shown == [one.label.split(",")[0] for one in top]


def test_an_own_photo_is_answered(stage: StageVisit, embedded: PretrainedModel) -> None:
    photo = EXAMPLES / "monarch.jpg" if (EXAMPLES / "monarch.jpg").exists() else sorted(EXAMPLES.glob("*.jpg"))[-1]
    top = predict(embedded, open_photo(photo)).top(1)[0]
    stage.upload(photo)
    expect(stage.page.locator("[data-stage=answer] h2")).to_contain_text(top.label.split(",")[0])
    expect(stage.page).not_to_have_url(re.compile("photo="))  # a visitor's own photo is in no address


def test_a_bad_photo_is_refused_in_a_sentence_and_the_stage_stays(stage: StageVisit, tmp_path: Any) -> None:
    before = stage.headline
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    stage.expects_rejections = True
    stage.upload(bad)
    expect(stage.page.locator("#notice")).to_be_visible()
    assert re.fullmatch(r"[A-Z].{20,200}\.\s*✕?", stage.page.locator("#notice").inner_text(), re.DOTALL)
    assert stage.headline == before


def test_a_photo_that_browsers_cannot_show_is_drawn_all_the_same(stage: StageVisit, tmp_path: Any) -> None:
    tiff = tmp_path / "photo.tiff"
    Image.open(EXAMPLES / "macaw.jpg").save(tiff)
    stage.upload(tiff)
    picture = stage.page.locator("[data-stage=photo] img").first
    expect(picture).to_have_attribute("src", re.compile("^data:image/jpeg"))
    assert picture.evaluate("image => image.naturalWidth") > 100


# ---------------------------------------------------------------- switches


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_switch_changes_the_answer_as_the_library_says(
    stage: StageVisit, embedded: PretrainedModel, branch: str
) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg"))
    expected = ablate(embedded, prediction, "4c", [branch])
    stage.switch(branch)
    first = expected.top[0]
    row = stage.page.locator("[data-stage=answer] .rows li").first
    expect(row.locator(".name")).to_have_text(first.label.split(",")[0])
    expect(row.locator(".was")).to_be_visible()
    assert stage.page.evaluate("scrollY") == 0
    # What lies behind the block has changed, what lies before it has not.
    expect(stage.page.locator("[data-block='5b']")).to_have_class(re.compile("changed"))
    assert "changed" not in (stage.page.locator("[data-block='4b']").get_attribute("class") or "")
    expect(stage.page.locator(f"[data-switch='{branch}']")).to_have_attribute("aria-checked", "false")


def test_branches_of_several_blocks_are_off_at_once_and_come_back(stage: StageVisit) -> None:
    before = stage.headline
    stage.switch("1x1")
    stage.unfold("5a")
    stage.switch("3x3")
    chips = stage.page.locator("[data-stage=answer] .chips button")
    expect(chips).to_have_count(3)
    expect(stage.page).to_have_url(re.compile("off=4c:1x1,5a:3x3"))
    stage.page.reload()
    stage.settle()
    expect(chips).to_have_count(3)
    expect(stage.page.locator("[data-switch='3x3']")).to_have_attribute("aria-checked", "false")
    chips.last.click()
    expect(chips).to_have_count(0)
    expect(stage.page.locator("[data-stage=answer] h2")).to_have_text(before)
    expect(stage.page).not_to_have_url(re.compile("off="))


def test_a_changed_answer_is_told_to_those_who_listen(stage: StageVisit) -> None:
    stage.switch("1x1")
    expect(stage.page.locator("#live")).to_contain_text(re.compile(r"[Nn]ow"))


# ---------------------------------------------------------------- block


def test_worth_is_the_shapley_value_of_the_library(stage: StageVisit, embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg"))
    votes = branch_votes(embedded, prediction, "4c").votes
    for branch in BRANCHES:
        shown = stage.page.locator(f"[data-lane='{branch}'] .worth .number").inner_text()
        assert float(shown.replace("−", "-")) == pytest.approx(votes[branch], abs=0.006)


def test_keys_choose_blocks_and_switch_branches(stage: StageVisit) -> None:
    stage.page.keyboard.press("9")
    expect(stage.page.locator("[data-block='5b']")).to_have_attribute("aria-selected", "true")
    stage.page.keyboard.press("e")
    expect(stage.page.locator("[data-switch='5x5']")).to_have_attribute("aria-checked", "false")


def test_a_channel_opens_its_lens_beside_it(stage: StageVisit) -> None:
    tile = stage.page.locator("[data-lane='5x5'] [data-channel]").first
    number = tile.get_attribute("data-channel")
    tile.click()
    lens = stage.page.locator(".lens")
    expect(lens).to_be_visible()
    expect(lens).to_contain_text(f"{number}")
    assert stage.page.evaluate("scrollY") == 0
    stage.page.keyboard.press("Escape")
    expect(lens).to_be_hidden()


def test_a_hovered_channel_is_shown_on_the_photo_and_goes_again(stage: StageVisit) -> None:
    overlay = stage.page.locator("[data-stage=photo] .photo-frame canvas")
    expect(overlay).to_be_hidden()
    stage.page.locator("[data-lane='3x3'] [data-channel]").nth(1).hover()
    expect(overlay).to_be_visible()
    stage.page.locator("header h1").hover()
    expect(overlay).to_be_hidden()


def test_all_channels_are_there_with_every_number_once(stage: StageVisit, embedded: PretrainedModel) -> None:
    stage.page.locator("[data-lane='5x5'] .more").click()
    tiles = stage.page.locator("dialog.all section[data-branch='5x5'] [data-channel]")
    silent = stage.page.locator("dialog.all section[data-branch='5x5'] p")
    maps = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg")).branch("4c", "5x5")
    alive = {index for index, values in enumerate(maps) if values.max() > values.min()}
    expect(tiles).to_have_count(len(alive))
    assert {int(number) for number in tiles.evaluate_all("all => all.map(one => one.dataset.channel)")} == alive
    expect(silent).to_have_count(int(len(alive) < len(maps)))
    stage.page.keyboard.press("Escape")
    expect(stage.page.locator("dialog.all")).to_be_hidden()
    expect(stage.page).not_to_have_url(re.compile("view=all"))


def test_a_class_that_is_searched_is_what_worth_is_about(stage: StageVisit, embedded: PretrainedModel) -> None:
    search = stage.page.locator("[data-stage=answer] input")
    search.fill("goldfish")
    search.press("Enter")
    expect(stage.page.locator(".worth-head")).to_contain_text("goldfish")
    prediction = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg"))
    expected = branch_votes(embedded, prediction, "4c", "goldfish").votes["1x1"]
    shown = stage.page.locator("[data-lane='1x1'] .worth .number")
    expect(shown).to_have_text(f"{abs(expected):.2f}".join(["−" if expected < 0 else "+", ""]))


def test_what_only_looks_different_asks_the_server_nothing(stage: StageVisit) -> None:
    # Once the visitor has moved and nothing has changed for a while, the other classes of the answer are asked for.
    stage.page.mouse.move(5, 5)
    stage.page.mouse.move(9, 9)
    for _ in range(100):
        if len([url for url in stage.requests if url.endswith("stage_worth")]) >= 3:
            break
        stage.page.wait_for_timeout(100)
    stage.page.wait_for_load_state("networkidle")
    asked = len(stage.requests)
    for order in ("max", "mean", "number", "reading", "worth", "reading"):
        stage.page.locator(".block-tools select").first.select_option(order)
    for kind in (1, 2):
        select = stage.page.locator(".block-tools select").nth(kind)
        select.select_option(index=select.locator("option").count() - 1)
    stage.page.locator("[data-lane='3x3']").hover()
    stage.page.locator("[data-lane='3x3'] [data-channel]").first.hover()
    stage.page.locator("[data-stage=answer] .rows button").nth(1).hover()
    stage.page.locator("[data-stage=answer] .rows button").nth(1).click()
    stage.page.wait_for_timeout(300)
    expect(stage.page.locator("[data-stage=answer] .rows button").nth(1)).to_have_attribute("aria-pressed", "true")
    # The browser asks its memory for the icon at each change of the address.
    assert [url for url in stage.requests[asked:] if not url.endswith("icon.svg")] == []


def test_what_channels_are_tuned_to_is_asked_for_once(stage: StageVisit) -> None:
    select = stage.page.locator(".block-tools select").first
    with stage.page.expect_response(re.compile("stage_block_tuning"), timeout=60_000):
        select.select_option("orientation")
    asked = len(stage.requests)
    for order in ("colour", "size", "worth", "orientation"):
        select.select_option(order)
    stage.page.wait_for_timeout(300)
    assert [url for url in stage.requests[asked:] if not url.endswith("icon.svg")] == []


# ---------------------------------------------------------------- languages, people


@pytest.mark.parametrize("stage", [{"locale": "zh-CN"}, {"locale": "zh-CN", **PHONE}], indirect=True)
def test_the_stage_is_chinese_too(stage: StageVisit) -> None:
    assert stage.page.locator("html").get_attribute("lang") == "zh-CN"
    for part in ("photo", "network", "block"):
        text = stage.page.locator(f"[data-stage={part}]").inner_text()
        assert not re.search(r"(?:\b[a-z]+ ){3}|[{}]|\b[a-z]+\.[a-z_]+\b", text), text
    stage.page.get_by_role("button", name="EN", exact=True).click()
    expect(stage.page.locator("html")).to_have_attribute("lang", "en")
    expect(stage.page.locator("[data-stage=block] h2").first).to_contain_text("Block")


# ---------------------------------------------------------------- lesson, comparison, downloads


def test_the_lesson_goes_on_with_another_photo_and_ends_where_it_began(stage: StageVisit) -> None:
    stage.page.get_by_role("button", name="Lesson", exact=True).click()
    dock = stage.page.locator("[data-stage=lesson]")
    expect(dock).to_contain_text("Step 1 of 8")
    expect(stage.page).to_have_url(re.compile("step=1"))
    stage.page.get_by_role("button", name="Example: red panda").click()
    expect(stage.page.locator("[data-stage=photo] img").first).to_have_attribute("alt", re.compile("red panda"))
    expect(dock).to_contain_text("Step 1 of 8")
    for step in range(2, 9):
        dock.get_by_role("button", name="Next").click()
        expect(dock).to_contain_text(f"Step {step} of 8")
    stage.page.get_by_role("button", name="Lesson", exact=True).click()
    expect(dock).to_be_hidden()


@pytest.mark.parametrize("tab", ["evidence", "cell", "cost", "census", "dial", "compare", "numbers", "about"])
def test_every_view_below_the_stage_opens(stage: StageVisit, tab: str) -> None:
    stage.page.locator(f"[data-deeper='{tab}']").click()
    panel = stage.page.locator(f"#deeper-{tab}")
    expect(panel.locator(".deeper-body")).to_contain_text(re.compile(r"\w{3}"))
    expect(panel.locator(".deeper-skeleton")).to_have_count(0, timeout=60_000)
    expect(panel.locator("[role=alert]")).to_have_count(0)
    expect(stage.page).to_have_url(re.compile(f"deeper={tab}"))
    stage.page.wait_for_timeout(1500)
    text = panel.inner_text()
    assert not re.search(r"[{}]|undefined|NaN|\b(?:deeper|compare|census|dial|kernel|cost)\.[a-z_]+\b", text), text


@pytest.mark.parametrize(
    "stage", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {**PHONE, "locale": "zh-CN"}], indirect=True
)
def test_axe_finds_nothing_above_minor(stage: StageVisit) -> None:
    states = {
        "answer": lambda: None,
        "switch": lambda: stage.switch("1x1"),
        "lens": lambda: stage.page.locator("[data-lane='3x3'] [data-channel]").first.click(),
        "all channels": lambda: stage.page.locator("[data-lane='3x3'] .more").click(),
    }
    for name, reach in states.items():
        reach()
        stage.page.wait_for_timeout(600)  # until colours have changed
        found = Axe().run(stage.page).response["violations"]
        serious = [
            f"{finding['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
            for finding in found
            if finding["impact"] != "minor"
            for node in finding["nodes"]
        ]
        assert serious == [], name
        stage.page.keyboard.press("Escape")


# ---------------------------------------------------------------- the first seconds


@pytest.mark.parametrize("stage", [{"query": "", "reduced_motion": "no-preference"}], indirect=True)
def test_the_first_visit_shows_windows_and_a_switch_until_it_is_touched(stage: StageVisit) -> None:
    before = stage.headline
    # The windows of the branches on the photo, one after another; then a switch.
    expect(stage.page.locator("[data-stage=photo] rect.window")).to_be_visible()
    expect(stage.page.locator("[data-switch][aria-checked=false]")).to_have_count(1)
    stage.page.locator("[data-stage=block] h2").first.click()
    expect(stage.page.locator("[data-switch][aria-checked=false]")).to_have_count(0)
    assert stage.headline == before
    expect(stage.page).not_to_have_url(re.compile("off="))


def test_reduced_motion_starts_nothing(stage: StageVisit) -> None:
    stage.page.goto(stage.address)
    stage.settle()
    stage.page.wait_for_timeout(3000)
    expect(stage.page.locator("[data-stage=photo] rect.window")).to_have_count(0)


@pytest.mark.parametrize("stage", [{"query": ""}], indirect=True)
def test_a_first_visit_asks_no_event(stage: StageVisit) -> None:
    stage.page.wait_for_timeout(2000)
    assert [url for url in stage.requests if "gradio_api" in url] == []
    assert len([url for url in stage.requests if url.endswith("first.json")]) == 1


def test_few_tab_stops_lead_to_the_lanes(stage: StageVisit) -> None:
    stops = 0
    while stops < 40:
        stage.page.keyboard.press("Tab")
        stops += 1
        if stage.page.evaluate("Boolean(document.activeElement?.closest('[data-lane]'))"):
            break
    assert stops <= 12
    column = stage.page.evaluate("document.activeElement.dataset.channel")
    stage.page.keyboard.press("ArrowRight")
    assert stage.page.evaluate("document.activeElement.dataset.channel") != column


# ---------------------------------------------------------------- what is said is about what is shown


@pytest.mark.parametrize("stage", [{"reduced_motion": "no-preference"}], indirect=True)
def test_a_block_unfolds_when_it_is_chosen_and_not_with_another_photo(stage: StageVisit) -> None:
    stage.page.evaluate(
        """() => {
          const lanes = document.querySelector(".lanes");
          const usual = lanes.animate.bind(lanes);
          window.unfolded = 0;
          lanes.animate = (...given) => (window.unfolded++, usual(...given));
        }"""
    )
    stage.page.get_by_role("button", name="Example: bison").click()
    expect(stage.page.locator("[data-stage=answer] h2")).to_contain_text("bison")
    expect(stage.page.locator("#block")).not_to_have_class(re.compile("no-worth"))
    assert stage.page.evaluate("unfolded") == 0
    stage.unfold("3a")
    stage.page.wait_for_function("unfolded === 1")


def test_a_block_that_cannot_be_had_is_not_the_title_of_another_ones_channels(stage: StageVisit) -> None:
    stage.expects_rejections = True
    stage.page.wait_for_load_state("networkidle")

    def refuse(route: Route) -> None:
        stage.page.wait_for_timeout(400)  # longer than the page waits before it says so
        route.fulfill(status=400, json={"error": "The server is busy."})

    stage.page.route("**/run/stage_block", refuse)
    stage.page.locator("[data-block='3b']").focus()
    stage.page.keyboard.press("Enter")
    expect(stage.page.locator("#notice")).to_contain_text("The server is busy.")
    expect(stage.page.locator("[data-stage=block] h2").first).to_contain_text("4c")
    expect(stage.page.locator("[data-block='4c']")).to_have_attribute("aria-selected", "true")
    expect(stage.page).to_have_url(re.compile("block=4c"))
    expect(stage.page.locator("[data-lane='1x1'] [data-channel]").first).to_be_attached()
    stage.page.unroute("**/run/stage_block")
    stage.unfold("3b")
    expect(stage.page.locator("#notice")).to_be_hidden()


def test_where_the_first_block_cannot_be_had_another_click_tries_again(stage: StageVisit) -> None:
    stage.expects_rejections = True
    stage.page.route(
        "**/run/stage_block", lambda route: route.fulfill(status=400, json={"error": "The server is busy."})
    )
    stage.page.goto(f"{stage.address}?photo=macaw&block=4d")
    expect(stage.page.locator("#notice")).to_contain_text("The server is busy.")
    expect(stage.page.locator("[data-lane] [data-channel]")).to_have_count(0)
    stage.page.unroute("**/run/stage_block")
    stage.page.locator("[data-block='4d']").click()
    stage.settle()
    expect(stage.page.locator("#notice")).to_be_hidden()


def test_an_answer_that_is_awaited_or_fails_is_not_claimed(stage: StageVisit) -> None:
    page = stage.page
    answer, live = page.locator("[data-stage=answer]"), page.locator("#live")
    stage.switch("1x1")
    stage.unfold("5a")
    page.wait_for_load_state("networkidle")
    said, shown = live.inner_text(), page.locator(".rows").inner_text()
    held: list[Route] = []
    page.route("**/run/stage_scene", lambda route: held.append(route))
    stage.expects_rejections = True
    stage.switch("3x3")
    while not held:
        page.wait_for_timeout(20)
    expect(answer).to_have_class(re.compile("pending"))
    expect(answer.locator(".ranks")).to_have_attribute("aria-busy", "true")
    expect(answer.locator(".lead")).to_have_text("Without 1×1 of 4c")
    assert page.locator(".rows").inner_text() == shown
    assert live.inner_text() == said
    held.pop().fulfill(status=400, json={"error": "The server is busy."})
    expect(page.locator("#notice")).to_contain_text("The server is busy.")
    expect(page.locator("[data-switch='3x3']")).to_have_attribute("aria-checked", "true")
    expect(answer).not_to_have_class(re.compile("pending"))
    assert page.locator(".rows").inner_text() == shown
    stage.switch("3x3")
    while not held:
        page.wait_for_timeout(20)
    held.pop().continue_()
    expect(answer.locator(".lead")).to_have_text("Without 1×1 of 4c, 3×3 of 5a")
    expect(answer).not_to_have_class(re.compile("pending"))
    expect(live).not_to_have_text(said)


def test_the_worths_of_a_class_under_the_pointer_stand_under_its_name(stage: StageVisit) -> None:
    head = stage.page.locator(".worth-head")
    before = head.inner_text()
    row = stage.page.locator("[data-stage=answer] .rows button").nth(1)
    row.hover()
    expect(head).to_contain_text(row.locator(".name").inner_text())
    stage.page.locator("header h1").hover()
    expect(head).to_have_text(before)
