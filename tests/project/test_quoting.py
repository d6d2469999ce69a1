"""No sentence repeats more than `QUOTED_CHARACTERS` of what was sent: of the library, the command line and the API."""

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
from inception.training.datasets import LabelledPhotos, labelled_photos, locate_data, unlabelled_photos
from inception.training.recipe import Recipe
from inception.vision.preprocessing import IMAGENET
from support.endpoints import EVERY
from support.fuzz_api import Server
from support.paths import EXAMPLES

LETTER = "ǧ"  # in no sentence of ours
LONG = LETTER * 10_000
PHOTO = EXAMPLES / "espresso.jpg"


def assert_short(sentence: str) -> None:
    assert LETTER * (QUOTED_CHARACTERS + 1) not in sentence
    assert sentence.count(LETTER) <= 3 * QUOTED_CHARACTERS


# ---------------------------------------------------------------- library


@pytest.fixture(scope="module")
def seen(embedded: PretrainedModel) -> Prediction:
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
ABOUT_A_PHOTO: dict[str, Callable[[PretrainedModel, Prediction], Any]] = {
    "observe's precision": lambda network, _: predict(network, open_photo(PHOTO), LONG),
    "intermediates": lambda network, seen: intermediates(network, seen, LONG),
    "block": lambda _, seen: seen.block(LONG),
    "branch": lambda _, seen: seen.branch("4c", LONG),
    "class_index": lambda network, seen: class_index(network, seen, LONG),
    "class among long ones": lambda network, seen: class_index(replace(network, labels=(LONG, LONG)), seen, "cat"),
    "votes of a block": lambda network, seen: branch_votes(network, seen, LONG, 0),
    "votes for a class": lambda network, seen: branch_votes(network, seen, "4c", LONG),
    "votes' off": lambda network, seen: branch_votes(network, seen, "4c", 0, LONG),
    "evidence": lambda network, seen: evidence(network, seen, LONG),
    "grad_cams": lambda network, seen: grad_cams(network, seen, LONG),
    "switched": lambda network, seen: ablate(network, seen, "4c", [LONG], []),
}


@pytest.mark.parametrize("name", PATHS_AND_NAMES)
def test_the_library_repeats_little_of_paths_and_names(name: str) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011 - of its own kind for each
        PATHS_AND_NAMES[name]()
    assert_short(str(refused.value))


@pytest.mark.parametrize("name", ABOUT_A_PHOTO)
def test_the_library_repeats_little_of_a_question(embedded: PretrainedModel, seen: Prediction, name: str) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011 - of its own kind for each
        ABOUT_A_PHOTO[name](embedded, seen)
    assert_short(str(refused.value))


# ---------------------------------------------------------------- command line

# What each command needs; DATA and OUT stand for folders.
NEEDED: dict[str, list[str]] = {
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
    """Each command with each of its options that take a value, and with "" for what has no name."""
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


def _said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    told = capsys.readouterr()
    return status, told.out + told.err


@pytest.mark.parametrize(("command", "option"), _arguments())
def test_the_command_line_repeats_little(
    command: str, option: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {"DATA": str(data), "OUT": str(tmp_path / "out")}
    needed = [folders.get(word, word) for word in NEEDED[command]]
    if option in needed:
        place = needed.index(option)
        del needed[place : place + 2]
    elif not option:
        del needed[0]
    status, said = _said([command, *([option] if option else []), LONG, *needed], capsys)
    assert_short(said)
    # `models` alone lists what there is on any device.
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
def test_the_command_line_repeats_little_of_what_it_cannot_parse(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = _said(arguments, capsys)
    assert status == 2
    assert_short(said)


# ---------------------------------------------------------------- API


@pytest.fixture(scope="module")
def server(page_address: str) -> Server:
    return Server(page_address)


def _answer(server: Server, path: str, body: dict[str, Any]) -> str:
    """All that a caller reads: of the request, and of its event where there is one."""
    reply = server.client.post(f"/gradio_api/call/v2/{path}", json=body)
    if reply.status_code != 200:
        return reply.text
    return server.client.get(f"/gradio_api/call/{path}/{reply.json()['event_id']}").text


@pytest.mark.parametrize("name", EVERY)
def test_the_api_repeats_little(server: Server, name: str) -> None:
    (endpoint,) = [one for one in server.endpoints() if one.name == name.strip("/")]
    for argument in endpoint.arguments:
        for value in (LONG, [LONG], {"path": LONG}):
            said = _answer(server, endpoint.name, {**endpoint.arguments, argument: value})
            assert "error" in said
            assert "event: complete" not in said
            assert_short(said.encode().decode("unicode_escape"))
    said = _answer(server, endpoint.name, {**endpoint.arguments, LONG: 1})
    assert_short(said.encode().decode("unicode_escape"))


def test_the_api_repeats_little_of_addresses(server: Server) -> None:
    for reply in (
        server.client.post(f"/gradio_api/call/{LETTER * 2000}", json={"data": []}),
        server.client.post(f"/gradio_api/run/{LETTER * 2000}", json={"data": []}),
        server.client.get("/gradio_api/info", headers={"Accept-Language": "q" * 10_000}),
    ):
        assert isinstance(reply, httpx.Response)
        assert_short(reply.text.encode().decode("unicode_escape"))
