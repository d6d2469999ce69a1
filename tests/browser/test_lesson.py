"""The lesson: hidden answers, slow and failed requests, and its layout."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from benchmarks.browser import wait_until
from support.stage_visitor import StageVisit

BRIGHTEST_BRANCH_STEP = 7
WORTH_PATTERN = re.compile(r"[+−]\s?\d+\.\d")


def dock(visit: StageVisit) -> Locator:
    return visit.page.locator("[data-stage=lesson]")


def open_step(visit: StageVisit, query: str) -> Locator:
    """Open a step and wait for its question."""
    visit.open(query)
    expect(dock(visit).locator(".lesson-ask")).to_have_text(re.compile(r"[?.]$"))
    visit.settle()
    return dock(visit)


def visible_text(part: Locator) -> str:
    """Return the visible text of an element and its text for screen readers."""
    return f"{part.inner_text()}\n{part.aria_snapshot()}"


@pytest.mark.parametrize("step", [3, BRIGHTEST_BRANCH_STEP])
def test_the_page_hides_which_branch_matters_until_the_answer(visit: StageVisit, step: int) -> None:
    lesson = open_step(visit, f"?photo=honey_bee&step={step}")
    stage = visit.page.locator("[data-stage=block]")
    expect(visit.page.locator(".carried")).not_to_be_empty()
    visit.page.locator("[data-lane='3x3'] [data-channel]").first.click()
    expect(visit.page.locator(".lens")).to_be_visible()
    assert not WORTH_PATTERN.search(visible_text(stage))
    assert "adds most" not in visible_text(stage)
    visit.page.locator("[data-deeper=numbers]").click()
    numbers = visit.page.locator("#deeper-numbers")
    expect(numbers.locator(".deeper-bars")).to_be_attached()
    assert not WORTH_PATTERN.search(visible_text(numbers))
    expect(numbers.locator("summary").last).to_be_hidden()
    visit.page.locator("[data-deeper=unit]").click()
    circuit = visit.page.locator("#deeper-unit .unit-circuit")
    circuit.get_by_role("button", name="Begin with the answer").click()
    expect(circuit.locator(".circuit-path b")).to_contain_text("logit of")
    expect(circuit.locator(".circuit-terms")).to_be_hidden()
    visit.page.locator("[data-deeper=numbers]").click()

    if step == BRIGHTEST_BRANCH_STEP:
        lesson.locator("[data-choice='1x1']").click()
    else:
        lesson.locator("[data-choice=show]").click()
    expect(lesson.locator(".lesson-verdict")).not_to_be_empty()
    assert WORTH_PATTERN.search(visible_text(stage))
    assert "adds most" in visible_text(stage)
    expect(visit.page.locator(".carried")).to_be_visible()
    expect(numbers.locator(".deeper-bars")).to_be_visible()


def test_the_lens_does_not_overlap_the_lesson(visit: StageVisit) -> None:
    visit.open()
    visit.page.set_viewport_size({"width": 1440, "height": 900})
    lesson = open_step(visit, "?photo=honey_bee&step=3")
    lens = visit.page.locator(".lens")
    for branch in ("1x1", "pool"):
        visit.page.locator(f"[data-lane='{branch}'] [data-channel]").first.click()
        expect(lens).to_be_visible()
        lens_box, lesson_box = lens.bounding_box(), lesson.bounding_box()
        assert lens_box is not None
        assert lesson_box is not None
        assert lens_box["y"] >= 0
        assert lens_box["y"] + lens_box["height"] <= lesson_box["y"]


def test_a_step_continues_after_a_photo_fails_to_load(visit: StageVisit) -> None:
    lesson = open_step(visit, "?photo=espresso&step=7")
    question = lesson.locator(".lesson-ask").inner_text()

    def reject_red_panda(route: Route) -> None:
        if "red_panda" in (route.request.post_data or ""):
            route.fulfill(status=400, json={"error": "This photo cannot be read."})
        else:
            route.continue_()

    visit.page.route("**/run/stage_scene", reject_red_panda)
    visit.expects_rejections = True
    visit.page.get_by_role("button", name="Example: red panda").click()
    expect(visit.page.locator("#notice")).to_contain_text("cannot be read")
    expect(lesson.locator(".lesson-ask")).to_have_text(question)
    lesson.locator("[data-choice=pool]").click()
    expect(lesson.locator(".lesson-verdict")).not_to_be_empty()


def test_a_step_is_computed_again_after_the_square_is_dragged(visit: StageVisit) -> None:
    lesson = open_step(visit, "?photo=honey_bee&step=7")
    box = visit.page.locator(".photo-crop").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    with visit.page.expect_response("**/run/stage_scene"):
        visit.page.mouse.move(x + 30, y, steps=4)
    visit.page.wait_for_timeout(500)  # the scene of the last position is on the stage before the square is dropped
    visit.page.mouse.up()
    expect(visit.page).to_have_url(re.compile("crop="))
    expect(lesson.locator(".lesson-ask")).to_have_text(re.compile(r"\?$"))
    lesson.get_by_role("button", name="Next").click()
    expect(lesson.locator(".lesson-ask")).to_contain_text("drag the square")


def test_an_answer_found_while_the_solution_is_computed_counts(visit: StageVisit) -> None:
    lesson = open_step(visit, "?photo=honey_bee&block=5b&step=8")
    held_routes: list[Route] = []
    # Crops are tried with all branches on.
    visit.page.route(
        "**/run/stage_scene",
        lambda route: route.continue_() if '"1x1"' in (route.request.post_data or "") else held_routes.append(route),
    )
    show = lesson.locator("[data-choice=show]")
    with visit.page.expect_request("**/run/stage_scene"):
        show.click()
    expect(show).to_be_disabled()
    expect(lesson.get_by_role("status")).to_contain_text("Computing")
    visit.switch("1x1")
    expect(lesson.get_by_role("status")).to_contain_text("Right.")
    expect(visit.page).to_have_url(re.compile("off="))
    with visit.page.expect_response("**/run/stage_scene"):
        held_routes[0].continue_()
    visit.page.wait_for_timeout(500)
    assert len(held_routes) == 1
    expect(lesson.get_by_role("status")).to_contain_text("Right.")
    expect(visit.page).to_have_url(re.compile("off="))


def test_the_solution_can_be_requested_again_after_an_error(visit: StageVisit) -> None:
    lesson = open_step(visit, "?photo=honey_bee&step=8")
    visit.expects_rejections = True
    visit.page.route(
        "**/run/stage_scene", lambda route: route.fulfill(status=400, json={"error": "The server is busy."})
    )
    lesson.locator("[data-choice=show]").click()
    expect(lesson.locator(".lesson-ask")).to_contain_text("The server is busy.")
    visit.page.unroute("**/run/stage_scene")
    lesson.get_by_role("button", name="Try again").click()
    lesson.locator("[data-choice=show]").click()
    expect(lesson.get_by_role("status")).to_contain_text("the network says")


def test_after_the_lesson_the_tiles_fit_into_their_lanes(visit: StageVisit) -> None:
    lesson = open_step(visit, "?photo=espresso&step=7")
    lesson.get_by_role("button", name="Leave the lesson").click()
    expect(lesson).to_be_hidden()
    for lane in ("1x1", "3x3", "5x5", "pool"):
        tiles = visit.page.locator(f"[data-lane='{lane}'] .tiles")
        # Tiles have their usual size again, and the last button is not cut off.
        wait_until(visit.page, "tiles => tiles.scrollWidth <= tiles.clientWidth", arg=tiles.element_handle())


@pytest.mark.parametrize(
    "visit",
    [
        {"viewport": {"width": 390, "height": 844}, "locale": "zh-CN", "is_mobile": True},
        {"viewport": {"width": 844, "height": 390}, "is_mobile": True},
    ],
    indirect=True,
)
def test_the_next_button_is_in_view_on_a_phone_below_a_long_verdict(visit: StageVisit) -> None:
    visit.open("?photo=honey_bee&step=2")
    dock(visit).locator("[data-choice]").nth(1).click()
    expect(dock(visit).locator(".lesson-verdict")).not_to_be_empty()
    assert visit.is_in_view(".lesson-next")


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "is_mobile": True}], indirect=True)
def test_a_phone_shows_the_numbers_of_channels_that_a_step_asks_for(visit: StageVisit) -> None:
    open_step(visit, "?photo=honey_bee&step=4")
    layers = visit.page.locator("[data-lane='5x5'] .layers")
    expect(layers).to_contain_text("→")
    expect(layers).to_be_visible()
    right_edge, worth = (
        layers.locator("span").last.bounding_box(),
        visit.page.locator("[data-lane='5x5'] .worth").bounding_box(),
    )
    assert right_edge is not None
    assert worth is not None
    assert right_edge["y"] >= worth["y"] + worth["height"] / 2 or right_edge["x"] + right_edge["width"] <= worth["x"]
    assert layers.evaluate("layers => layers.scrollWidth <= layers.clientWidth")
    # The blocks and the numbers fit above the lesson together.
    strip, bar = visit.page.locator(".strip").bounding_box(), dock(visit).bounding_box()
    assert right_edge["y"] + right_edge["height"] - strip["y"] < bar["y"]


def test_the_right_choice_is_marked_and_shown_answers_count_apart(visit: StageVisit) -> None:
    lesson = open_step(visit, "?photo=honey_bee&step=7")
    choices = lesson.locator("[data-choice]")
    choices.first.click()
    expect(lesson.locator(".lesson-verdict")).not_to_be_empty()
    expect(lesson.locator(".lesson-choice.right")).to_have_count(1)
    lesson.get_by_role("button", name="Next").click()
    expect(lesson.locator(".lesson-ask")).to_contain_text("drag the square")
    lesson.locator("[data-choice=show]").click()
    expect(lesson.get_by_role("status")).to_contain_text("the network says")
    lesson.get_by_role("button", name="Finish").click()
    expect(lesson.locator(".lesson-score")).to_contain_text("Change its answer shown")
    expect(lesson.locator("h2")).to_contain_text("of 8 right at the first try")
    lesson.get_by_role("button", name="Close the lesson").click()
    expect(lesson).to_be_hidden()
