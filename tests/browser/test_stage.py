"""The stage: photo, answer, network and unfolded block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Route, expect

from benchmarks.browser import wait_until
from inception.explain.ablation import ablate
from inception.explain.shapley import branch_votes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.photo import open_photo
from support.paths import EXAMPLES
from support.stage_visitor import VIEWS, StageVisit

pytestmark = pytest.mark.browser

PHOTO = "espresso"
REDUCED_MOTION = {"reduced_motion": "reduce"}


@pytest.fixture
def stage(browser: Browser, page_address: str, request: pytest.FixtureRequest) -> Iterator[StageVisit]:
    options: dict[str, Any] = {"locale": "en-GB", "viewport": {"width": 1440, "height": 900}, **REDUCED_MOTION}
    options |= getattr(request, "param", {})
    query = options.pop("query", f"?photo={PHOTO}&block=4c")
    context = browser.new_context(**options)
    visit = StageVisit(context, page_address)
    visit.open(query)
    yield visit
    context.close()
    assert visit.errors == []
    assert visit.foreign_requests == []


def viewport(width: int, height: int, **more: Any) -> dict[str, Any]:
    return {"viewport": {"width": width, "height": height}, **more}


PHONE = viewport(390, 844, has_touch=True, is_mobile=True)

# ---------------------------------------------------------------- one screen


@pytest.mark.parametrize("stage", [viewport(1440, 900, query=""), viewport(1920, 1080, query="")], indirect=True)
def test_the_main_parts_fit_on_one_screen(stage: StageVisit) -> None:
    for part in ("photo", "answer", "network"):
        assert stage.is_in_view(f"[data-stage={part}]"), part
    for block in BLOCKS:
        assert stage.is_in_view(f"[data-block='{block}']"), block
    for branch in BRANCHES:
        assert stage.is_in_view(f"[data-lane='{branch}']"), branch
        assert stage.is_in_view(f"[data-switch='{branch}']"), branch


@pytest.mark.parametrize(
    "stage", [viewport(1440, 900), viewport(1440, 900, locale="zh-CN"), viewport(1600, 900)], indirect=True
)
def test_the_tabs_of_go_deeper_stand_in_one_row_beside_their_heading(stage: StageVisit) -> None:
    middles = stage.page.locator(".deeper-head h2, .deeper-tabs button").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(box => Math.round(box.top + box.height / 2))"
    )
    assert len(middles) == 1 + len(VIEWS)
    assert max(middles) - min(middles) <= 1


@pytest.mark.parametrize("stage", [viewport(1440, 900), viewport(1440, 900, locale="zh-CN")], indirect=True)
def test_the_tabs_of_go_deeper_are_on_the_first_screen(stage: StageVisit) -> None:
    assert stage.is_in_view(".deeper-tabs")


FIND_SMALL_TEXT = """([within, least]) => [...document.querySelectorAll(`${within} *`)]
  .filter(one => one.getClientRects().length && !one.closest('.unseen'))
  .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
  .filter(one => parseFloat(getComputedStyle(one).fontSize) * (one.ownerSVGElement ? one.getScreenCTM().a : 1) < least)
  .map(one => one.textContent)"""


@pytest.mark.parametrize("stage", [viewport(1920, 1080), {**viewport(1920, 1080), "locale": "zh-CN"}], indirect=True)
def test_text_of_the_stage_is_at_least_18_pixels_at_1080p(stage: StageVisit) -> None:
    assert stage.page.evaluate(FIND_SMALL_TEXT, ["[data-stage]", 18]) == []
    stage.page.locator("[data-switch='3x3']").click()
    expect(stage.page.locator("[data-stage=answer] .was").first).to_be_visible()
    stage.page.locator("[data-lane='1x1'] [data-channel]").first.click()
    expect(stage.page.locator(".lens")).to_be_visible()
    assert stage.page.evaluate(FIND_SMALL_TEXT, ["[data-stage]", 18]) == []


@pytest.mark.parametrize("stage", [viewport(1920, 1080)], indirect=True)
@pytest.mark.parametrize("name", VIEWS)
def test_text_below_the_stage_is_at_least_18_pixels_at_1080p(stage: StageVisit, name: str) -> None:
    page = stage.page
    page.locator(f"#deeper-tab-{name}").click()
    panel = f"#deeper-{name}"
    expect(page.locator(f"{panel} h3, {panel} .compare-side").first).to_be_visible(timeout=60_000)
    expect(page.locator(f"{panel} .deeper-skeleton")).to_have_count(0, timeout=60_000)
    page.wait_for_function(  # charts learn their width a little later
        f"arguments => ({FIND_SMALL_TEXT})(arguments).length === 0", arg=[panel, 17.99], timeout=5_000
    )


@pytest.mark.parametrize("stage", [{**PHONE, "query": ""}], indirect=True)
def test_a_phone_shows_photo_answer_nine_blocks_and_two_lanes(stage: StageVisit) -> None:
    assert stage.is_in_view("[data-stage=photo] .photo-frame")
    assert stage.is_in_view("[data-stage=answer] h2")
    for block in BLOCKS:
        assert stage.is_in_view(f"[data-block='{block}']"), block
    for branch in ("1x1", "3x3"):
        assert stage.is_in_view(f"[data-lane='{branch}']"), branch


# The names of elements of the selector that a finger misses 18 pixels above or below their middle.
FIND_MISSED = """selector => [...document.querySelectorAll(selector)].filter(one => one.getClientRects().length)
  .filter(one => {
    const box = one.getBoundingClientRect();
    return [-18, 18].some(offset =>
      !one.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2 + offset)));
  }).map(one => one.textContent || one.ariaLabel)"""
HEIGHTS = """() => ['header', '.top', '.lane'].map(part => document.querySelector(part).offsetHeight)"""


@pytest.mark.parametrize("stage", [{**PHONE, "query": ""}, {**PHONE, "query": "", "locale": "zh-CN"}], indirect=True)
def test_a_finger_hits_what_a_phone_shows_and_little_moves_when_parts_arrive(stage: StageVisit) -> None:
    page = stage.page
    for controls in ("nav .plain", "nav select", ".photo-actions button", "[data-lane='1x1'] .switch"):
        assert page.evaluate(FIND_MISSED, controls) == [], controls
    complete = page.evaluate(HEIGHTS)
    page.evaluate("document.querySelector('#answer h2').append(document.createElement('br'), 'a second line')")
    assert page.evaluate(HEIGHTS) == pytest.approx(complete, abs=3)
    page.evaluate("document.querySelectorAll('nav, .tiles > *, .rows > *').forEach(part => part.remove())")
    assert page.evaluate(HEIGHTS) == pytest.approx(complete, abs=3)


@pytest.mark.parametrize("stage", [PHONE], indirect=True)
def test_all_channels_of_a_block_fill_the_width_of_a_phone(stage: StageVisit) -> None:
    stage.page.locator("[data-lane='1x1'] .more").click()
    tiles = stage.page.locator("dialog .tile")
    boxes = [tiles.nth(i).bounding_box() for i in range(5)]
    assert [box["y"] == boxes[0]["y"] for box in boxes] == [True, True, True, True, False]


@pytest.mark.parametrize("stage", [{**PHONE, "query": "?photo=espresso"}], indirect=True)
def test_a_phone_repeats_a_changed_answer_while_it_is_out_of_view(stage: StageVisit) -> None:
    brief = stage.page.locator(".answer-brief")
    stage.page.locator("[data-switch=pool]").scroll_into_view_if_needed()
    stage.page.evaluate("scrollBy(0, 400)")
    expect(brief).to_be_hidden()
    stage.switch("pool")
    expect(brief).to_be_visible()
    expect(brief).to_have_text(re.compile(r"^espresso [<>\d.]+\s% → [<>\d.]+\s%$"))
    stage.page.evaluate("scrollTo(0, 0)")
    expect(brief).to_be_hidden()


@pytest.mark.parametrize("stage", [{**PHONE, "query": "?photo=espresso"}], indirect=True)
def test_a_phone_names_what_the_numbers_of_the_block_are(stage: StageVisit) -> None:
    expect(stage.page.locator(".worth-head")).to_have_text("Worth for “espresso”")
    assert stage.is_in_view(".worth-head")
    assert stage.page.locator(".worth-head").evaluate("head => head.scrollWidth <= head.clientWidth"), (
        "it is not cut off"
    )


@pytest.mark.parametrize("stage", [PHONE, viewport(720, 450), viewport(1440, 900), viewport(1920, 1080)], indirect=True)
def test_the_page_does_not_scroll_sideways(stage: StageVisit) -> None:
    width = stage.page.evaluate("document.documentElement.clientWidth")
    assert stage.page.evaluate("document.documentElement.scrollWidth") <= width


# ---------------------------------------------------------------- answer


def test_the_answer_matches_the_library(stage: StageVisit, embedded: PretrainedModel) -> None:
    top = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg")).top(5)
    shown = stage.page.locator("[data-stage=answer] .rows .name").all_inner_texts()
    assert shown == [prediction.label.split(",")[0] for prediction in top]


def test_an_uploaded_photo_is_classified(stage: StageVisit, embedded: PretrainedModel) -> None:
    photo = EXAMPLES / "red_panda.jpg"
    expected = predict(embedded, open_photo(photo)).top(1)[0]
    stage.upload(photo)
    expect(stage.page.locator("[data-stage=answer] h2")).to_contain_text(expected.label.split(",")[0])
    expect(stage.page).not_to_have_url(re.compile("photo="))  # the address never names an uploaded photo


def test_an_invalid_photo_is_reported_and_leaves_the_stage_unchanged(stage: StageVisit, tmp_path: Any) -> None:
    before = stage.headline
    invalid = tmp_path / "bad.jpg"
    invalid.write_bytes(b"no picture")
    stage.expects_rejections = True
    stage.upload(invalid)
    expect(stage.page.locator("#notice")).to_be_visible()
    assert re.fullmatch(r"[A-Z].{20,200}\.\s*✕?", stage.page.locator("#notice").inner_text(), re.DOTALL)
    assert stage.headline == before


@pytest.mark.parametrize("stage", [{**PHONE, "color_scheme": "dark"}], indirect=True)
def test_an_error_is_in_view_in_a_scrolled_page_and_can_be_closed(stage: StageVisit, tmp_path: Any) -> None:
    invalid = tmp_path / "bad.jpg"
    invalid.write_bytes(b"no picture")
    stage.expects_rejections = True
    stage.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    stage.upload(invalid)
    notice = stage.page.locator("#notice")
    expect(notice).to_be_visible()
    assert stage.page.evaluate("scrollY") > 100
    assert stage.is_in_view("#notice")
    close = notice.get_by_role("button")
    close.hover()
    expect(close).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    close.click()
    expect(notice).to_be_hidden()


def test_a_photo_in_a_format_that_browsers_do_not_support_is_shown(stage: StageVisit, tmp_path: Any) -> None:
    tiff = tmp_path / "photo.tiff"
    Image.open(EXAMPLES / "macaw.jpg").save(tiff)
    stage.upload(tiff)
    picture = stage.page.locator("[data-stage=photo] img").first
    expect(picture).to_have_attribute("src", re.compile("^data:image/jpeg"))
    assert picture.evaluate("image => image.naturalWidth") > 100


# ---------------------------------------------------------------- switches


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_switch_changes_the_answer_as_in_the_library(
    stage: StageVisit, embedded: PretrainedModel, branch: str
) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg"))
    expected = ablate(embedded, prediction, "4c", [branch])
    stage.switch(branch)
    top = expected.top[0]
    row = stage.page.locator("[data-stage=answer] .rows li").first
    expect(row.locator(".name")).to_have_text(top.label.split(",")[0])
    expect(row.locator(".was")).to_be_visible()
    assert stage.page.evaluate("scrollY") == 0
    # Only the blocks after 4c have changed.
    expect(stage.page.locator("[data-block='5b']")).to_have_class(re.compile("changed"))
    assert "changed" not in (stage.page.locator("[data-block='4b']").get_attribute("class") or "")
    expect(stage.page.locator(f"[data-switch='{branch}']")).to_have_attribute("aria-checked", "false")


def test_branches_of_several_blocks_can_be_off_and_are_switched_on_together(stage: StageVisit) -> None:
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
    all_on = chips.first
    expect(all_on).to_have_text("All on")
    chips.last.scroll_into_view_if_needed()
    assert all_on.evaluate(IS_ON_TOP), "it stays in view when the chips scroll"
    all_on.click()
    expect(chips).to_have_count(0)
    expect(stage.page.locator("[data-stage=answer] h2")).to_have_text(before)
    expect(stage.page).not_to_have_url(re.compile("off="))


IS_ON_TOP = """element => {
  const box = element.getBoundingClientRect();
  return element.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2));
}"""


def test_a_changed_answer_is_announced_to_screen_readers(stage: StageVisit) -> None:
    stage.switch("1x1")
    expect(stage.page.locator("#live")).to_contain_text(re.compile(r"[Nn]ow"))


# ---------------------------------------------------------------- block


def test_worths_match_the_shapley_values_of_the_library(stage: StageVisit, embedded: PretrainedModel) -> None:
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


def test_clicking_a_channel_opens_its_lens(stage: StageVisit) -> None:
    tile = stage.page.locator("[data-lane='5x5'] [data-channel]").first
    number = tile.get_attribute("data-channel")
    tile.click()
    lens = stage.page.locator(".lens")
    expect(lens).to_be_visible()
    expect(lens).to_contain_text(f"{number}")
    assert stage.page.evaluate("scrollY") == 0
    stage.page.keyboard.press("Escape")
    expect(lens).to_be_hidden()


def test_a_channel_is_overlaid_on_the_photo_while_hovered(stage: StageVisit) -> None:
    overlay = stage.page.locator("[data-stage=photo] .photo-frame canvas")
    expect(overlay).to_be_hidden()
    stage.page.locator("[data-lane='3x3'] [data-channel]").nth(1).hover()
    expect(overlay).to_be_visible()
    stage.page.locator("header h1").hover()
    expect(overlay).to_be_hidden()


def test_the_dialog_shows_every_active_channel_once(stage: StageVisit, embedded: PretrainedModel) -> None:
    stage.page.locator("[data-lane='5x5'] .more").click()
    tiles = stage.page.locator("dialog.all section[data-branch='5x5'] [data-channel]")
    silent = stage.page.locator("dialog.all section[data-branch='5x5'] p")
    maps = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg")).branch("4c", "5x5")
    active = {index for index, values in enumerate(maps) if values.max() > values.min()}
    expect(tiles).to_have_count(len(active))
    assert {int(number) for number in tiles.evaluate_all("all => all.map(one => one.dataset.channel)")} == active
    expect(silent).to_have_count(int(len(active) < len(maps)))
    stage.page.keyboard.press("Escape")
    expect(stage.page.locator("dialog.all")).to_be_hidden()
    expect(stage.page).not_to_have_url(re.compile("view=all"))


def test_the_dialog_closes_for_a_channel_that_is_open_already(stage: StageVisit) -> None:
    tile = stage.page.locator("[data-lane='1x1'] [data-channel]").first
    channel = tile.get_attribute("data-channel")
    tile.click()
    expect(stage.page.locator(".lens")).to_be_visible()
    stage.page.locator("[data-lane='1x1'] .more").dispatch_event("click")
    stage.page.locator(f"dialog.all section[data-branch='1x1'] [data-channel='{channel}']").click()
    expect(stage.page.locator("dialog.all")).to_be_hidden()


def test_worths_refer_to_the_searched_class(stage: StageVisit, embedded: PretrainedModel) -> None:
    search = stage.page.locator("[data-stage=answer] input")
    search.fill("goldfish")
    search.press("Enter")
    expect(stage.page.locator(".worth-head")).to_contain_text("goldfish")
    prediction = predict(embedded, open_photo(EXAMPLES / f"{PHOTO}.jpg"))
    expected = branch_votes(embedded, prediction, "4c", "goldfish").votes["1x1"]
    shown = stage.page.locator("[data-lane='1x1'] .worth .number")
    sign = "" if abs(expected) < 0.005 else "−" if expected < 0 else "+"
    expect(shown).to_have_text(f"{sign}{abs(expected):.2f}")


@pytest.mark.parametrize(("text", "name"), [("car", "freight car"), ("pan", "frying pan"), ("teapo", "teapot")])
def test_a_search_prefers_whole_words(stage: StageVisit, text: str, name: str) -> None:
    search = stage.page.locator("[data-stage=answer] input")
    search.fill(text)
    search.press("Enter")
    expect(stage.page.locator(".worth-head")).to_contain_text(f"“{name}”")


def test_a_search_without_a_result_is_reported_until_typing_continues(stage: StageVisit) -> None:
    search = stage.page.locator("[data-stage=answer] input")
    message = stage.page.locator("[data-stage=answer] [role=status]")
    search.fill("zzzz")
    search.press("Enter")
    expect(message).to_have_text("No class of that name")
    assert stage.is_in_view("[data-stage=answer] [role=status]")
    search.press("Backspace")
    expect(message).to_be_empty()
    expect(search).to_be_focused()
    search.press("Tab")
    expect(message).to_have_text("No class of that name")
    search.press("z")
    expect(message).to_be_empty()


def test_display_options_send_no_requests(stage: StageVisit) -> None:
    # After a pointer movement and a pause, the page prefetches the worths of the other classes of the answer.
    stage.page.mouse.move(5, 5)
    stage.page.mouse.move(9, 9)
    for _ in range(100):
        if len([url for url in stage.requests if url.endswith("stage_worth")]) >= 3:
            break
        stage.page.wait_for_timeout(100)
    stage.page.locator("[data-lane='3x3']").hover()  # requests the effective receptive fields, once
    stage.wait_until_idle()
    request_count = len(stage.requests)
    for order in ("max", "mean", "number", "reading", "worth", "reading"):
        stage.page.locator(".block-tools select").first.select_option(order)
    for index in (1, 2):
        select = stage.page.locator(".block-tools select").nth(index)
        select.select_option(index=select.locator("option").count() - 1)
    stage.page.locator("[data-lane='3x3']").hover()
    stage.page.locator("[data-lane='3x3'] [data-channel]").first.hover()
    stage.page.locator("[data-stage=answer] .rows button").nth(1).hover()
    stage.page.locator("[data-stage=answer] .rows button").nth(1).click()
    stage.page.wait_for_timeout(300)
    expect(stage.page.locator("[data-stage=answer] .rows button").nth(1)).to_have_attribute("aria-pressed", "true")
    # The browser reads the icon from its cache at each change of the address.
    assert [url for url in stage.requests[request_count:] if not url.endswith("icon.svg")] == []


def test_the_tuning_of_channels_is_requested_once(stage: StageVisit) -> None:
    select = stage.page.locator(".block-tools select").first
    with stage.page.expect_response(re.compile("stage_block_tuning"), timeout=60_000):
        select.select_option("orientation")
    for order in ("colour", "size", "worth", "orientation"):
        select.select_option(order)
    stage.page.wait_for_timeout(300)
    # Not all requests: those for the worth in other blocks and for receptive fields may come late.
    assert len([url for url in stage.requests if url.endswith("stage_block_tuning")]) == 1


# ---------------------------------------------------------------- languages


@pytest.mark.parametrize("stage", [{"locale": "zh-CN"}, {"locale": "zh-CN", **PHONE}], indirect=True)
def test_the_stage_is_available_in_chinese(stage: StageVisit) -> None:
    assert stage.page.locator("html").get_attribute("lang") == "zh-CN"
    for part in ("photo", "network", "block"):
        text = stage.page.locator(f"[data-stage={part}]").inner_text()
        assert not re.search(r"(?:\b[a-z]+ ){3}|[{}]|\b[a-z]+\.[a-z_]+\b", text), text
    stage.page.get_by_role("button", name="EN", exact=True).click()
    expect(stage.page.locator("html")).to_have_attribute("lang", "en")
    expect(stage.page.locator("[data-stage=block] h2").first).to_contain_text("Block")


# ---------------------------------------------------------------- lesson, comparison, downloads


def test_the_lesson_continues_with_another_photo_and_its_button_closes_it(stage: StageVisit) -> None:
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


@pytest.mark.parametrize("tab", VIEWS)
def test_every_view_below_the_stage_opens(stage: StageVisit, tab: str) -> None:
    stage.page.locator(f"[data-deeper='{tab}']").click()
    panel = stage.page.locator(f"#deeper-{tab}")
    expect(panel.locator(".deeper-body")).to_contain_text(re.compile(r"\w{3}"))
    expect(panel.locator(".deeper-skeleton")).to_have_count(0, timeout=60_000)
    expect(panel.locator("[role=alert]")).to_have_count(0)
    expect(stage.page).to_have_url(re.compile(f"deeper={tab}"))
    stage.wait_until_idle()
    text = panel.inner_text()
    assert not re.search(r"[{}]|undefined|NaN|\b(?:deeper|compare|census|dial|kernel|cost)\.[a-z_]+\b", text), text


# ---------------------------------------------------------------- introduction, first visit


@pytest.mark.parametrize("stage", [{"query": "", "reduced_motion": "no-preference"}], indirect=True)
def test_the_introduction_of_the_first_visit_runs_until_a_click(stage: StageVisit) -> None:
    before = stage.headline
    # It shows the receptive field of each branch on the photo, then switches a branch off.
    expect(stage.page.locator("[data-stage=photo] rect.window")).to_be_visible()
    expect(stage.page.locator("[data-switch][aria-checked=false]")).to_have_count(1)
    stage.page.locator("[data-stage=block] h2").first.click()
    expect(stage.page.locator("[data-switch][aria-checked=false]")).to_have_count(0)
    assert stage.headline == before
    expect(stage.page).not_to_have_url(re.compile("off="))


@pytest.mark.parametrize("stage", [{"query": "", "reduced_motion": "no-preference"}], indirect=True)
def test_a_click_of_assistive_technology_ends_the_introduction(stage: StageVisit) -> None:
    """A screen reader's click comes without a pointer or key event."""
    expect(stage.page.locator("[data-stage=photo] rect.window")).to_be_visible()
    stage.page.evaluate("document.querySelector('[data-switch=\"3x3\"]').click()")
    expect(stage.page.locator("[data-switch='3x3']")).to_have_attribute("aria-checked", "false")
    stage.page.wait_for_timeout(6500)  # it would have ended by itself, with everything on
    expect(stage.page.locator("[data-switch='3x3']")).to_have_attribute("aria-checked", "false")


