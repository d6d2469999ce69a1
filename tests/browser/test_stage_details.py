"""Details of the stage: changes, scales, ranks and limits, views, layout, and forced colours."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from benchmarks.browser import wait_until
from inception.explain.shapley import branch_votes
from inception.network.anatomy import receptive_field
from inception.network.blocks import BRANCHES
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.photo import open_photo
from support.paths import EXAMPLES
from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser

QUERY = "?photo=espresso&block=4c&model=tiny-imagenet"


def alter(visit: StageVisit, event: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the server's responses to an event, to imitate another network or machine."""

    def respond(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        change(body["data"][0])
        route.fulfill(response=response, json=body)

    visit.page.route("**/stage/first.json", lambda route: route.fulfill(json={"answers": []}))
    visit.page.route(f"**/run/stage_{event}", respond)


# ---------------------------------------------------------------- answer


def test_the_number_of_rows_can_be_changed_and_is_in_the_address(visit: StageVisit) -> None:
    visit.open()
    rows = visit.page.locator("[data-stage=answer] .rows li")
    expect(rows).to_have_count(5)
    for _ in range(3):
        visit.page.get_by_role("button", name="Show more classes").click()
    expect(rows).to_have_count(8)
    expect(visit.page).to_have_url(re.compile("top=8"))
    visit.page.get_by_role("button", name="Show fewer classes").click()
    expect(rows).to_have_count(7)


def test_with_a_branch_off_rows_show_their_changes_and_the_largest_ones_are_named(visit: StageVisit) -> None:
    visit.open()
    moved = visit.page.locator("[data-stage=answer] .moved")
    expect(moved).to_be_hidden()
    height = """rows => document.querySelector(".answer-tools").getBoundingClientRect().top -
      rows.getBoundingClientRect().top"""
    rows = visit.page.locator("[data-stage=answer] .rows")
    before = rows.evaluate(height)
    visit.switch("1x1")
    changes = visit.page.locator("[data-stage=answer] .rows .by").all_inner_texts()
    assert len(changes) == 5
    assert all(re.fullmatch(r"[+−]?\d+(\.\d)?", change) for change in changes)
    assert re.search(r"Rose most: .+ \+\d.*Fell most: .+ −\d", moved.get_attribute("title") or "")
    assert rows.evaluate(height) <= before + 6, "the block does not move"


def test_a_further_class_that_changed_is_not_one_of_the_rows_and_is_not_cut_off(visit: StageVisit) -> None:
    visit.open(f"{QUERY}&off=4c:1x1")
    further = visit.page.locator("[data-stage=answer] .moved span:not(.unseen)")
    expect(further).to_have_text(re.compile(r"^Also: .+ [+−]\d"))
    text = further.inner_text()
    names = visit.page.locator("[data-stage=answer] .rows .name").all_inner_texts()
    assert not [name for name in names if name in text]
    assert further.evaluate("text => text.scrollWidth <= text.clientWidth")


def test_the_tooltip_states_the_temperature(visit: StageVisit, embedded: PretrainedModel) -> None:
    visit.open(QUERY)
    lead = visit.page.locator("[data-stage=answer] .lead")
    expect(lead).to_have_attribute("title", re.compile(f"{embedded.temperature:.2f}"))


def test_a_full_device_is_reported_once_in_one_sentence(visit: StageVisit) -> None:
    alter(visit, "scene", lambda scene: scene.update(full="cuda:0"))
    visit.open(QUERY)
    expect(visit.page.locator("#notice")).to_contain_text("cuda:0")


def test_screen_readers_hear_that_the_network_is_not_sure(visit: StageVisit, tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), (128, 128, 128)).save(tmp_path / "grey.png")
    visit.open()
    visit.upload(tmp_path / "grey.png")
    expect(visit.page.locator("[data-stage=answer] h2")).to_contain_text("Not sure")
    expect(visit.page.locator("#live")).to_contain_text("The network is not sure.")


@pytest.mark.parametrize("visit", [{"locale": "zh-CN"}], indirect=True)
def test_chinese_class_names_are_accompanied_by_english_ones(visit: StageVisit) -> None:
    visit.open()
    names = visit.page.locator("[data-stage=answer] .rows .name")
    expect(names.first).to_contain_text(re.compile("[一-鿿]"))
    expect(names.first.locator("small")).to_have_text(re.compile("[a-z]{3}"))


# ---------------------------------------------------------------- network


def test_the_rows_of_the_network_are_named_beside_the_maps(visit: StageVisit) -> None:
    middle = "box => box.getBoundingClientRect().top + box.getBoundingClientRect().height / 2"
    visit.open()
    for branch in BRANCHES:
        name = visit.page.locator(f".strip-names [data-branch='{branch}']")
        tile = visit.page.locator(f"[data-block='3a'] [data-branch='{branch}']")
        expect(name).to_have_text(branch.replace("x", "×"))
        assert name.evaluate(middle) == pytest.approx(tile.evaluate(middle), abs=2)
    visit.page.set_viewport_size({"width": 390, "height": 844})
    expect(visit.page.locator(".strip-names")).to_be_hidden()


