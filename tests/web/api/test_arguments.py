"""Checks of arguments by the API's components, its endpoints and the stage's events."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import gradio as gr
import httpx
import pytest

from inception.errors import UserError, WeightsError
from inception.runtime.device import choose_device
from inception.service.ray.errors import ServingError
from inception.service.service import InferenceService
from inception.web.api.arguments import checked, may_be_null
from inception.web.blocks import build
from support.event_loop import run_coroutine
from support.fuzz_api import META
from support.long_names import HUGE_NAME
from support.memory import Memory
from support.paths import EXAMPLES

NET = "tiny-imagenet"
ESPRESSO = EXAMPLES / "espresso.jpg"


# ---------------------------------------------------------------- components


@pytest.fixture(scope="module")
def components() -> dict[str, Any]:
    with gr.Blocks():
        return {
            "whole": gr.Number(0, precision=0),
            "bounded": gr.Number(5, precision=0, minimum=1, maximum=10),
            "field": gr.Number(1, precision=0, minimum=1, maximum=10**9),
            "radio": gr.Radio(["en", "zh"], value="en"),
            "open radio": gr.Radio(["en", "zh"]),
            "group": gr.CheckboxGroup(["1x1", "3x3"], value=[]),
            "text": gr.Textbox("", max_length=5),
            "list": gr.JSON(value=[]),
        }


@pytest.mark.parametrize(
    ("name", "sent", "expected"),
    [
        ("whole", 3, 3),
        ("whole", 3.0, 3),
        ("whole", -(10**12), -(10**12)),
        ("bounded", 10, 10),
        ("radio", "zh", "zh"),
        ("open radio", None, None),
        ("group", ["3x3"], ["3x3"]),
        ("group", None, []),
        ("text", "five5", "five5"),
        ("text", 12, "12"),
        ("text", None, ""),
        ("list", [3, 17], [3, 17]),
        ("list", None, []),
    ],
)
def test_valid_values_are_accepted(components: dict[str, Any], name: str, sent: Any, expected: Any) -> None:
    component = components[name]
    value = checked(component, "it", sent, may_be_null=may_be_null(component))
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("name", "sent", "sentence"),
    [
        ("whole", "3", "it is '3'; it must be a whole number."),
        ("whole", None, "it is None; it must be a whole number."),
        ("whole", True, "it is True; it must be a whole number."),
        ("whole", float("nan"), "it is nan; it must be a whole number."),
        ("whole", float("inf"), "it is inf; it must be a whole number."),
        ("whole", 2.5, "it is 2.5; it must be a whole number."),
        ("bounded", 11, "it is 11; it must be a whole number from 1 to 10."),
        ("bounded", [1], "it is [1]; it must be a whole number from 1 to 10."),
        ("field", 10**12, "it is 1000000000000; it must be a whole number from 1 to 1000000000."),
        ("radio", None, "it is None; it must be one of: en, zh."),
        ("radio", ["en"], "it is ['en']; it must be one of: en, zh."),
        ("group", "1x1", "it is '1x1'; it must be a list with any of: 1x1, 3x3, each at most once."),
        ("group", ["1x1"] * 3, "it must be a list with any of: 1x1, 3x3"),
        ("group", ["1x1"] * 2, "it is ['1x1', '1x1']; it must be a list with any of: 1x1, 3x3, each at most once."),
        ("group", [[]], "it is [[]]; it must be a list with any of: 1x1, 3x3"),
        ("text", "sixsix", "it has 6 characters; at most 5 are allowed. Please send a shorter text."),
        ("text", "\ud800", r"it is '\ud800'; it must be a text of at most 5 characters."),
        ("text", {}, "it is {}; it must be a text of at most 5 characters."),
        ("list", [1.5], "it is [1.5]; it must be a list of whole numbers, at most 1024, for instance [3, 17]."),
        ("list", [1] * 1025, "it must be a list of whole numbers, at most 1024"),
        ("list", {"0": 1}, "it must be a list of whole numbers"),
    ],
)
def test_invalid_values_are_refused_with_a_sentence(
    components: dict[str, Any], name: str, sent: Any, sentence: str
) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)) as refusal:
        checked(components[name], "it", sent, may_be_null=may_be_null(components[name]))
    assert len(str(refusal.value)) < 300


def test_every_input_of_the_page_has_a_check_that_accepts_its_default() -> None:
    page = build(InferenceService((NET,), choose_device("cpu")))
    inputs = {block for fn in page.fns.values() if fn.fn for block in fn.inputs}
    assert len(inputs) > 30
    for block in inputs:
        checked(block, "it", block.value, may_be_null=may_be_null(block))
        if isinstance(block, gr.Number):
            assert block.precision == 0
            assert (block.minimum is None) == (block.maximum is None), "a range needs both bounds"
    with gr.Blocks(), pytest.raises(TypeError, match="no check for a ColorPicker"):
        checked(gr.ColorPicker(), "it", "#fff")


def test_a_class_reaches_its_endpoint_as_number_or_text_as_it_was_sent() -> None:
    page = build(InferenceService((NET,), choose_device("cpu")))
    for fn in (fn for fn in page.fns.values() if fn.api_name in ("class_evidence", "faithfulness", "overlays")):
        names = list(inspect.signature(fn.fn).parameters)
        for sent in (1, "1", "", "pretzel"):
            pairs = zip(fn.inputs, names, strict=True)
            values = [sent if name == "class_name" else block.value for block, name in pairs]
            inputs = run_coroutine(page.preprocess_data(fn, values, None))
            given = inputs[names.index("class_name")]
            assert (type(given), given) == (type(sent), sent), fn.api_name


# ---------------------------------------------------------------- the served page


@pytest.fixture(scope="module")
def photo(page_address: str) -> dict[str, Any]:
    response = httpx.post(f"{page_address}gradio_api/upload", files={"files": ("photo.jpg", ESPRESSO.read_bytes())})
    return {"path": response.raise_for_status().json()[0], "meta": META}


def call(address: str, endpoint: str, data: Any, language: str = "en") -> tuple[str, Any]:
    """Return the final event of a call ("complete" or "error"), or the status code if it was refused, and the data."""
    url = f"{address}gradio_api/call/{'v2/' if isinstance(data, dict) else ''}{endpoint}"
    body = json.dumps(data if isinstance(data, dict) else {"data": data}).replace('"1e400"', "1e400")
    headers = {"Content-Type": "application/json", "Accept-Language": language}
    response = httpx.post(url, content=body, headers=headers, timeout=120)
    if response.status_code != 200:
        return str(response.status_code), response.json()["error"]
    messages = httpx.get(f"{address}gradio_api/call/{endpoint}/{response.json()['event_id']}", timeout=120).text
    event, _, line = messages.strip().rpartition("event: ")[2].partition("\n")
    content = json.loads(line.removeprefix("data: "))
    return event, content["error"] if event == "error" else content


PHOTO = "PHOTO"  # placeholder for the uploaded photo
NUMBER = "it must be a whole number"
UNREADABLE = "What was sent could not be read"  # JSON has no NaN, no Infinity and no lone surrogates
INVALID_CALLS: list[tuple[str, Any, str, str, str]] = [
    *(
        (
            "predict",
            [value, NET, 3],
            "error",
            r'photo is .*; it must be {"path": "….*handle_file\("photo',
            "photo 的值是",
        )
        for value in ("photo.jpg", "http://127.0.0.1:9/x.jpg", 3, True, [], {}, {"meta": []}, {"url": 3})
    ),
    ("predict", [None, NET, 3], "error", "A photo is needed; please send one", "需要一张照片"),
    ("predict", [{"path": "/etc/passwd", "meta": META}, NET, 3], "422", "Only photos that were", "只能打开上传"),
    *(
        ("predict", [PHOTO, NET, value], "error", f"top_k is .*; {NUMBER} from 1 to 1000", "必须是 1 到 1000 的整数")
        for value in ("5", None, True, 1.5, 0, 10**9, [], {"a": {}})
    ),
    *(("predict", [PHOTO, NET, value], "400", UNREADABLE, "无法读取") for value in (float("nan"), float("inf"))),
    *(
        ("predict", [PHOTO, NET, value], "422", "A number that was sent is too large", "数字太大")
        for value in ("1e400", 10**30)
    ),
    ("predict", [PHOTO, [NET], 3], "error", r"model is \['tiny-imagenet'\]; it must be one of: ", "只能是"),
    ("predict", [PHOTO, {"a": [{}] * 9}, 3], "error", "model is {'a': .*}; it must be one of: ", "只能是"),
    ("predict", [PHOTO, None, 3], "error", "model is None; it must be one of: ", "只能是"),
    ("predict", [PHOTO], "error", r"predict takes 3 arguments \(photo, model, top_k\), and 1 were sent", "收到了 1 个"),
    ("predict", [PHOTO, NET, 3, 4], "error", "predict takes 3 arguments .*, and 4 were sent", "收到了 4 个"),
    ("models", [1], "error", "models takes 0 arguments .*, and 1 were sent", "收到了 1 个"),
    ("predict", {"model": NET}, "400", "predict needs the argument photo, which was not sent", "需要参数 photo"),
    ("predict", {"photo": None, "size": 3}, "400", "predict has no argument 'size'; its .* photo, model", "没有参数"),
    ("models", {"x" * 500: 3}, "400", "models has no argument 'xxx.*…; its arguments are: –", "没有参数"),
    *(
        ("cell", [PHOTO, NET, "4c", "3x3", *position], "error", f"{name} is None; {NUMBER}", f"{name} 的值是 None")
        for name, position in (("channel", [None, 0, 0]), ("row", [0, None, 0]), ("column", [0, 0, None]))
    ),
    ("channel", [PHOTO, NET, "4c", "3x3", None, "magma"], "error", f"channel is None; {NUMBER}", "必须是整数"),
    ("anatomy", [NET, ["3a"]], "error", r"block is \['3a'\]; it must be one of: 3a, ", "只能是"),
    ("switch_off", [PHOTO, NET, "4c", "1x1", [], "zero"], "error", "branches is '1x1'; it must be a list", "列表"),
    ("switch_off", [PHOTO, NET, "4c", [], ["3"], "zero"], "error", "channels is .*; it must be a list of who", "列表"),
    (
        "switch_off",
        [PHOTO, NET, "4c", [], [10**9], "zero"],
        "error",
        "There is no channel 1000000000 in 4c;",
        "没有通道",
    ),
    ("class_evidence", [PHOTO, NET, ["goldfish"]], "error", "class_name is .*; it must be a text", "文字"),
    ("class_evidence", [PHOTO, NET, "x" * 201], "error", "class_name has 201 characters; at most 200", "最多 200 个"),
    ("class_evidence", [PHOTO, NET, "\ud800"], "400", UNREADABLE, "无法读取"),
    ("bottleneck_cost", [float("nan"), 32, 256, 5, 784], "400", UNREADABLE, "无法读取"),
    ("classes", [NET, "xx"], "error", "language is 'xx'; it must be one of: en, zh", "只能是"),
]


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize(
    ("endpoint", "data", "event", "english", "chinese"), INVALID_CALLS, ids=lambda value: str(value)[:30]
)
def test_invalid_calls_are_refused_in_the_callers_language(
    page_address: str,
    photo: dict[str, Any],
    endpoint: str,
    data: Any,
    event: str,
    english: str,
    chinese: str,
    language: str,
) -> None:
    sent = data if isinstance(data, dict) else [photo if value is PHOTO else value for value in data]
    outcome, sentence = call(page_address, endpoint, sent, language)
    assert outcome == event
    assert re.search(english if language == "en" else chinese, sentence), sentence
    assert len(sentence) < 400


def test_the_language_argument_overrides_the_header(page_address: str) -> None:
    _, sentence = call(page_address, "classes", ["vgg", "zh"])
    assert sentence == "model 的值是 'vgg'，只能是：tiny-imagenet, googlenet, torchvision。"


@pytest.mark.parametrize("form", ["path", "meta", "more"])
def test_a_photo_needs_only_its_path(page_address: str, photo: dict[str, Any], form: str) -> None:
    file = {"path": {"path": photo["path"]}, "meta": photo, "more": {**photo, "size": "x", "is_stream": True}}[form]
    event, result = call(page_address, "predict", [file, NET, 1])
    assert (event, result[0]["top"][0]["label"]) == ("complete", "espresso")


def test_a_deleted_photo_must_be_sent_again(page_address: str, photo: dict[str, Any]) -> None:
    deleted = {**photo, "path": photo["path"].replace("photo.jpg", "lost.jpg")}
    assert call(page_address, "predict", [deleted, NET, 1]) == (
        "error",
        "This server keeps a photo only for a while and has deleted this one; please choose it again.",
    )


def test_a_class_name_of_15_megabytes_is_refused_cheaply_and_not_quoted(
    page_address: str, photo: dict[str, Any]
) -> None:
    assert call(page_address, "class_evidence", [photo, NET, "goldfish"])[0] == "complete"
    memory = Memory()
    for _ in range(6):
        event, sentence = call(page_address, "class_evidence", [photo, NET, HUGE_NAME])
        assert event == "413"
        assert sentence == "What was sent has more than 5000 values; please send only what the function takes."
    # Client and server are both in this process and hold the 15 MB; comparing the name used to take 670 MB.
    assert memory.peak < 300


# ---------------------------------------------------------------- the stage's events


def events(address: str) -> dict[str, Any]:
    return {event["api_name"]: event for event in httpx.get(f"{address}config").json()["dependencies"]}


def run(address: str, event: dict[str, Any], data: list[Any], **fields: Any) -> tuple[int, Any]:
    body = {"data": data, "fn_index": event["id"], "session_hash": "somebody", **fields}
    response = httpx.post(f"{address}gradio_api/run/predict", json=body, headers={"Accept-Language": "en"}, timeout=60)
    return response.status_code, response.json()


def test_an_invalid_event_is_refused_with_a_status_and_a_sentence(page_address: str) -> None:
    event = events(page_address)["stage_tuning"]
    assert run(page_address, event, [NET, "5b", "disc"])[0] == 200
    status, body = run(page_address, event, [NET, "5b", {}])
    assert (status, body["error"]) == (400, "shape is {}; it must be one of: disc, ring, grating.")
    status, body = run(page_address, event, [NET])
    assert status == 400
    assert body["error"].startswith("stage_tuning takes 3 arguments (model, block, shape)")


@pytest.mark.parametrize("kind", [WeightsError, ServingError])
def test_what_the_server_cannot_compute_has_a_status_of_its_own_faults_and_a_sentence(
    page_address: str, monkeypatch: pytest.MonkeyPatch, kind: type[UserError]
) -> None:
    def fail(*_: object) -> None:
        raise kind("unavailable", "Nothing computes at the moment; please try again.")

    monkeypatch.setattr(InferenceService, "pretrained", fail)
    subject = {"photo": "example:bison", "model": NET, "crop": None}
    status, body = run(page_address, events(page_address)["stage_scene"], [subject, {}])
    assert (status, body["error"]) == (500, "Nothing computes at the moment; please try again.")


def test_all_events_run_on_the_server(page_address: str) -> None:
    assert all(event["backend_fn"] for event in events(page_address).values())


@pytest.mark.parametrize("event_data", [3, "x", [], ["block"], True, {"block": [{}]}, None])
def test_event_data_is_ignored(page_address: str, event_data: Any) -> None:
    event = events(page_address)["stage_start"]
    status, body = run(page_address, event, [], event_data=event_data)
    assert (status, body["data"]) == (200, run(page_address, event, [])[1]["data"])


def test_an_internal_error_is_logged_but_not_disclosed(
    page_address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret of /srv/app")

    monkeypatch.setattr(InferenceService, "readout", fail)
    event, sentence = call(page_address, "reading", [NET, "3a"], "zh")
    assert (event, sentence) == ("error", "服务器出了问题，已记入日志。请再试一次。")
    assert "secret of /srv/app" in caplog.text
