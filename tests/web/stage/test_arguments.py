"""Arguments of the stage's events: photos, crops, and values that are refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from inception import open_photo, predict
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import IMAGENET, WHOLE_PHOTO, Crop
from inception.web.stage.scene import PhotoCrop
from support.paths import EXAMPLES
from support.stage import error_message, event_result, post_event, subject, unpack, upload

NET, BISON = "tiny-imagenet", subject("example:bison")

# ---------------------------------------------------------------- photos and crops


def test_an_uploaded_copy_gives_the_same_scene_as_the_example(page_address: str) -> None:
    uploaded = event_result(page_address, "scene", subject(upload(page_address, EXAMPLES / "bison.jpg")), {})
    example = event_result(page_address, "scene", BISON, {})
    assert uploaded["digest"] == example["digest"]
    assert uploaded["logits"] == example["logits"]


def test_the_whole_of_a_square_photo_differs_from_a_square_at_its_corner() -> None:
    whole = PhotoCrop.of(IMAGENET, 224, 224, WHOLE_PHOTO)
    assert whole.side > 1
    assert whole.for_network(IMAGENET, 224, 224) == WHOLE_PHOTO
    assert PhotoCrop(0, 0, 1).for_network(IMAGENET, 224, 224) == Crop(0, 0)


@pytest.mark.parametrize(
    ("sent", "crop"),
    [([0, 0, 1], Crop(0, 0)), ([0.9, 0.9, 1], Crop(1, 1)), ([-5, 0.5, 0.2], Crop(0, 0.5)), ([0, 0, 1.5], WHOLE_PHOTO)],
)
def test_a_crop_is_moved_to_the_nearest_square_that_the_network_allows(
    page_address: str, embedded: PretrainedModel, sent: list[float], crop: Crop
) -> None:
    photo = open_photo(EXAMPLES / "bison.jpg")
    scene = event_result(page_address, "scene", subject("example:bison", crop=sent), {})
    assert unpack(scene["logits"]) == pytest.approx(predict(embedded, photo, crop=crop).logits, abs=1e-4)
    box = embedded.preprocessing.crop_box(*photo.size, crop)
    short = min(photo.size)
    assert scene["crop"] == pytest.approx([box[0] / photo.width, box[1] / photo.height, (box[2] - box[0]) / short])
    repeated = event_result(page_address, "scene", subject("example:bison", crop=scene["crop"]), {})
    assert (repeated["digest"], repeated["crop"]) == (scene["digest"], scene["crop"]), (
        "the returned crop must give the same scene"
    )


def test_a_deleted_photo_is_served_from_the_cache_or_refused_with_a_sentence(page_address: str) -> None:
    paths = [Path(upload(page_address, EXAMPLES / f"{stem}.jpg")) for stem in ("macaw", "mountain")]
    before = event_result(page_address, "scene", subject(str(paths[0])), {})
    for path in paths:
        path.unlink()
    # A photo that has expired is still usable while its crop is cached.
    after = event_result(page_address, "scene", subject(str(paths[0])), {})
    assert after["logits"] == before["logits"]
    response = post_event(page_address, "scene", subject(str(paths[1])), {})
    assert "has deleted this one" in error_message(response)
    assert "已经删除" in error_message(post_event(page_address, "scene", subject(str(paths[1])), {}, language="zh"))


def test_an_invalid_photo_is_refused_with_a_sentence(page_address: str, tmp_path: Path) -> None:
    file = tmp_path / "text.jpg"
    file.write_text("no photo")
    assert "not a picture" in error_message(post_event(page_address, "scene", subject(upload(page_address, file)), {}))


# ---------------------------------------------------------------- refused arguments

DEEP: Any = None
for _ in range(30):
    DEEP = {"a": DEEP}
REFUSED: list[tuple[str, list[Any], str]] = [
    ("scene", [None, {}], "subject is None; it must be"),
    ("scene", [[], {}], "subject is []; it must be"),
    ("scene", [{"photo": "example:bison"}, {}], "it must be"),
    ("scene", [{**BISON, "more": 1}, {}], "it must be"),
    ("scene", [subject("example:nobody"), {}], "photo is 'example:nobody'; it must be one of: example:bison"),
    ("scene", [subject("example:../bison"), {}], "it must be one of"),
    ("scene", [subject(3), {}], "photo is 3; it must be"),  # type: ignore[arg-type]
    ("scene", [subject("/etc/passwd"), {}], "uploaded to this page"),
    ("scene", [subject("../../etc/passwd"), {}], "uploaded to this page"),
    ("scene", [subject("http://127.0.0.1:9/photo.jpg"), {}], "uploaded to this page"),
    ("scene", [subject("x" * 1900), {}], "uploaded to this page"),
    ("scene", [subject("x" * 5000), {}], "at most"),
    ("scene", [subject("example:bison", "vgg"), {}], "model is 'vgg'; it must be one of"),
    ("scene", [subject("example:bison", 3), {}], "model is 3; it must be one of"),  # type: ignore[arg-type]
    ("scene", [subject("example:bison", crop=[0, 0]), {}], "crop is [0, 0]; it must be"),
    ("scene", [subject("example:bison", crop=[0, 0, 0]), {}], "crop is [0, 0, 0]; it must be"),
    ("scene", [subject("example:bison", crop=[0, True, 1]), {}], "it must be"),
    ("scene", [subject("example:bison", crop=[0, 1e300, 1]), {}], "it must be"),
    ("scene", [subject("example:bison", crop=[0, "0", 1]), {}], "it must be"),  # type: ignore[list-item]
    ("scene", [subject("example:bison", crop={"left": 0}), {}], "it must be"),  # type: ignore[arg-type]
    ("scene", [BISON, None], "off is None; it must be"),
    ("scene", [BISON, {"6a": ["1x1"]}], "block is '6a'; it must be one of: 3a"),
    ("scene", [BISON, {"4b": ["7x7"]}], "branch is '7x7'; it must be one of: 1x1"),
    ("scene", [BISON, {"4b": "1x1"}], "off is {'4b': '1x1'}; it must be"),
    ("scene", [BISON, {"4b": ["1x1"] * 5}], "it must be"),
    ("scene", [BISON, {"4b": [["1x1"]]}], "branch is ['1x1']; it must be one of"),
    ("scene", [BISON, {"4b": [512]}], "There is no channel 512 in 4b; its channels are numbered 0 to 511"),
    ("scene", [BISON, {"4b": [-1]}], "There is no channel -1"),
    ("scene", [BISON, {"4b": [10**15]}], "There is no channel"),
    ("scene", [BISON, {"4b": [1.5]}], "branch is 1.5; it must be one of"),
    ("scene", [BISON, {"4b": [True]}], "branch is True; it must be one of"),
    ("scene", [BISON, {"4b": [7] * 1025}], "it must be"),
    ("scene", [{**BISON, "fill": "noise"}, {}], "fill is 'noise'; it must be one of: zero, mean"),
    ("votes", [{**BISON, "fill": ["mean"]}, "3a"], "fill is ['mean']; it must be one of"),
    ("effective", [BISON, "3a", "1x1", 20, 0], "There is no cell at row 20"),
    ("bottleneck", [BISON, "3c"], "block is '3c'"),
    ("scene", [BISON, DEEP], "level"),
    ("scene", [BISON], "takes 2 arguments (subject, off)"),
    ("scene", [BISON, {}, {}], "takes 2 arguments (subject, off)"),
    ("network", ["vgg"], "model is 'vgg'"),
    ("network", [["tiny-imagenet"]], "model is ['tiny-imagenet']"),
    ("block", [BISON, {}, "3c"], "block is '3c'"),
    ("votes", [BISON, 4], "block is 4"),
    ("worth", [BISON, [200], "4c"], "There is no class number 200"),
    ("worth", [BISON, [-1], "4c"], "There is no class number -1"),
    ("worth", [BISON, list(range(9)), "4c"], "at most 8"),
    ("worth", [BISON, [1.5], "4c"], "list of whole numbers"),
    ("worth", [BISON, 3, "4c"], "list of whole numbers"),
    ("field", [BISON, "9z"], "block is '9z'"),
    ("cell", [BISON, "3a", "1x1", 64, 0, 0], "There is no channel 64"),
    ("cell", [BISON, "3a", "1x1", 0, 20, 0], "There is no cell at row 20"),
    ("cell", [BISON, "3a", "1x1", 0, None, 0], "row is None; it must be a whole number"),
    ("kernel", [BISON, "3a", "2x2", 0, 0, 0], "branch is '2x2'"),
    ("kernel", [BISON, "3a", "1x1", 0, 0, -1], "There is no cell at row 0, column -1"),
    ("evidence", [BISON, 200], "There is no class number 200"),
    ("evidence", [BISON, "ox"], "class is 'ox'; it must be a whole number"),
    ("cam", [BISON, "3a", 10**15], "There is no class number"),
    ("table", [subject("example:x")], "it must be one of"),
    ("tuning", [NET, "3a", "star"], "shape is 'star'; it must be one of: disc, ring, grating"),
]


@pytest.mark.parametrize(
    ("event", "arguments", "excerpt"), REFUSED, ids=[f"{row[0]}-{number}" for number, row in enumerate(REFUSED)]
)
def test_an_invalid_argument_is_refused_with_a_sentence(
    page_address: str, event: str, arguments: list[Any], excerpt: str, capfd: pytest.CaptureFixture[str]
) -> None:
    message = error_message(post_event(page_address, event, *arguments))
    assert excerpt in message
    assert message.endswith(".")
    assert len(message) < 600
    assert "Traceback" not in capfd.readouterr().err


def test_non_finite_numbers_are_refused_by_the_guard(page_address: str) -> None:
    body = '{"data": [{"photo": "example:bison", "model": "tiny-imagenet", "crop": [0, NaN, 1]}, {}]}'
    for text in (body, body.replace("NaN", "1e400")):
        response = httpx.post(
            f"{page_address}gradio_api/run/stage_scene", content=text, headers={"Content-Type": "application/json"}
        )
        assert 400 <= response.status_code < 500
        assert response.json()["error"].endswith(".")


def test_refusals_are_in_the_visitors_language(page_address: str) -> None:
    assert "只能是" in error_message(post_event(page_address, "votes", BISON, "3c", language="zh-CN"))
    assert "格式必须是" in error_message(post_event(page_address, "votes", None, "3c", language="zh-CN"))


@pytest.mark.parametrize(
    ("path", "english", "chinese"),
    [
        (f"/tmp/inception-lens-before/{'0123456789abcdef' * 4}/bison.jpg", "has deleted this one", "已经删除"),
        ("/etc/passwd", "Only photos that were uploaded", "只能打开上传到本页面的照片"),
        (f"{EXAMPLES}/bison.jpg", "Only photos that were uploaded", "只能打开上传到本页面的照片"),
    ],
)
def test_a_photo_of_a_server_that_ran_before_has_expired_and_any_other_file_is_refused(
    page_address: str, path: str, english: str, chinese: str
) -> None:
    assert english in error_message(post_event(page_address, "scene", subject(path), {}))
    assert chinese in error_message(post_event(page_address, "scene", subject(path), {}, language="zh"))