def test_the_mark_of_changed_blocks_is_explained_as_long_as_there_are_any(visit: StageVisit) -> None:
    visit.open(QUERY)
    caption, block = visit.page.locator("#network .caption"), visit.page.locator("[data-block='5b']")
    assert "∆" not in caption.inner_text()
    visit.switch("3x3")
    expect(caption).to_contain_text("∆: changed by what is off.")
    expect(block).to_have_attribute("title", re.compile("changed by what you turned off"))
    visit.switch("3x3")
    expect(caption).not_to_contain_text("∆")


@pytest.mark.parametrize("visit", [{"viewport": {"width": 320, "height": 700}}], indirect=True)
def test_the_maps_of_changed_blocks_stay_level_in_narrow_windows(visit: StageVisit) -> None:
    visit.open(f"{QUERY}&off=4c:3x3")
    expect(visit.page.locator("[data-block='5b']")).to_have_class(re.compile("changed"))
    tops = visit.page.locator(".node [data-branch='1x1']").evaluate_all(
        "tiles => tiles.map(tile => tile.getBoundingClientRect().top)"
    )
    assert max(tops) - min(tops) < 1


# ---------------------------------------------------------------- block


def test_the_block_states_its_channels_and_the_branch_that_adds_most(
    visit: StageVisit, embedded: PretrainedModel
) -> None:
    visit.open(QUERY)
    votes = branch_votes(embedded, predict(embedded, open_photo(EXAMPLES / "espresso.jpg")), "4c").votes
    best = max(votes, key=lambda branch: votes[branch])
    expect(visit.page.locator(".block-head .lead")).to_contain_text(re.compile(r"\d+ \+ \d+ \+ \d+ \+ \d+ = 512"))
    expect(visit.page.locator(".carried")).to_contain_text(f"{best.replace('x', '×')} adds most: +")
    expect(visit.page.locator("[data-stage=answer] .lead")).to_contain_text(
        "Answer, of 200 classes", use_inner_text=False
    )


def test_worth_is_said_to_be_with_everything_on_when_something_is_off(visit: StageVisit) -> None:
    page = visit.page
    visit.open(f"{QUERY}&off=4b:1x1&deeper=numbers")
    head, best = page.locator(".worth-head"), page.locator(".carried")
    expect(head).to_have_text("All on: worth for “espresso”")
    expect(best).to_contain_text(re.compile("^With all on, .+ adds most"))
    numbers = page.locator("#deeper-numbers")
    expect(numbers.locator(".deeper-note")).to_contain_text("except where it says “with everything on”")
    expect(numbers.locator(".tells-worth h3")).to_have_text(re.compile("with everything on$"))
    expect(numbers.locator(".ribbon-row.tells-worth")).to_contain_text("with everything on")
    for view in ("compare", "numbers"):
        page.locator(f"#deeper-tab-{view}").click()
        expect(page.locator(f"#deeper-{view} .deeper-note")).to_contain_text("with everything on")
    page.locator("[data-stage=answer] .chips button").click()
    expect(head).to_have_text("Worth for “espresso”")
    expect(best).to_contain_text(re.compile("^[^W].+ adds most"))
    expect(numbers.get_by_text("with everything on")).to_have_count(0)


def test_the_worth_of_a_class_is_not_shown_under_the_name_of_another(visit: StageVisit) -> None:
    page = visit.page
    visit.open(f"{QUERY}&lens=3x3:20:2:1")
    worth, tiles = page.locator(".lens .tells-worth"), page.locator(".lanes .tile b").first
    expect(worth).to_contain_text("“espresso”")
    held_routes: list[Route] = []
    page.route("**/run/stage_worth", lambda route: held_routes.append(route))
    search = page.locator("[data-stage=answer] input")
    search.fill("goldfish")
    with page.expect_request("**/run/stage_worth"):
        search.press("Enter")
    page.locator(".lens-map").hover()
    expect(worth).to_have_count(0)
    expect(tiles).to_have_css("opacity", "0")
    for route in held_routes:
        route.continue_()
    expect(worth).to_contain_text("“goldfish”")
    expect(tiles).to_have_css("opacity", "1")