@pytest.mark.parametrize("event", ["dragenter", "change"])
@pytest.mark.parametrize("stage", [{"query": "", "reduced_motion": "no-preference"}], indirect=True)
def test_a_photo_that_is_dragged_or_chosen_ends_the_introduction(stage: StageVisit, event: str) -> None:
    fields = "document.querySelectorAll('[data-stage=photo] rect.window').length"
    wait_until(stage.page, fields)
    dispatch = f"document.querySelector('input[type=file]').dispatchEvent(new Event('{event}', {{ bubbles: true }}))"
    assert stage.page.evaluate(f"{dispatch}, {fields}") == 0


@pytest.mark.parametrize("stage", [{"query": "", "reduced_motion": "no-preference"}], indirect=True)
def test_the_introduction_hovers_nothing_after_it_when_the_worths_are_not_loaded(stage: StageVisit) -> None:
    stage.page.route("**/run/stage_votes", lambda route: None)  # never answered
    window = stage.page.locator("[data-stage=photo] rect.window")
    expect(window).to_be_visible()
    # The browser's own button to go back sends no event of a pointer or key.
    stage.page.evaluate("history.pushState(null, '', '?block=5b'), dispatchEvent(new PopStateEvent('popstate'))")
    expect(stage.page.locator("[data-block='5b']")).to_have_attribute("aria-selected", "true")
    expect(stage.page.locator("[data-lane='pool'] [data-channel]").first).to_be_visible()
    expect(window).to_have_count(0, timeout=8000)
    expect(stage.page.locator("[data-switch][aria-checked=false]")).to_have_count(0)


