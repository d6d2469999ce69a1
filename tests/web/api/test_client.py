"""The API through `gradio_client`, compared with the Python package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from inception import load, open_photo, predict
from inception.errors import ChoiceError, DeviceError
from inception.explain.ablation import ablate, ablation_table
from inception.explain.attribution import evidence, grad_cam
from inception.explain.convolution import trace_convolution
from inception.explain.shapley import branch_votes
from inception.network.fused import HALF, fused_engine
from inception.pretrained import checkpoint
from inception.pretrained import pretrained as pretrained_module
from inception.pretrained.description import Description
from inception.render.branches import ViewOptions, render_branches
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.blocks import build
from support.paths import EXAMPLES

ESPRESSO = str(EXAMPLES / "espresso.jpg")


@pytest.fixture(scope="module")
def client(page_address: str) -> Client:
    return Client(page_address, verbose=False)


@pytest.mark.parametrize(
    ("arguments", "compute_expected"),
    [
        (
            ("/branch_votes", "4c", "goldfish", "zero"),
            lambda net, prediction: branch_votes(net, prediction, "4c", "goldfish").votes,
        ),
        (("/network_table", "", "zero"), lambda net, prediction: ablation_table(net, prediction).falls),
        (("/class_evidence", "espresso"), lambda net, prediction: evidence(net, prediction, "espresso").amounts),
        (
            ("/switch_off", "4c", ["3x3"], [0, 5], "zero"),
            lambda net, prediction: [change.label for change in ablate(net, prediction, "4c", ["3x3"], [0, 5]).top],
        ),
        (("/grad_cam", "3b", ""), lambda net, prediction: float(grad_cam(net, prediction, "3b").signed.max())),
        (
            ("/cell", "3a", "5x5", 3, 4, 5),
            lambda net, prediction: trace_convolution(net, prediction, "3a", "5x5", 3, 4, 5).value,
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_explanations_of_the_api_match_the_package(
    client: Client, arguments: tuple[Any, ...], compute_expected: Callable[..., Any]
) -> None:
    name, *values = arguments
    result = client.predict(handle_file(ESPRESSO), "tiny-imagenet", *values, api_name=name)
    assert result["model"] == "tiny-imagenet"
    actual = {
        "/branch_votes": lambda: result["votes"],
        "/network_table": lambda: result["falls"],
        "/class_evidence": lambda: result["amounts"],
        "/switch_off": lambda: [row["label"] for row in result["top"]],
        "/grad_cam": lambda: result["maps"]["all"]["highest"],
        "/cell": lambda: result["value"],
    }[name]()
    expected = compute_expected(load(), predict(load(), open_photo(ESPRESSO)))
    if isinstance(expected, dict) and isinstance(next(iter(expected.values())), dict):
        assert actual == {block: pytest.approx(dict(row), abs=1e-3) for block, row in expected.items()}
    elif isinstance(expected, list):
        assert actual == expected
    else:
        assert actual == pytest.approx(expected if isinstance(expected, float) else dict(expected), abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("/branch_votes", "4c", "goldfsh", "zero"),
            "has no class 'goldfsh'; it has 200 classes, among them goldfish",
        ),
        (("/branch_votes", "9z", "", "zero"), "9z"),
        (("/switch_off", "4c", ["3x3"], ["a"], "zero"), "a list of whole numbers"),
        (("/switch_off", "4c", [], [5000], "zero"), "in 4c; its channels are numbered 0 to 511"),
        (("/cell", "5b", "1x1", 0, 99, 0), "There is no cell at row 99"),
    ],
)
def test_impossible_explanations_are_refused_with_a_sentence(
    client: Client, arguments: tuple[Any, ...], sentence: str
) -> None:
    name, *values = arguments
    with pytest.raises(AppError, match=sentence):
        client.predict(handle_file(ESPRESSO), "tiny-imagenet", *values, api_name=name)


def test_predict_matches_the_package(client: Client) -> None:
    result = client.predict(handle_file(ESPRESSO), "tiny-imagenet", 3, api_name="/predict")
    expected = predict(load(), open_photo(ESPRESSO)).top(3)
    assert result["model"] == "tiny-imagenet"
    assert [row["label"] for row in result["top"]] == [entry.label for entry in expected]
    assert result["top"][0]["probability"] == pytest.approx(expected[0].probability, rel=1e-4)


def test_maps_returns_four_pictures_with_their_numbers(client: Client) -> None:
    *files, numbers = client.predict(
        handle_file(ESPRESSO), "tiny-imagenet", "4c", "channels", "shared", "viridis", api_name="/maps"
    )
    panels = render_branches(predict(load(), open_photo(ESPRESSO)), ViewOptions("4c", colours="viridis"))
    for file, panel in zip(files, panels.values(), strict=True):
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(panel.image))
    assert numbers["branches"]["3x3"]["channels"] == 256
    assert numbers["branches"]["3x3"]["highest"] == pytest.approx(panels["3x3"].numbers.highest, rel=1e-4)


def test_anatomy_and_models_need_no_photo(client: Client) -> None:
    anatomy = client.predict("tiny-imagenet", "3a", api_name="/anatomy")
    assert [row["receptive_field"]["size"] for row in anatomy["branches"].values()] == [27, 43, 59, 43]
    assert anatomy["module"]["naive"]["weights"] == 387_072
    bottleneck = anatomy["bottlenecks"]["5x5"]
    assert bottleneck["direct"]["weights"] == 153_600
    assert bottleneck["reduction"]["weights"] + bottleneck["convolution"]["weights"] == 15_872
    names = [row["model"] for row in client.predict(api_name="/models")]
    assert names == ["tiny-imagenet", "googlenet", "torchvision"]


@pytest.mark.parametrize("data", [b"", b"not a photo"])
def test_an_invalid_photo_is_refused_without_quoting_its_path(client: Client, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bad.jpg"
    file.write_bytes(data)
    with pytest.raises(AppError) as refusal:
        client.predict(handle_file(str(file)), "tiny-imagenet", 3, api_name="/predict")
    assert "please choose" in str(refusal.value)
    assert "/" not in str(refusal.value).split("(")[0]


def test_an_unknown_block_is_refused(client: Client) -> None:
    with pytest.raises(AppError):
        client.predict(handle_file(ESPRESSO), "tiny-imagenet", "9z", "channels", "shared", "magma", api_name="/maps")


def test_the_folder_of_a_checkpoint_is_not_disclosed(tmp_path: Path) -> None:
    checkpoint.save_checkpoint(
        tmp_path / "secret" / "pets.safetensors", load().model.state_dict(), description_of_tiny()
    )
    service = InferenceService((str(tmp_path / "secret" / "pets.safetensors"), "tiny-imagenet"), choose_device("cpu"))
    assert service.models == ("pets.safetensors", "tiny-imagenet")
    assert service.pretrained("pets.safetensors").labels == load().labels
    assert "secret" not in str(build(service).get_config_file())


def description_of_tiny() -> Description:
    tiny = load()
    return Description("batchnorm", tiny.labels, tiny.preprocessing, tiny.provenance)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_missing_gpu_is_an_error_and_only_auto_falls_back(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(DeviceError, match=f"no {device} device that PyTorch can use; choose auto, .*: cpu"):
        choose_device(device)
    assert choose_device("auto").torch_device.type == "cpu"
    with pytest.raises(DeviceError, match="auto, cpu, cuda, mps"):
        choose_device("gpu")


def test_a_fast_prediction_is_explained_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"), precision="fast")
    pretrained = service.pretrained("tiny-imagenet")
    exact = predict(pretrained, open_photo(ESPRESSO))
    # Predict in bfloat16 even if that is not faster on this machine.
    half = fused_engine(pretrained.model, HALF)
    monkeypatch.setattr(pretrained_module, "fast_engine", lambda model, full: half)
    pretrained.__dict__.pop("_fast_engine", None)
    query = service.query("tiny-imagenet", ESPRESSO)
    error = np.abs(service.prediction(query).logits - exact.logits).max()
    assert 1e-4 < error < 0.3
    votes = service.explained(query, branch_votes, "4c", None)
    assert votes == branch_votes(pretrained, exact, "4c", None)
    with pytest.raises(ChoiceError, match="exact, fast"):
        predict(pretrained, open_photo(ESPRESSO), "double")


def test_each_endpoint_has_its_own_limit_and_leaves_threads_to_the_stage() -> None:
    page = build(InferenceService(("tiny-imagenet",), choose_device("cpu")))
    queued = [fn for fn in page.fns.values() if fn.queue]
    assert len({fn.concurrency_id for fn in queued}) == len(queued)
    assert {fn.concurrency_limit for fn in queued} == {"default"}
    assert page._queue.default_concurrency_limit < page.max_threads
    assert not [fn for fn in page.fns.values() if fn.api_name.startswith("stage_") and fn.queue]
