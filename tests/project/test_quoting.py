"""Messages of the library, the command line and the API quote at most `QUOTED_CHARACTERS` of the input."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from inception import InceptionV1, Prediction, PretrainedModel, intermediates, load, open_photo, predict
from inception.cli.main import COMMANDS, load_command, main
from inception.errors import QUOTED_CHARACTERS
from inception.explain.ablation import ablate
from inception.explain.attribution import evidence, grad_cams
from inception.explain.masking import class_index
from inception.explain.shapley import branch_votes
from inception.export.folder import single_folder
from inception.export.parquet import check_name
from inception.runtime.device import choose_device
from inception.runtime.files import make_folder, write_file
from inception.training.checkpoint import read_checkpoint
from inception.training.datasets import labelled_photos, locate_data, unlabelled_photos
from inception.training.photos import LabelledPhotos
from inception.training.recipe import Recipe
from inception.vision.preprocessing import IMAGENET
from support.endpoints import ENDPOINTS
from support.fuzz_api import Server
from support.paths import EXAMPLES

LETTER = "ǧ"  # occurs in no message
LONG = LETTER * 10_000
PHOTO = EXAMPLES / "espresso.jpg"


def assert_short(sentence: str) -> None:
    assert LETTER * (QUOTED_CHARACTERS + 1) not in sentence
    assert sentence.count(LETTER) <= 3 * QUOTED_CHARACTERS


# ---------------------------------------------------------------- library


@pytest.fixture(scope="module")
def prediction(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(PHOTO))


PATHS_AND_NAMES: dict[str, Callable[[], Any]] = {
    "load": lambda: load(LONG),
    "load a checkpoint": lambda: load(f"{LONG}.safetensors"),
    "load onto a device": lambda: load(device=LONG),
    "choose_device": lambda: choose_device(LONG),
    "open_photo": lambda: open_photo(LONG),
    "variant": lambda: InceptionV1(variant=LONG),
    "number of classes": lambda: InceptionV1(classes=LONG),  # type: ignore[arg-type]
    "input_shape": lambda: InceptionV1(input_shape=LONG),  # type: ignore[arg-type]
    "order of channels": lambda: replace(IMAGENET, channels=LONG),
    "labelled_photos": lambda: labelled_photos(Path(LONG)),
    "split": lambda: labelled_photos(EXAMPLES, LONG),
    "unlabelled_photos": lambda: unlabelled_photos(Path(LONG)),
    "locate_data": lambda: locate_data(f"owner/{LONG}"),
    "a class of the data": lambda: LabelledPhotos(("cat",), [], []).select_classes([LONG]),
    "classes of the data": lambda: LabelledPhotos((LONG,), [], []).select_classes(["cat"]),
    "single_folder": lambda: single_folder([Path(LONG)], Path("a.parquet")),
    "file for results": lambda: check_name(Path(LONG)),
    "make_folder": lambda: make_folder(Path(LONG)),
    "write_file": lambda: write_file(Path(LONG), b""),
    "recipe's variant": lambda: Recipe(variant=LONG),
    "recipe's mix": lambda: Recipe(mix=LONG),
    "recipe's start": lambda: Recipe(start=LONG).check_continued_by(Recipe(start="scratch")),
    "checkpoint": lambda: read_checkpoint(Path(LONG) / "checkpoint.pt"),
}
EXPLANATIONS: dict[str, Callable[[PretrainedModel, Prediction], Any]] = {
    "observe's precision": lambda network, _: predict(network, open_photo(PHOTO), LONG),
    "intermediates": lambda network, prediction: intermediates(network, prediction, LONG),
    "block": lambda _, prediction: prediction.block(LONG),
    "branch": lambda _, prediction: prediction.branch("4c", LONG),
    "class_index": lambda network, prediction: class_index(network, prediction, LONG),
    "class among long ones": lambda network, prediction: class_index(
        replace(network, labels=(LONG, LONG)), prediction, "cat"
    ),
    "votes of a block": lambda network, prediction: branch_votes(network, prediction, LONG, 0),
    "votes for a class": lambda network, prediction: branch_votes(network, prediction, "4c", LONG),
    "votes' off": lambda network, prediction: branch_votes(network, prediction, "4c", 0, LONG),
    "evidence": lambda network, prediction: evidence(network, prediction, LONG),
    "grad_cams": lambda network, prediction: grad_cams(network, prediction, LONG),
    "switched": lambda network, prediction: ablate(network, prediction, "4c", [LONG], []),
}


@pytest.mark.parametrize("name", PATHS_AND_NAMES)
def test_library_errors_shorten_paths_and_names(name: str) -> None:
    with pytest.raises(Exception) as error:  # noqa: PT011 - each has another type
        PATHS_AND_NAMES[name]()
    assert_short(str(error.value))


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_library_errors_shorten_arguments_of_explanations(
    embedded: PretrainedModel, prediction: Prediction, name: str
) -> None:
    with pytest.raises(Exception) as error:  # noqa: PT011 - each has another type
        EXPLANATIONS[name](embedded, prediction)
    assert_short(str(error.value))


# ---------------------------------------------------------------- command line

# Required arguments of each command; DATA and OUT stand for folders.
REQUIRED: dict[str, list[str]] = {
    "models": [],
    "predict": [str(PHOTO)],
    "maps": [str(PHOTO), "--block", "3a", "--out", "OUT"],
    "explain": [str(PHOTO), "--block", "3a"],
    "visualize": ["3a:1x1:0", "--steps", "1", "--out", "OUT"],
    "atlas": ["tiny-imagenet", "--data", "DATA", "--out", "OUT", "--no-images"],
    "evaluate": ["tiny-imagenet", "--data", "DATA"],
    "census": ["tiny-imagenet"],
    "train": ["--data", "DATA", "--out", "OUT", "--epochs", "1"],
    "summary": [],
    "serve": [],
}


def _arguments() -> list[tuple[str, str]]:
    """Return each command with each of its options that take a value, and with "" for its positional arguments."""
    return [
        (name, "" if parameter.param_type_name == "argument" else parameter.opts[-1])
        for name in COMMANDS
        for parameter in load_command(name).params
        if not getattr(parameter, "is_flag", False)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("cup", "bean"):
        (folder / name).mkdir()
        for number in range(4):
            shutil.copy(PHOTO, folder / name / f"{number}.jpg")
    return folder


def _output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    try:
        status = main(arguments)
    except SystemExit as exit_error:
        status = int(exit_error.code or 0)
    captured = capsys.readouterr()
    return status, captured.out + captured.err


@pytest.mark.parametrize(("command", "option"), _arguments())
def test_command_line_errors_shorten_values(
    command: str, option: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {"DATA": str(data), "OUT": str(tmp_path / "out")}
    required = [folders.get(word, word) for word in REQUIRED[command]]
    if option in required:
        position = required.index(option)
        del required[position : position + 2]
    elif not option:
        del required[0]
    status, output = _output([command, *([option] if option else []), LONG, *required], capsys)
    assert_short(output)
    # Without a network, `models` accepts any device.
    assert status != 0 or command == "models"


@pytest.mark.parametrize(
    "arguments",
    [
        [LONG],
        ["models", LONG],
        [f"--{LONG}"],
        ["models", f"--{LONG}=1"],
        ["predict", "photo.jpg", f"--top={LONG}"],
        ["models", f"--json={LONG}"],
        ["serve", f"--backend={LONG}"],
        ["models", "a " * 5000 + LONG],
    ],
    ids=range(8),
)
def test_parse_errors_shorten_values(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, output = _output(arguments, capsys)
    assert status == 2
    assert_short(output)


# ---------------------------------------------------------------- API


@pytest.fixture(scope="module")
def server(page_address: str) -> Server:
    return Server(page_address)


def _response(server: Server, path: str, body: dict[str, Any]) -> str:
    """Return what a caller reads: the response, or that of the event if there is one."""
    response = server.client.post(f"/gradio_api/call/v2/{path}", json=body)
    if response.status_code != 200:
        return response.text
    return server.client.get(f"/gradio_api/call/{path}/{response.json()['event_id']}").text


@pytest.mark.parametrize("name", ENDPOINTS)
def test_api_errors_shorten_values(server: Server, name: str) -> None:
    (endpoint,) = [endpoint for endpoint in server.endpoints() if endpoint.name == name.strip("/")]
    for argument in endpoint.arguments:
        for value in (LONG, [LONG], {"path": LONG}):
            text = _response(server, endpoint.name, {**endpoint.arguments, argument: value})
            assert "error" in text
            assert "event: complete" not in text
            assert_short(text.encode().decode("unicode_escape"))
    text = _response(server, endpoint.name, {**endpoint.arguments, LONG: 1})
    assert_short(text.encode().decode("unicode_escape"))


def test_api_errors_shorten_addresses(server: Server) -> None:
    for response in (
        server.client.post(f"/gradio_api/call/{LETTER * 2000}", json={"data": []}),
        server.client.post(f"/gradio_api/run/{LETTER * 2000}", json={"data": []}),
        server.client.get("/gradio_api/info", headers={"Accept-Language": "q" * 10_000}),
    ):
        assert isinstance(response, httpx.Response)
        assert_short(response.text.encode().decode("unicode_escape"))