def test_reduced_motion_disables_the_introduction(stage: StageVisit) -> None:
    stage.page.goto(stage.address)
    stage.settle()
    stage.page.wait_for_timeout(3000)
    expect(stage.page.locator("[data-stage=photo] rect.window")).to_have_count(0)


@pytest.mark.parametrize("stage", [{"query": ""}], indirect=True)
def test_a_first_visit_sends_no_events(stage: StageVisit) -> None:
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
    channel = stage.page.evaluate("document.activeElement.dataset.channel")
    stage.page.keyboard.press("ArrowRight")
    assert stage.page.evaluate("document.activeElement.dataset.channel") != channel


# ---------------------------------------------------------------- pending and failed requests


@pytest.mark.parametrize("stage", [{"reduced_motion": "no-preference"}], indirect=True)
def test_the_unfolding_is_animated_for_another_block_but_not_for_another_photo(stage: StageVisit) -> None:
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
    wait_until(stage.page, "unfolded === 1")


def test_a_block_that_fails_to_load_leaves_the_previous_one(stage: StageVisit) -> None:
    stage.expects_rejections = True
    stage.wait_until_idle()

    def reject(route: Route) -> None:
        stage.page.wait_for_timeout(400)  # longer than the page waits before it shows that it is busy
        route.fulfill(status=400, json={"error": "The server is busy."})

    stage.page.route("**/run/stage_block", reject)
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