def test_bars_of_worth_lie_on_one_scale_and_to_the_left_of_zero_where_negative(visit: StageVisit) -> None:
    visit.open("?photo=espresso&block=5a&model=tiny-imagenet")
    read_bars = """lanes => lanes.map(lane => {
      const { left, right, width } = lane.querySelector(".worth i").getBoundingClientRect();
      return { worth: Number(lane.querySelector(".worth .number").textContent.replace("−", "-")), left, right, width };
    })"""
    has_seen_negative = False
    for row in visit.page.locator("[data-stage=answer] .rows button").all():
        row.click()
        bars = visit.page.locator(".lane").evaluate_all(read_bars)
        zeros = [bar["right"] if bar["worth"] < 0 else bar["left"] for bar in bars]
        assert max(zeros) - min(zeros) < 1
        longest = max(bars, key=lambda bar: bar["width"])
        for bar in bars:
            expected = abs(bar["worth"]) * longest["width"] / abs(longest["worth"])
            assert bar["width"] == pytest.approx(max(expected, 3), abs=1)
        has_seen_negative |= any(bar["worth"] < 0 for bar in bars)
    assert has_seen_negative


def test_the_menus_stay_beside_the_sum_when_branches_speak_against_a_class(visit: StageVisit) -> None:
    page = visit.page
    visit.open("?photo=espresso&block=5a&model=tiny-imagenet")
    sums = page.locator(".block-sums")
    places, texts = [], []
    for row in page.locator("[data-stage=answer] .rows button").all():
        row.click()
        texts.append(sums.text_content() or "")
        places.append(page.locator(".block-tools").bounding_box())
        box, place = sums.bounding_box(), places[-1]
        assert box
        assert place
        assert abs(box["y"] + box["height"] / 2 - place["y"] - place["height"] / 2) < 2
    assert any("Against" in text for text in texts), texts
    assert all(place == places[0] for place in places)
    found = re.search(r"Logit: (\S+) \(all off\) ([+−] \S+) \(the four\) = (\S+?)(?:Against|$)", texts[0])
    assert found
    numbers = [float(text.replace("−", "-").replace(" ", "")) for text in found.groups()]
    assert numbers[0] + numbers[1] == pytest.approx(numbers[2])


def test_another_class_leaves_the_menus_of_the_block_in_place(visit: StageVisit) -> None:
    """A menu that is replaced closes."""
    visit.open(QUERY)
    menu = visit.page.locator(".block-tools select").first.element_handle()
    visit.page.locator("[data-stage=answer] .rows button").nth(1).click()
    expect(visit.page.locator(".worth-head")).not_to_contain_text("espresso")
    assert menu
    assert menu.evaluate("menu => menu.isConnected")


def test_bars_are_printed(visit: StageVisit) -> None:
    """Browsers print no background colours unless a page asks for them."""
    visit.open(QUERY)
    visit.page.emulate_media(media="print")
    for bar in (".rows .bar i", "[data-lane='1x1'] .worth i"):
        expect(visit.page.locator(bar).first).to_have_css("-webkit-print-color-adjust", "exact")


def test_maps_of_a_lane_are_evenly_spaced_and_their_captions_apart(visit: StageVisit) -> None:
    visit.open("?photo=espresso&block=5a&model=tiny-imagenet")
    lefts = visit.page.locator("[data-lane='3x3'] .tile canvas").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().left)"
    )
    assert len({round(b - a, 1) for a, b in pairwise(lefts)}) == 1
    parts = visit.page.locator("[data-lane='3x3'] .tile .number").evaluate_all(
        "all => all.map(one => [one.firstChild, one.lastChild].map(part => part.getBoundingClientRect().toJSON()))"
    )
    assert any(len(text) == 4 for text in visit.page.locator("[data-lane='3x3'] .channel-number").all_inner_texts())
    for (number, worth), (following, _) in pairwise(parts):
        assert following["left"] - worth["right"] > worth["left"] - number["right"] > 0


def test_a_scale_shared_by_the_branches_has_a_legend(visit: StageVisit) -> None:
    visit.open()
    legend = visit.page.locator(".block-foot .legend")
    expect(legend).to_have_count(0)
    visit.page.locator(".block-tools select").nth(1).select_option("block")
    expect(legend).to_have_text(re.compile(r"^0\D*[\d.]+$"))
    expect(visit.page).to_have_url(re.compile("scale=block"))


def test_negative_values_are_blue_and_have_a_legend(visit: StageVisit) -> None:
    def make_negative(block: dict[str, Any]) -> None:
        for maps in block["branches"].values():
            high = np.frombuffer(base64.b64decode(maps["high"]["data"]), "<f4")
            maps["low"]["data"] = base64.b64encode((-high - 1).astype("<f4").tobytes()).decode()

    alter(visit, "block", make_negative)
    visit.open(QUERY)
    expect(visit.page.locator(".block-foot .legend")).to_have_text("below zero0above zero")
    visit.page.wait_for_timeout(500)
    bluest = visit.page.locator("[data-lane='1x1'] canvas").first.evaluate(
        """canvas => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let most = -255;
          for (let i = 0; i < data.length; i += 4) most = Math.max(most, data[i + 2] - data[i]);
          return most;
        }"""
    )
    assert bluest > 40


