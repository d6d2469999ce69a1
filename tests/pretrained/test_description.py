"""Descriptions of checkpoints: their numbers are within bounds, and their texts are safe to print."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from inception import load, open_photo, predict
from inception.cli.main import main
from inception.errors import WeightsError
from inception.explain.ablation import single_ablation_logits
from inception.export.archive import table_csv, table_json
from inception.export.report import answer_report
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.checkpoint import rejection_file, save_checkpoint
from inception.pretrained.description import MAX_NAME, MAX_TEXT, Description, Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.rejection import RejectionRule
from inception.runtime.plain_text import plain, plain_value
from inception.runtime.strict_json import dumps, loads
from inception.training.datasets import labelled_photos
from inception.training.evaluation import evaluate
from inception.vision.preprocessing import IMAGENET
from inception.web.class_names import class_names
from support.networks import randomise
from support.paths import EXAMPLES

# Clear the screen (two ways), set the title, fake a line of output, reverse the direction, an invisible tag.
HOSTILE_TEXT = "\x1b[2J\x9b2J\x1b]0;x\x07\nstatus 0\r\u202e\u2066\u200f\x7f\u2028\ufeff\U000e0041"
PHOTO = str(EXAMPLES / "bison.jpg")


def control_characters(text: str) -> list[str]:
    """Return the characters that control a terminal or reorder the text around them."""
    return [letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def texts_of(value: Any) -> Iterator[str]:
    """Yield all strings in nested lists and dicts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (*texts_of(key), *texts_of(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose texts, including its file name, contain control characters or are far too long."""
    path = tmp_path_factory.mktemp("hostile") / f"pets{HOSTILE_TEXT}.safetensors"
    description = Description(
        variant="batchnorm",
        classes=(f"cat{HOSTILE_TEXT}", "dog" * 100_000, HOSTILE_TEXT, "照片 ü – 🐝", "می\u200cخواهم", "👩\u200d🔬"),
        preprocessing=IMAGENET,
        provenance=Provenance(
            *(f"{word}{HOSTILE_TEXT}{'x' * 100_000}" for word in ("me", "MIT", "pets", "90 %", "careful"))
        ),
        training={f"key{HOSTILE_TEXT}": [f"value{HOSTILE_TEXT}", {"deep": f"x{HOSTILE_TEXT}"}], "top1": 0.5},
    )
    save_checkpoint(path, randomise(InceptionV1(classes=6)).state_dict(), description)
    rule = RejectionRule(1.0, 10, 10, 0.1, 0.2, 0.5, f"photos{HOSTILE_TEXT}{'x' * 1000}")
    rejection_file(path).write_text(rule.to_json(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def loaded(hostile: Path) -> PretrainedModel:
    return load(hostile)


# ---------------------------------------------------------------- texts


def test_texts_of_a_checkpoint_are_sanitised_and_shortened(loaded: PretrainedModel) -> None:
    texts = [loaded.name, *loaded.labels, *vars(loaded.provenance).values(), *texts_of(dict(loaded.training))]
    assert loaded.rejection
    texts.append(loaded.rejection.outside_photos)
    for text in texts:
        assert set(control_characters(text)) <= {"\u200c", "\u200d"}, text[:80]
        assert len(text.splitlines()) == 1
        assert len(text) <= MAX_TEXT
    assert max(map(len, loaded.labels)) == MAX_NAME
    assert loaded.labels[0] == "cat[2J2J]0;x status 0"
    assert loaded.labels[1].endswith("…")
    assert loaded.training["top1"] == 0.5


def test_other_scripts_are_unchanged(loaded: PretrainedModel) -> None:
    assert loaded.labels[3:] == ("照片 ü – 🐝", "می\u200cخواهم", "👩\u200d🔬")


def test_an_invisible_class_name_is_replaced_by_a_number() -> None:
    text = json.dumps({"classes": ["cat", "\u202e\x1b"], "preprocessing": IMAGENET.to_dict()})
    assert Description.from_json(text, inferred_description()).classes == ("cat", "class 1")


@pytest.mark.parametrize("json_option", [[], ["--json"]])
@pytest.mark.parametrize(
    "command", [["models"], ["predict", PHOTO], ["maps", PHOTO, "--block", "5b"], ["explain", PHOTO, "--block", "5b"]]
)
def test_commands_print_no_control_characters(
    command: list[str], json_option: list[str], hostile: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = hostile.with_name("pets.safetensors")
    if not model.exists():
        # A file name is the user's own input; this test is about the file's contents.
        model.write_bytes(hostile.read_bytes())
        rejection_file(model).write_bytes(rejection_file(hostile).read_bytes())
    out_options = ["--out", str(tmp_path)] if command[0] == "maps" else []
    assert main([*command, "--model", str(model), *out_options, *json_option]) == 0
    captured = capsys.readouterr()
    assert set(control_characters(captured.out + captured.err)) <= {"\n", "\u200c", "\u200d"}
    assert "status 0" not in (captured.out + captured.err).splitlines()
    assert max(map(len, captured.out.splitlines())) < 50_000
    if json_option:
        assert json.loads(captured.out, parse_constant=pytest.fail)


def test_stage_api_and_exported_files_contain_no_control_characters(loaded: PretrainedModel) -> None:
    prediction = predict(loaded, open_photo(PHOTO))
    texts = [
        json.dumps(answer_report("pets", prediction, 6), ensure_ascii=False),
        json.dumps([class_names(loaded, "zh"), asdict(loaded.provenance)], ensure_ascii=False),
        table_csv(prediction, imagenet=True).decode(),
        table_json(prediction, {"model": "pets"}).decode(),
    ]
    for text in texts:
        assert set(control_characters(text)) <= {"\n", "\r", "\u200c", "\u200d", "\ufeff"}
        assert "\u202e" not in text


def test_hostile_folder_names_match_the_classes_of_a_checkpoint(tmp_path: Path) -> None:
    names = (f"bird{HOSTILE_TEXT.replace('/', '')}", "x" * 250, "\u202e")
    for name in names:
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.jpg").write_bytes((EXAMPLES / "bison.jpg").read_bytes())
    photos = labelled_photos(tmp_path / "photos")
    path = tmp_path / "own.safetensors"
    description = Description("batchnorm", photos.classes, IMAGENET, Provenance("me", "MIT", "birds", "none"))
    save_checkpoint(path, randomise(InceptionV1(classes=3)).state_dict(), description)
    pretrained = load(path)
    assert pretrained.labels == photos.classes
    assert evaluate(pretrained, photos).images == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("two\nlines", "two lines"),
        ("\x1b[2J", "[2J"),
        ("a\u202eb\u2069c\u200e", "abc"),
        ("\x00\x1f\x7f\x85\x9b", ""),
        ("\ud800x", "x"),
        ("x" * 10, "x" * 10),
        ("x" * 11, "x" * 9 + "…"),
        ("\x1b" * 10**6 + "x", "…"),
        ("  a  b  ", "a  b"),
    ],
)
def test_plain_text(text: str, expected: str) -> None:
    assert plain(text, 10) == expected


def test_nested_values_are_sanitised_to_a_bounded_depth() -> None:
    assert plain_value({"a\n": ["b\x1b", {"c": 1, "d": None}]}, 10) == {"a": ["b", {"c": 1, "d": None}]}
    deep: Any = 0
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="too deeply"):
        plain_value(deep, 10)


def test_errors_sanitise_tensor_names_and_file_names(tmp_path: Path) -> None:
    state = dict(randomise(InceptionV1(classes=2)).state_dict())
    for number, extra in enumerate(
        (
            {f"odd{HOSTILE_TEXT}{'x' * 10_000}": torch.ones(1)},
            {f"means.{HOSTILE_TEXT}{'x' * 10_000}": torch.full((1,), torch.nan)},
        )
    ):
        path = tmp_path / f"{number}{HOSTILE_TEXT}.pth"
        torch.save({**state, **extra}, path)
        with pytest.raises(WeightsError) as error:
            load(path)
        assert control_characters(str(error.value)) == []
        assert len(str(error.value)) < 500


# ---------------------------------------------------------------- numbers


def inferred_description() -> Description:
    return Description("batchnorm", (), IMAGENET, Provenance("", "", "", ""))


def raw_json(values: object) -> str:
    """Return JSON in which "RAW 1e999" becomes the number 1e999."""
    return re.sub(r'"RAW (.*?)"', r"\1", json.dumps(values))


def description_json(**changes: object) -> str:
    return raw_json({"classes": ["cat", "dog"], "preprocessing": IMAGENET.to_dict(), **changes})


@pytest.mark.parametrize("temperature", [0.01, 0.82, 1, 100])
def test_temperatures_within_bounds_are_accepted(temperature: float) -> None:
    assert (
        Description.from_json(description_json(temperature=temperature), inferred_description()).temperature
        == temperature
    )


INFINITE = ["RAW NaN", "RAW Infinity", "RAW -Infinity", "RAW 1e999"]
BAD_NUMBERS: list[object] = [0, -1, *INFINITE, "1", True, None, [1], 10**400]


@pytest.mark.parametrize("temperature", [*BAD_NUMBERS, 1e-300, 0.0099, 101, "RAW 1e-999"])
def test_other_temperatures_are_rejected(temperature: object) -> None:
    with pytest.raises(ValueError, match=r"temperature is .{1,80}; it must be"):
        Description.from_json(description_json(temperature=temperature), inferred_description())


@pytest.mark.parametrize("number", [*BAD_NUMBERS, 1e-300, 1e300])
@pytest.mark.parametrize("name", ["divisor", "std", "resize", "crop", "size"])
def test_preprocessing_numbers_out_of_bounds_are_rejected(name: str, number: object) -> None:
    preprocessing = {**IMAGENET.to_dict(), name: [1, number, 1] if name == "std" else number}
    with pytest.raises(ValueError, match=rf"{name} is .{{1,80}}; it must be"):
        Description.from_json(description_json(preprocessing=preprocessing), inferred_description())


@pytest.mark.parametrize("number", [*BAD_NUMBERS[2:], 1e300, -1e300])
def test_preprocessing_means_out_of_bounds_are_rejected(number: object) -> None:
    preprocessing = {**IMAGENET.to_dict(), "mean": [0, number, 1]}
    with pytest.raises(ValueError, match=r"mean is .{1,80}; it must be"):
        Description.from_json(description_json(preprocessing=preprocessing), inferred_description())


@pytest.mark.parametrize("value", ["yes", 1, None, []])
@pytest.mark.parametrize("name", ["preact", "use_bias"])
def test_boolean_options_must_be_booleans(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*; it must be true or false"):
        Description.from_json(description_json(**{name: value}), inferred_description())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocessing": 5}, "preprocessing is 5; it must be a JSON object"),
        ({"preprocessing": "abc"}, "preprocessing is 'abc'; it must be a JSON object"),
        ({"preprocessing": {**IMAGENET.to_dict(), "mean": 5}}, "mean is 5; it must be three numbers"),
        ({"preprocessing": {}}, "resize is missing"),
        ({"preprocessing": {**IMAGENET.to_dict(), "x" * 10**6: 1}}, "'xx"),
        ({"provenance": {"owner\x1b": "me"}}, "'owner"),
        ({"provenance": [1]}, r"provenance is \[1\]; it must be a JSON object"),
        ({"training": "abc"}, "training is 'abc'; it must be a JSON object"),
    ],
)
def test_errors_name_missing_and_unknown_fields_briefly(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    torch.save(randomise(InceptionV1(classes=2)).state_dict(), tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_text(description_json(**changes))
    with pytest.raises(WeightsError, match=message) as error:
        load(tmp_path / "pets.pth")
    assert len(str(error.value)) < 420
    assert "__init__" not in str(error.value)
    assert control_characters(str(error.value)) == []


RULE = {"threshold": 0.2, "inside": 9, "outside": 8, "doubted": 0.1, "caught": 0.3, "auroc": 0.6}


@pytest.mark.parametrize("number", [*BAD_NUMBERS[1:], 1.01])
@pytest.mark.parametrize("name", ["threshold", "doubted", "caught", "auroc"])
def test_shares_of_a_rejection_rule_must_be_from_0_to_1(name: str, number: object) -> None:
    with pytest.raises(ValueError, match=rf"{name} is .{{1,80}}; it must be a number from 0 to 1"):
        RejectionRule.from_json(raw_json({**RULE, name: number}))


@pytest.mark.parametrize("number", [-1, 1.5, "9", True, None, 10**400])
@pytest.mark.parametrize("name", ["inside", "outside"])
def test_counts_of_a_rejection_rule_must_be_non_negative_integers(name: str, number: object) -> None:
    with pytest.raises(ValueError, match=rf"{name} is .{{1,80}}; it must be a whole number"):
        RejectionRule.from_json(json.dumps({**RULE, name: number}))


@pytest.mark.parametrize("kind", ["json", "unknown.json"])
def test_oversized_files_beside_a_checkpoint_are_rejected(tmp_path: Path, kind: str) -> None:
    torch.save(InceptionV1(classes=2).state_dict(), tmp_path / "pets.pth")
    with (tmp_path / f"pets.{kind}").open("wb") as file:
        file.truncate(2**34)
    with pytest.raises(WeightsError, match="it has more than"):
        load(tmp_path / "pets.pth")


# ---------------------------------------------------------------- non-finite tensors and overflow


def with_means(value: float, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Return the state dict of a network of six classes, with constant branch means."""
    means = {
        f"means.{block}": torch.full(
            (widths.n1x1 + widths.n3x3[1] + widths.n5x5[1] + widths.pool_proj,), value, dtype=dtype
        )
        for block, widths in BLOCKS.items()
    }
    return {**randomise(InceptionV1(classes=6)).state_dict(), **means}


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (torch.nan, torch.float32),
        (torch.inf, torch.float32),
        (-torch.inf, torch.float32),
        (1e300, torch.float64),
        (1e5, torch.float16),
    ],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_non_finite_means_are_rejected_by_name(tmp_path: Path, suffix: str, value: float, dtype: torch.dtype) -> None:
    from safetensors.torch import save_file

    state = with_means(0.0)
    state["means.4c"] = torch.full(state["means.4c"].shape, value, dtype=torch.float64).to(dtype)
    path = tmp_path / f"pets.{suffix}"
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    with pytest.raises(WeightsError, match=r"values in means\.4c that are not finite") as error:
        load(path)
    assert error.value.kind == "weights_not_finite"


def test_unused_tensors_are_checked_too(tmp_path: Path) -> None:
    model = randomise(InceptionV1(classes=2, variant="googlenet", aux_classifiers=True))
    state = dict(model.state_dict())
    name = next(name for name in state if name.startswith("aux."))
    state[name] = torch.full_like(state[name], torch.nan)
    torch.save(state, tmp_path / "pets.pth")
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        load(tmp_path / "pets.pth")


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of finite weights whose activations overflow."""
    path = tmp_path_factory.mktemp("overflow") / "large.safetensors"
    state = dict(randomise(InceptionV1(classes=6)).state_dict())
    state["head.classifier.weight"] = torch.full_like(state["head.classifier.weight"], 3e38)
    labels = tuple("abcdef")
    save_checkpoint(path, state, Description("batchnorm", labels, IMAGENET, Provenance("me", "MIT", "letters", "none")))
    return path


@pytest.mark.parametrize("json_option", [[], ["--json"]])
@pytest.mark.parametrize("command", [["predict", PHOTO], ["explain", PHOTO, "--block", "4c"]])
def test_an_overflowing_network_is_reported_in_one_sentence(
    command: list[str], json_option: list[str], overflowing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--model", str(overflowing), *json_option]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("The activations of large overflow (NaN or infinite)") == 1


def test_overflowing_ablations_are_reported_in_one_sentence(tmp_path: Path) -> None:
    labels = tuple("abcdef")
    path = tmp_path / "large.safetensors"
    state, means = randomise(InceptionV1(classes=6)).state_dict(), with_means(3e38)
    description = Description("batchnorm", labels, IMAGENET, Provenance("me", "MIT", "letters", "none"))
    save_checkpoint(path, state, description, {block: means[f"means.{block}"] for block in BLOCKS})
    pretrained = load(path)
    with pytest.raises(WeightsError, match=r"activations of .* overflow"):
        single_ablation_logits(pretrained, predict(pretrained, open_photo(PHOTO)), "mean")


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"x": -float("inf")}]])
def test_non_finite_numbers_are_not_written_to_json(value: object) -> None:
    with pytest.raises(WeightsError, match="not finite"):
        dumps(value)


def test_non_finite_numbers_in_json_are_read_as_none() -> None:
    huge = "9" * 401  # a whole number that is too large for a float
    assert loads(f'[NaN, Infinity, -Infinity, 1e999, -1e999, {huge}, -{huge}, 1.5, 2, 1e-999, "NaN"]') == [
        *[None] * 7,
        1.5,
        2,
        0.0,
        "NaN",
    ]


def test_classes_of_one_name_are_rejected() -> None:
    text = json.dumps({"classes": ["cat", "dog", "cat"], "preprocessing": IMAGENET.to_dict()})
    with pytest.raises(ValueError, match="it calls several classes 'cat'"):
        Description.from_json(text, inferred_description())