def test_the_photo_is_shown_again_after_the_connection_was_interrupted(stage: StageVisit) -> None:
    page = stage.page
    stage.expects_rejections = True
    stage.wait_until_idle()
    for interrupted in ("**/run/stage_scene", "**/examples/macaw.jpg", f"**/examples/{PHOTO}.jpg"):
        page.route(interrupted, lambda route: route.fulfill(status=400, json={"error": "No connection."}))
    page.get_by_role("button", name="Example: macaw").click()
    picture = page.locator(".photo-frame > img")
    expect(page.locator("#notice")).to_be_visible()
    wait_until(page, "image => image.complete && !image.naturalWidth", arg=picture.element_handle())
    page.unroute_all()
    stage.unfold("3b")
    wait_until(page, "image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())


def test_an_initial_block_that_failed_to_load_is_requested_again_by_a_click(stage: StageVisit) -> None:
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


def test_a_pending_or_failed_answer_is_not_presented_as_current(stage: StageVisit) -> None:
    page = stage.page
    answer, live = page.locator("[data-stage=answer]"), page.locator("#live")
    stage.switch("1x1")
    stage.unfold("5a")
    stage.wait_until_idle()
    announcement, shown = live.inner_text(), page.locator(".rows").inner_text()
    held_routes: list[Route] = []
    page.route("**/run/stage_scene", lambda route: held_routes.append(route))
    stage.expects_rejections = True
    stage.switch("3x3")
    while not held_routes:
        page.wait_for_timeout(20)
    expect(answer).to_have_class(re.compile("pending"))
    expect(answer.locator(".ranks")).to_have_attribute("aria-busy", "true")
    expect(answer.locator(".lead")).to_have_text("Without 1×1 of 4c")
    assert page.locator(".rows").inner_text() == shown
    assert live.inner_text() == announcement
    held_routes.pop().fulfill(status=400, json={"error": "The server is busy."})
    expect(page.locator("#notice")).to_contain_text("The server is busy.")
    expect(page.locator("[data-switch='3x3']")).to_have_attribute("aria-checked", "true")
    expect(answer).not_to_have_class(re.compile("pending"))
    assert page.locator(".rows").inner_text() == shown
    stage.switch("3x3")
    while not held_routes:
        page.wait_for_timeout(20)
    held_routes.pop().continue_()
    expect(answer.locator(".lead")).to_have_text("Without 1×1 of 4c, 3×3 of 5a")
    expect(answer).not_to_have_class(re.compile("pending"))
    expect(live).not_to_have_text(announcement)


def test_hovering_a_class_names_it_above_its_worths(stage: StageVisit) -> None:
    head = stage.page.locator(".worth-head")
    before = head.inner_text()
    row = stage.page.locator("[data-stage=answer] .rows button").nth(1)
    row.hover()
    expect(head).to_contain_text(row.locator(".name").inner_text())
    stage.page.locator("header h1").hover()
    expect(head).to_have_text(before)