def test_the_heading_of_a_branch_states_a_different_kernel_size(visit: StageVisit) -> None:
    def shrink_kernels(network: dict[str, Any]) -> None:
        for block in network["blocks"].values():
            block["branches"]["5x5"]["layers"][-1]["kernel"] = 3

    alter(visit, "network", shrink_kernels)
    visit.open(QUERY)
    expect(visit.page.locator("[data-lane='5x5'] .lane-name")).to_have_text("5×5 (runs 3×3)")
    expect(visit.page.locator("[data-lane='3x3'] .lane-name")).to_have_text("3×3")


def test_the_lens_shows_position_ranks_and_zero_cells(visit: StageVisit, embedded: PretrainedModel) -> None:
    visit.open(f"{QUERY}&lens=3x3:20:2:1")
    maps = predict(embedded, open_photo(EXAMPLES / "espresso.jpg")).branch("4c", "3x3")
    preceding = predict(embedded, open_photo(EXAMPLES / "espresso.jpg")).branch("4c", "1x1").shape[0]
    lens = visit.page.locator(".lens")
    expect(lens).to_contain_text(f"Channel {preceding + 20} of the block’s 512. Numbering starts at 0.")
    expect(lens).to_contain_text("Row 2, column 1: ")
    expect(lens.get_by_text(re.compile(r"rank \d+ of 512"))).to_have_count(2)  # worth and reading
    share = re.search(r"zero in (?:<1|(\d+))\s% of the cells", lens.inner_text())
    assert share
    assert int(share[1] or 0) == pytest.approx(100 * float((maps[20] == 0).mean()), abs=5)


def test_the_lens_states_the_part_of_its_window_that_lies_on_the_photo(
    visit: StageVisit, embedded: PretrainedModel
) -> None:
    row, column = 2, 1
    field, side = receptive_field(embedded.model, "4c", "3x3"), embedded.input_size
    starts = [field.start + index * field.stride for index in (column, row)]
    width, height = [min(start + field.size, side) - max(start, 0) for start in starts]
    assert width < height < field.size
    visit.open(f"{QUERY}&lens=3x3:20:{row}:{column}")
    sight = visit.page.locator(".lens-sight")
    expect(sight).to_contain_text(f"This cell can see {width}×{height} pixels")
    expect(sight).to_contain_text(f"window of {field.size}×{field.size} pixels reaches beyond the photo")


@pytest.mark.parametrize("lane", ["1x1", "pool"])
def test_the_lens_lies_within_a_low_window(visit: StageVisit, lane: str) -> None:
    visit.page.set_viewport_size({"width": 1366, "height": 768})
    visit.open(QUERY)
    visit.page.locator(f"[data-lane='{lane}'] .tile").first.click()
    expect(visit.page.locator(".lens")).to_contain_text("90 % of the influence")
    expect(visit.page.locator(".lens .tells-worth")).to_be_visible()
    assert visit.is_in_view(".lens")
    assert visit.is_in_view(".lens-actions")


def test_the_lens_stays_within_the_window_when_its_size_changes(visit: StageVisit) -> None:
    page, lens = visit.page, visit.page.locator(".lens")
    visit.open(QUERY)
    page.locator("[data-lane='3x3'] .tile").last.click()
    expect(lens).to_contain_text("90 % of the influence")
    expect(lens.locator(".tells-worth")).to_be_visible()
    is_within = """() => {
      const { left, top, right, bottom } = document.querySelector(".lens").getBoundingClientRect();
      return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight &&
        document.documentElement.scrollWidth <= innerWidth;
    }"""
    # A narrow window, then a phone that is rotated.
    for width, height in ((760, 900), (390, 844), (844, 390)):
        page.set_viewport_size({"width": width, "height": height})
        wait_until(page, is_within, timeout=5000)


@pytest.mark.parametrize("lane", ["1x1", "pool"])
def test_the_switch_of_a_channel_stays_under_the_pointer(visit: StageVisit, lane: str) -> None:
    visit.open(QUERY)
    visit.page.locator(f"[data-lane='{lane}'] .tile").first.click()
    switch = visit.page.locator(".lens").get_by_role("button", name="Turn this channel")
    expect(visit.page.locator(".lens")).to_contain_text("90 % of the influence")
    expect(visit.page.locator(".lens .tells-worth")).to_be_visible()
    before = switch.bounding_box()
    for state in ("on", "off"):
        switch.click()
        expect(switch).to_have_text(f"Turn this channel {state}")
        expect(switch).to_be_focused()
        if state == "on":
            expect(visit.page.locator(".lens")).to_contain_text("This channel is off")
        after = switch.bounding_box()
        assert before
        assert after
        assert after["x"] == before["x"]
        assert after["y"] == pytest.approx(before["y"], abs=3)


def test_lines_on_the_photo_have_a_caption_while_a_lane_is_hovered(visit: StageVisit) -> None:
    visit.open(QUERY)
    caption = visit.page.locator(".photo-caption")
    expect(caption).to_be_hidden()
    visit.page.locator("[data-lane='5x5'] .worth").hover()
    expect(caption).to_have_text("Solid: what one cell seesDotted: 90 % of influence")
    visit.page.mouse.move(0, 0)
    expect(caption).to_be_hidden()


def test_each_block_states_its_brightest_branch(visit: StageVisit, embedded: PretrainedModel) -> None:
    visit.open(QUERY)
    branches = predict(embedded, open_photo(EXAMPLES / "espresso.jpg")).branches("3a")
    best = max(BRANCHES, key=lambda branch: float(branches[branch].mean()))
    name = visit.page.locator("[data-block='3a']").get_attribute("aria-label") or ""
    assert f"brightest branch: {best.replace('x', '×')}" in name


# ---------------------------------------------------------------- photo


def test_the_photo_with_its_overlay_is_full_screen_until_escape(visit: StageVisit) -> None:
    visit.open(f"{QUERY}&lens=3x3:20:2:1")
    overlay = visit.page.locator(".photo-frame canvas")
    expect(overlay).to_be_hidden()
    visit.page.get_by_role("button", name="Show the photo full screen").click()
    wait_until(visit.page, "document.fullscreenElement !== null")
    expect(overlay).to_be_visible()
    frame = visit.page.locator(".photo-frame").bounding_box()
    assert frame is not None
    assert frame["width"] == pytest.approx(frame["height"])
    assert frame["width"] > 800
    visit.page.keyboard.press("Escape")
    wait_until(visit.page, "document.fullscreenElement === null")


PASTE = """target => {
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File(["no picture"], "pasted.png", { type: "image/png" }));
  target.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


def test_an_image_is_opened_when_it_is_pasted_but_not_into_a_field(visit: StageVisit) -> None:
    visit.open(QUERY)
    visit.expects_rejections = True
    visit.page.locator("[data-stage=answer] input").evaluate(PASTE)
    visit.page.wait_for_timeout(300)
    assert not [url for url in visit.requests if "upload" in url]
    with visit.page.expect_request("**/gradio_api/upload*"):
        visit.page.locator("[data-stage=answer] h2").evaluate(PASTE)
    expect(visit.page.locator("#notice")).to_be_visible()


# ---------------------------------------------------------------- views under the stage


COMPARED_PICTURE = "() => document.querySelectorAll('#deeper-compare .compare-side > canvas')[1]?.toDataURL()"


def compared_picture(visit: StageVisit, after: str = "") -> str:
    """Return the pixels of the photo on the right of Compare, once they differ from `after`."""
    wait_until(visit.page, f"after => (({COMPARED_PICTURE})() ?? after) !== after", after)
    return visit.page.evaluate(COMPARED_PICTURE)


def test_an_uploaded_photo_can_be_compared_on_a_shared_scale(visit: StageVisit) -> None:
    visit.open(f"{QUERY}&deeper=compare")
    sides = visit.page.locator("#deeper-compare .compare-side")
    expect(sides).to_have_count(2)
    headline, picture = visit.headline, compared_picture(visit)
    visit.page.locator("#deeper-compare input[type=file]").set_input_files(EXAMPLES / "macaw.jpg")
    compared_picture(visit, after=picture)
    assert visit.headline == headline, "the photo of the stage is unchanged"
    expect(sides.nth(1)).to_contain_text(re.compile(r"\b\d+ of the block’s 512 channels are silent"))
    data_urls = "all => all.map(one => one.toDataURL()).join()"
    separate_scales = sides.locator("canvas").evaluate_all(data_urls)
    visit.wait_until_idle()
    request_count = len(visit.requests)
    visit.page.locator("#deeper-compare select").nth(2).select_option("both")
    expect(visit.page.locator("#deeper-compare")).to_contain_text("share one scale")
    assert sides.locator("canvas").evaluate_all(data_urls) != separate_scales
    assert [url for url in visit.requests[request_count:] if not url.startswith(("blob:", "data:"))] == []
    map_canvas = sides.nth(0).locator("figure canvas").first
    map_canvas.scroll_into_view_if_needed()
    map_box = map_canvas.bounding_box()
    assert map_box
    visit.page.mouse.move(map_box["x"] + map_box["width"] / 2, map_box["y"] + 0.5)  # its border
    expect(sides.nth(0).locator("figure .number").first).to_have_text(re.compile(r"^[\d.]+$"))
    held_routes: list[Route] = []
    visit.page.route("**/run/stage_scene", lambda route: held_routes.append(route))
    with visit.page.expect_request("**/run/stage_scene"):
        visit.page.locator("#deeper-compare select").nth(1).select_option(label="red panda")
    expect(visit.page.locator("#deeper-compare .compare")).to_have_class(re.compile("deeper-stale"))
    held_routes[0].continue_()
    expect(visit.page.locator("#deeper-compare .compare")).not_to_have_class(re.compile("deeper-stale"))


def test_the_compared_photo_is_the_one_chosen_last(visit: StageVisit) -> None:
    visit.open(f"{QUERY}&deeper=compare")
    expect(visit.page.locator("#deeper-compare .compare-side")).to_have_count(2)
    picture = compared_picture(visit)
    held_routes: list[Route] = []
    visit.page.route("**/gradio_api/upload*", lambda route: held_routes.append(route))
    chooser = visit.page.locator("#deeper-compare input[type=file]")
    for count, name in enumerate(("macaw", "bison"), 1):
        chooser.set_input_files(EXAMPLES / f"{name}.jpg")
        while len(held_routes) < count:
            visit.page.wait_for_timeout(20)
    with visit.page.expect_response("**/gradio_api/upload*"):
        held_routes[1].continue_()
    second_picture = compared_picture(visit, after=picture)
    with visit.page.expect_response("**/gradio_api/upload*"):
        held_routes[0].continue_()
    visit.page.wait_for_timeout(1000)
    assert compared_picture(visit) == second_picture


def test_both_sides_of_the_comparison_show_the_square_that_the_network_sees(visit: StageVisit) -> None:
    pictures = []
    for crop in ("", "&crop=0:0:1"):
        visit.open(f"{QUERY}&deeper=compare{crop}")
        sides = visit.page.locator(".compare-side > canvas")
        expect(sides).to_have_count(2)
        other_photo = compared_picture(visit)
        visit.page.locator("#deeper-compare select").nth(1).select_option(label="the same photo")
        compared_picture(visit, after=other_photo)
        pictures.append(sides.evaluate_all("all => all.map(one => one.toDataURL())"))
    centre, left = pictures
    assert centre[0] == centre[1]
    assert left[0] == left[1]
    assert left != centre


def test_clicking_a_number_of_the_table_leads_to_its_branch(visit: StageVisit) -> None:
    visit.open(f"{QUERY}&deeper=numbers")
    visit.page.get_by_text("Every branch of every block, turned off one at a time").click()
    visit.page.get_by_role("button", name="Block 5a, 5×5:").click(timeout=30_000)
    expect(visit.page.locator("[data-block='5a']")).to_have_attribute("aria-selected", "true")
    lane = visit.page.locator("[data-lane='5x5']")
    expect(lane).to_have_class(re.compile("marked"))
    assert visit.is_in_view("[data-lane='5x5']")
    visit.page.keyboard.press("Tab")
    expect(lane).not_to_have_class(re.compile("marked"))


@pytest.mark.parametrize(
    ("view", "field"), [("cell", "input[data-cell=row]"), ("cost", ".cost-field input[type=number]")]
)
def test_a_number_out_of_range_is_reported_and_left_as_entered(visit: StageVisit, view: str, field: str) -> None:
    visit.open(f"{QUERY}&deeper={view}")
    number = visit.page.locator(f"#deeper-{view} {field}").first
    number.fill("99999")
    number.blur()
    message = visit.page.locator(f"#deeper-{view} .deeper-told").filter(has_text="must be a whole number from")
    expect(message).to_be_visible()
    expect(number).to_have_value("99999")
    number.fill("1")
    number.blur()
    expect(message).to_have_count(0)


def test_a_link_of_an_earlier_version_opens_the_step_of_the_lesson(visit: StageVisit) -> None:
    visit.open("?lesson=2")
    expect(visit.page.locator("[data-stage=lesson]")).to_contain_text("Step 2 of 8")


# ---------------------------------------------------------------- tiles

PAINT_TILE_OUT_OF_ORDER = """async () => {
  const { createTile } = await import(new URL("stage/static/js/views/tile.js", document.baseURI).href);
  const state = { scale: "own", colours: "grey", lens: null, block: "4c", offChannels: {} };
  const store = { get: () => state, data: () => ({ network: null }), hover: () => undefined };
  const maps = { count: 1, side: 1, low: [0], high: [1], mean: [0], values: Uint8Array.of(0) };
  const channels = { "1x1": maps, "3x3": maps, "5x5": maps, pool: maps };
  const plain = (colour) => {
    const canvas = new OffscreenCanvas(96, 96), context = canvas.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 96, 96);
    return canvas;
  };
  const what = { branch: "1x1", channel: 0, channels, worth: null };
  const tile = (square, canvas) => createTile(store, { ...what, square }, canvas).querySelector("canvas");
  let arrive;
  const slow = new Promise((done) => (arrive = done));
  const canvas = tile(slow);
  tile(Promise.resolve(plain("#00f")), canvas);
  await new Promise(requestAnimationFrame);
  arrive(plain("#f00"));
  await new Promise(requestAnimationFrame);
  return [...canvas.getContext("2d").getImageData(48, 48, 1, 1).data];
}"""


def test_a_late_photo_is_not_painted_over_the_next_one(visit: StageVisit) -> None:
    visit.open(QUERY)
    assert visit.page.evaluate(PAINT_TILE_OUT_OF_ORDER) == [0, 0, 255, 255]


def test_the_lens_does_not_show_a_late_photo_either(visit: StageVisit) -> None:
    page, canvas = visit.page, visit.page.locator(".lens canvas")
    visit.open(QUERY)
    held_routes: list[Route] = []
    page.route("**/examples/bison.jpg", lambda route: held_routes.append(route))
    for name in ("bison", "espresso"):
        page.get_by_role("button", name=f"Example: {name}").click()
        expect(page.locator("[data-stage=answer] h2")).to_contain_text(name)
        expect(page.locator("#block")).not_to_have_class(re.compile("no-votes|no-worth"))
        page.locator("[data-lane='1x1'] .tile").first.click()
        expect(canvas).to_be_visible()
    page.wait_for_timeout(300)
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    for route in held_routes:
        route.continue_()
    visit.wait_until_idle()
    assert canvas.evaluate("canvas => canvas.toDataURL()") == before


CAPTIONS = """[...document.querySelectorAll(".lanes .tile > .number")]
  .map(caption => { const { left, right } = caption.getBoundingClientRect(); return [left, right]; })"""


def test_captions_of_tiles_do_not_touch_and_stand_below_their_maps(visit: StageVisit) -> None:
    visit.open(QUERY)
    expect(visit.page.locator(".lanes .tile b")).not_to_have_count(0)
    for (_, right), (left, _) in pairwise(visit.page.evaluate(CAPTIONS)):
        assert right + 5 <= left or left < right - 100  # a new lane
    shifts = visit.page.evaluate(
        """[...document.querySelectorAll(".lanes .tile")].map(tile => {
          const [outer, map] = [tile, tile.querySelector("canvas")].map(one => one.getBoundingClientRect());
          return outer.left + outer.width / 2 - map.left - map.width / 2;
        })"""
    )
    assert shifts == pytest.approx([0] * len(shifts), abs=0.5)


@pytest.mark.parametrize(
    "visit", [{"viewport": {"width": 1280, "height": 720}}, {"viewport": {"width": 390, "height": 844}}], indirect=True
)
def test_the_button_of_a_lane_opens_the_channels_of_its_branch(visit: StageVisit) -> None:
    visit.open(QUERY)
    more = visit.page.locator("[data-lane='5x5'] .more")
    expect(more).to_have_text(re.compile(r"^\d+ more$"))
    more.click()
    expect(visit.page.locator("dialog.all [data-branch='5x5'] h3")).to_be_in_viewport()
    head, heading = (
        visit.page.locator(f"dialog.all {selector}").bounding_box()
        for selector in (".dialog-head", "[data-branch='5x5'] h3")
    )
    assert head
    assert heading
    assert head["y"] + head["height"] <= heading["y"] < head["y"] + head["height"] + 40
    expect(visit.page.locator("dialog.all [data-branch='5x5'] .channel-number").first).to_be_visible()


def test_a_link_to_all_channels_opens_them_once_they_have_loaded(visit: StageVisit) -> None:
    page, dialog = visit.page, visit.page.locator("dialog.all")
    held_routes: list[Route] = []
    page.route("**/run/stage_block", lambda route: held_routes.append(route))
    with page.expect_request("**/run/stage_block"):
        page.goto(f"{visit.address}?photo=macaw&block=4d&view=all")
    expect(page.locator("[data-stage=answer] .rows li").first).to_be_attached()
    visit.page.wait_for_timeout(500)
    expect(dialog).to_be_hidden()
    for route in held_routes:
        route.continue_()
    expect(dialog.locator(".tile").first).to_be_visible()


# ---------------------------------------------------------------- narrow windows, large text, forced colours


@pytest.mark.parametrize(
    "visit",
    [
        {"viewport": {"width": 320, "height": 700}},
        {"viewport": {"width": 390, "height": 844}, "locale": "zh-CN"},
        {"viewport": {"width": 640, "height": 400}},
    ],
    indirect=True,
    ids=["320", "390 Chinese", "640"],
)
def test_narrow_windows_show_every_control_and_do_not_scroll_sideways(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    for control in (
        "header button:text-matches('^(Share|分享)$')",
        ".photo-actions button:text-matches('^(Whole|整张)$')",
    ):
        expect(page.locator(control)).to_be_visible()
    expect(page.locator(".answer-tools input")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


LARGE_TEXT = ":root { --text: 32px !important; --small: 28px !important; --fine: 26px !important; }"
# Whether no element of the selector is cut off at the right edge of its parent.
IS_UNCUT = """selector => [...document.querySelectorAll(selector)].every(one =>
  one.getBoundingClientRect().right <= one.parentElement.getBoundingClientRect().right + 1)"""


def test_text_of_twice_the_size_does_not_overlap_and_is_not_cut_off(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    page.add_style_tag(content=LARGE_TEXT)
    wait_until(page, IS_UNCUT, arg=".tiles > *")
    assert page.evaluate(IS_UNCUT, ".photo-actions > button")
    numbers = page.locator("[data-lane='3x3'] .tile > .number")
    boxes = sorted((box["x"], box["x"] + box["width"]) for number in numbers.all() if (box := number.bounding_box()))
    assert len(boxes) >= 2
    assert all(left[1] <= right[0] for left, right in pairwise(boxes))
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("[data-lane='1x1'] .tile").first.click()
    assert page.evaluate(IS_UNCUT, ".lens-left > *")


STYLE = "(element, name) => getComputedStyle(element, name[1]).getPropertyValue(name[0])"


@pytest.mark.parametrize("visit", [{"forced_colors": "active"}], indirect=True)
def test_forced_colours_show_switches_bars_and_selections(visit: StageVisit) -> None:
    page = visit.page
    visit.open(QUERY)
    visit.switch("3x3")
    page.mouse.move(0, 0)
    switches = [page.locator(f"[data-switch='{branch}']") for branch in ("1x1", "3x3")]
    card = page.locator("[data-lane='1x1']").evaluate(STYLE, ["background-color"])
    on, off = (switch.evaluate(STYLE, ["background-color"]) for switch in switches)
    assert on not in (off, card)
    for switch, track in zip(switches, (on, off), strict=True):
        assert switch.evaluate(STYLE, ["background-color", "::after"]) not in (track, card if track == off else track)
    for bar in (".rows .bar i", "[data-lane='1x1'] .worth i"):
        assert page.locator(bar).first.evaluate(STYLE, ["background-color"]) != card, bar
    chosen = page.locator("[data-block='4c']").evaluate(STYLE, ["border-top-color"])
    others = {page.locator(f"[data-block='{block}']").evaluate(STYLE, ["border-top-color"]) for block in ("3a", "5b")}
    assert len(others) == 1
    assert chosen not in others
    visit.open(f"{QUERY}&deeper=about")
    tabs = (page.locator("#deeper-tab-about"), page.locator("#deeper-tab-cost"))
    assert len({tab.evaluate(STYLE, ["background-color"]) for tab in tabs}) == 2


@pytest.mark.parametrize("visit", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
def test_a_switch_that_is_off_has_enough_contrast(visit: StageVisit) -> None:
    visit.open()
    visit.switch("3x3")
    colours = visit.page.locator("[data-switch='3x3']").evaluate(
        """switch_ => {
          const canvas = document.createElement("canvas").getContext("2d");
          const light = colour => {
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(value => value / 255)
              .map(value => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const lane = getComputedStyle(switch_.closest(".lane")).backgroundColor;
          const knob = getComputedStyle(switch_, "::after").backgroundColor;
          return [getComputedStyle(switch_).borderTopColor, knob, lane].map(light);
        }"""
    )
    *parts, lane = (value + 0.05 for value in colours)
    for part in parts:
        assert max(part, lane) / min(part, lane) >= 3


# ---------------------------------------------------------------- redrawn views


def test_open_details_stay_open_when_they_are_redrawn(visit: StageVisit) -> None:
    page = visit.page
    visit.open(f"{QUERY}&deeper=numbers")
    details = page.locator("#deeper-numbers details", has_text="All 16 sets")
    details.locator("summary").click()
    expect(details).to_have_attribute("open", "")
    second = page.locator("[data-stage=answer] .rows button").nth(1)
    second.click()
    expect(page.locator("#deeper-numbers")).to_contain_text(f"{second.locator('.name').inner_text()}”")
    expect(details).to_have_attribute("open", "")
    visit.open(f"{QUERY}&deeper=cell")
    products = page.locator("#deeper-cell .cell-hand ~ div details")
    products.locator("summary").click()
    expect(products).to_have_attribute("open", "")
    title = page.locator("#deeper-cell h3").first
    before = title.inner_text()
    page.locator("#deeper-cell .deeper-picker").press("ArrowUp" if "Row 0" not in before else "ArrowDown")
    expect(title).not_to_have_text(before)
    expect(page.locator("#deeper-cell .deeper-stale")).to_have_count(0)
    expect(products).to_have_attribute("open", "")


def test_a_logit_as_a_sum_is_not_called_a_cell(visit: StageVisit) -> None:
    visit.open(f"{QUERY}&deeper=unit&lens=1x1:59:4:4")
    circuit = visit.page.locator(".unit-circuit")
    expect(circuit.locator("h4")).to_have_text("This cell as a sum", timeout=30_000)
    circuit.get_by_role("button", name="Begin with the answer").click()
    expect(circuit.locator("h4")).to_have_text("This logit as a sum", timeout=30_000)
    expect(circuit.locator(".circuit-sum")).not_to_contain_text("ReLU")
