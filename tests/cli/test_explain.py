"""The command `explain`: its reports, output files and errors."""

from __future__ import annotations

import io
import itertools
import json
import re
from dataclasses import replace
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inception import PretrainedModel, open_photo, predict
from inception.cli.main import main
from inception.explain.ablation import ablate, ablation_table
from inception.explain.attribution import GradCams, evidence, grad_cams
from inception.explain.catalogue.cell import CellExplanation
from inception.explain.convolution import trace_convolution
from inception.explain.receptive_field import cell_square, effective_field
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import Description, Provenance
from inception.render.maps import Limits, encode, overlay
from inception.vision.preprocessing import IMAGENET
from support.networks import randomise
from support.paths import EXAMPLES, ROOT

ESPRESSO = EXAMPLES / "espresso.jpg"
NAMES = ["1x1", "3x3", "5x5", "pool"]
ALL = frozenset(NAMES)


@pytest.fixture(scope="module")
def prediction(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(ESPRESSO))


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `explain` for one photo in this process and return the printed JSON."""

    def run(*options: object, photo: Path = ESPRESSO, block: str = "4c") -> dict[str, Any]:
        assert main(["explain", str(photo), "--block", block, "--json", *map(str, options)]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        (line,) = out.splitlines()
        return json.loads(line)

    return run


# ---------------------------------------------------------------- votes


def test_the_votes_and_the_baseline_add_up_to_the_logit(explain: Any, prediction: Prediction) -> None:
    report = explain("--class", "espresso")
    assert list(report) == [
        "photo", "model", "block", "class", "label", "off", "logit", "probability", "baseline", "votes"
    ]  # fmt: skip
    assert (report["photo"], report["model"], report["block"], report["off"]) == (
        str(ESPRESSO),
        "tiny-imagenet",
        "4c",
        "zero",
    )
    assert list(report["votes"]) == NAMES
    assert prediction.labels[report["class"]] == report["label"] == "espresso"
    assert report["logit"] == pytest.approx(float(prediction.logits[report["class"]]), abs=1e-4)
    assert report["probability"] == pytest.approx(float(prediction.probabilities[report["class"]]), abs=1e-4)
    assert report["baseline"] + sum(report["votes"].values()) == pytest.approx(report["logit"], abs=1e-3)


def test_a_class_is_chosen_by_name_or_number_and_defaults_to_the_most_probable(
    explain: Any, prediction: Prediction
) -> None:
    best = prediction.top(1)[0]
    assert explain()["class"] == best.index
    other = prediction.labels.index("pretzel")
    assert explain("--class", "PRETZEL")["class"] == explain("--class", other)["class"] == other != best.index


def test_all_sixteen_subsets_are_reported_and_determine_the_votes(explain: Any) -> None:
    report = explain("--subsets")
    rows = {frozenset(row["on"]): row for row in report["subsets"]}
    assert len(report["subsets"]) == len(rows) == 16
    assert all(row["on"] == [name for name in NAMES if name in row["on"]] for row in report["subsets"])
    assert all(set(row) == {"on", "logit", "probability"} for row in report["subsets"])
    assert rows[frozenset()]["logit"] == report["baseline"]
    assert rows[ALL]["logit"] == pytest.approx(report["logit"], abs=1e-3)
    assert rows[ALL]["probability"] == pytest.approx(report["probability"], abs=1e-4)
    votes = dict.fromkeys(NAMES, 0.0)
    for order in itertools.permutations(NAMES):
        for position, name in enumerate(order):
            before = frozenset(order[:position])
            votes[name] += (rows[before | {name}]["logit"] - rows[before]["logit"]) / factorial(4)
    assert report["votes"] == pytest.approx(votes, abs=1e-6)


def test_weights_without_branch_means_allow_only_zero_ablation(
    embedded: PretrainedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = Description(embedded.model.variant.name, embedded.labels, embedded.preprocessing, embedded.provenance)
    save_checkpoint(tmp_path / "own.safetensors", embedded.model.state_dict(), description)
    model = ["--model", str(tmp_path / "own.safetensors")]
    assert main(["explain", str(ESPRESSO), "--block", "4c", *model, "--off", "mean"]) == 2
    assert "please choose zero" in capsys.readouterr().err


def test_mean_ablation_uses_the_branch_means_of_the_weights(
    explain: Any, embedded: PretrainedModel, prediction: Prediction, tmp_path: Path
) -> None:
    means = {block: torch.from_numpy(prediction.block(block).mean(axis=(1, 2)) + 0.1) for block in BLOCKS}
    model = embedded.model
    description = Description(
        model.variant.name, embedded.labels, embedded.preprocessing, embedded.provenance, embedded.temperature
    )
    save_checkpoint(tmp_path / "own.safetensors", model.state_dict(), description, means)
    report = explain(
        "--model", tmp_path / "own.safetensors", "--off", "mean", "--subsets", "--table", "--switch-off", "5x5"
    )
    ablated = means["4c"].view(1, -1, 1, 1).expand(1, -1, *prediction.block("4c").shape[1:])
    logits = model.trace(ablated.contiguous(), start="inception_4d").logits
    assert report["off"] == "mean"
    assert report["baseline"] == pytest.approx(float(logits[0, report["class"]]), abs=1e-3)
    without = next(row["logit"] for row in report["subsets"] if row["on"] == ["1x1", "3x3", "pool"])
    assert report["table"]["falls"]["4c"]["5x5"] == pytest.approx(report["logit"] - without, abs=1e-3)
    switched_off = next(row["logit"] for row in report["switched"]["top"] if row["class"] == report["class"])
    assert switched_off == pytest.approx(without, abs=1e-3)


# ---------------------------------------------------------------- other reports


def test_the_table_has_every_branch_of_every_block(explain: Any) -> None:
    report = explain("--table", "--subsets")
    falls = report["table"]["falls"]
    assert [list(row) for row in falls.values()] == [NAMES] * 9
    assert list(falls) == list(BLOCKS)
    logits = {frozenset(row["on"]): row["logit"] for row in report["subsets"]}
    expected = {name: report["logit"] - logits[ALL - {name}] for name in NAMES}
    assert falls["4c"] == pytest.approx(expected, abs=1e-3)


def test_the_evidence_adds_up_over_branches_and_cells(explain: Any, prediction: Prediction) -> None:
    report = explain("--evidence", "--class", "pretzel")
    split = report["evidence"]
    assert (split["block"], split["label"]) == ("5b", "pretzel")
    assert split["rest"] + sum(split["amounts"].values()) == pytest.approx(report["logit"], abs=1e-3)
    for branch in NAMES:
        assert np.shape(split["maps"][branch]) == prediction.block("5b").shape[1:]
        assert np.sum(split["maps"][branch]) == pytest.approx(split["amounts"][branch])
    amounts = [row["amount"] for row in split["strongest_for"]]
    assert amounts == sorted(amounts, reverse=True)
    assert min(amounts) > 0 > max(row["amount"] for row in split["strongest_against"])


def test_the_cam_reports_its_extremes(explain: Any, embedded: PretrainedModel, prediction: Prediction) -> None:
    report = explain("--cam", block="4e")["cam"]
    assert (report["block"], report["height"], report["width"]) == ("4e", *prediction.block("4e").shape[1:])
    assert set(report["maps"]) == {"all", *NAMES}
    for branch, cam in grad_cams(embedded, prediction, "4e").items():
        row = report["maps"][branch or "all"]
        assert row["highest"] == pytest.approx(float(cam.signed[row["row"], row["column"]]), rel=1e-3, abs=1e-6)
        assert row["highest"] == pytest.approx(float(cam.signed.max()), rel=1e-3, abs=1e-6)
        assert row["lowest"] == pytest.approx(float(cam.signed.min()), rel=1e-3, abs=1e-6)


def test_switching_branches_off_gives_the_answer_of_the_others(explain: Any) -> None:
    report = explain("--switch-off", "pool,3x3", "--subsets", "--class", "orange")
    assert (report["switched"]["branches"], report["switched"]["channels"]) == (["3x3", "pool"], [])
    orange = next(row for row in report["switched"]["top"] if row["label"] == "orange")
    with_two = next(row for row in report["subsets"] if row["on"] == ["1x1", "5x5"])
    assert orange["probability"] == pytest.approx(with_two["probability"], abs=1e-4)
    assert orange["logit"] == pytest.approx(with_two["logit"], abs=1e-3)
    assert orange["probability_before"] == pytest.approx(report["probability"], abs=1e-6)
    assert all(row["probability"] < row["probability_before"] for row in report["switched"]["fallen"])
    assert all(row["probability"] > row["probability_before"] for row in report["switched"]["risen"])


def test_switching_off_all_channels_of_a_branch_equals_switching_off_the_branch(explain: Any) -> None:
    channels = range(128 + 256 + 64, 512)  # the pool branch of 4c, which comes last
    channels_off = explain("--channels", ",".join(map(str, channels)))["switched"]
    branch_off = explain("--switch-off", "pool")["switched"]
    assert channels_off["channels"] == list(channels)
    assert [row["class"] for row in channels_off["top"]] == [row["class"] for row in branch_off["top"]]
    for first, second in zip(channels_off["top"], branch_off["top"], strict=True):
        assert first["probability"] == pytest.approx(second["probability"], abs=1e-5)


def test_a_cell_is_reported_with_its_receptive_field_and_computation(explain: Any, prediction: Prediction) -> None:
    cell = explain("--cell", "3x3:7:6:5", block="3a")["cell"]
    # A 3x3 cell of 3a sees 43 pixels: the 27 of one input cell and two strides of 8. At row 0 the first of
    # the 27 is pixel -13: conv1 starts at -3, pool1 2 pixels before it, conv2 4 more, pool2 4 more.
    left, top = -13 - 8 + 5 * 8, -13 - 8 + 6 * 8
    assert cell["square"] == {"left": left, "top": top, "right": left + 43, "bottom": top + 43}
    effective = cell["effective"]
    assert effective["share"] == 0.9
    assert left <= effective["left"] < effective["right"] <= left + 43
    assert effective["right"] - effective["left"] < 43
    expected = float(prediction.branch("3a", "3x3")[7, 6, 5])
    computation = cell["by_hand"]
    assert (cell["branch"], cell["layer"], cell["channel"], cell["row"], cell["column"]) == ("3x3", "3x3", 7, 6, 5)
    assert (computation["kernel"], computation["count"], len(computation["largest"])) == (3, 9 * 96, 10)
    largest = sum(row["value"] * row["weight"] for row in computation["largest"])
    assert largest + computation["others"] + computation["bias"] == pytest.approx(computation["sum"])
    assert computation["affine"]["scale"] * computation["sum"] + computation["affine"]["shift"] == pytest.approx(
        computation["normalised"]
    )
    assert computation["relu"] == computation["result"] == max(computation["normalised"], 0)
    assert computation["result"] == pytest.approx(cell["value"], abs=1e-4)
    assert cell["value"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("variant", "preact"), [("googlenet", False), ("batchnorm", True)])
def test_reports_of_other_networks_are_plain_data(variant: str, preact: bool) -> None:
    model = randomise(InceptionV1(variant=variant, preact=preact, classes=3, input_shape=(3, 64, 64)))
    preprocessing = replace(IMAGENET, resize=64, crop=64, size=64)
    pretrained = PretrainedModel("made up", model, preprocessing, ("a", "b", "c"), Provenance("", "", "", ""))
    prediction = predict(pretrained, open_photo(ESPRESSO))
    cell = CellExplanation(
        trace_convolution(pretrained, prediction, "4a", "5x5", 1, 0, 3),
        cell_square(model, "4a", "5x5", 0, 3),
        effective_field(pretrained, prediction, "4a", "5x5", 0, 3),
    ).to_dict()
    assert cell["by_hand"]["preact"] is preact
    assert cell["by_hand"]["affine"] is cell["by_hand"]["normalised"] is None
    assert (cell["by_hand"]["relu"] is None) is preact
    reports = (
        cell,
        ablation_table(pretrained, prediction).to_dict(),
        evidence(pretrained, prediction).to_dict(),
        GradCams(grad_cams(pretrained, prediction, "4a")).to_dict(),
        ablate(pretrained, prediction, "4a", ["pool"], [3]).to_dict(),
    )
    assert [json.loads(json.dumps(report, allow_nan=False)) for report in reports] == list(reports)


# ---------------------------------------------------------------- output files


def test_out_writes_the_pictures_and_the_json(
    explain: Any, embedded: PretrainedModel, prediction: Prediction, tmp_path: Path
) -> None:
    report = explain("--out", tmp_path / "new" / "folder")
    stem = tmp_path / "new" / "folder" / "espresso"
    cams = grad_cams(embedded, prediction, "4c")
    names = {branch: f"{stem}-4c-{branch}-cam.jpg" if branch else f"{stem}-4c-cam.jpg" for branch in cams}
    pictures = {*names.values(), f"{stem}-evidence.jpg"}
    assert set(report["files"]) == {*pictures, f"{stem}-4c-explain.json"} == set(map(str, stem.parent.iterdir()))
    assert json.loads(Path(f"{stem}-4c-explain.json").read_text(encoding="utf-8")) == report
    assert {"cam", "evidence"} <= set(report)

    # All five maps share one scale, symmetric about zero.
    maximum = max(abs(cam.signed).max() for cam in cams.values())
    split = evidence(embedded, prediction)
    expected = {names[branch]: (cam.signed, maximum) for branch, cam in cams.items()}
    expected[f"{stem}-evidence.jpg"] = (split.map, abs(split.map).max())
    for file, (values, limit) in expected.items():
        drawn = Image.open(io.BytesIO(encode(overlay(prediction.image, values, Limits(-limit, limit)))))
        written = Image.open(file)
        assert written.size == (448, 448)
        assert np.abs(np.asarray(written, dtype=int) - np.asarray(drawn, dtype=int)).mean() < 0.5


def test_photos_with_equal_names_have_separate_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg", tmp_path / "b" / "x-2.jpg"]
    for photo in photos:
        photo.parent.mkdir(exist_ok=True)
        photo.write_bytes(ESPRESSO.read_bytes())
    assert main(["explain", *map(str, photos), "--block", "5b", "--json", "--out", str(tmp_path / "out")]) == 0
    files = [file for line in capsys.readouterr().out.splitlines() for file in json.loads(line)["files"]]
    assert len(set(files)) == 3 * 7 == len(list((tmp_path / "out").iterdir()))
    written = {json.loads(path.read_text())["photo"] for path in (tmp_path / "out").glob("*.json")}
    assert written == set(map(str, photos))


def test_nothing_is_written_without_an_output_folder(
    explain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "files" not in explain("--cam", "--evidence")
    assert list(tmp_path.iterdir()) == []


def test_the_sums_in_the_text_output_add_up(small_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--subsets --table --evidence --cam --switch-off 5x5 --channels 3 --cell pool:1:2:3 --logit-circuit"
    options += " --circuit 3x3:17:1:2 --occlusion --integrated-gradients --faithfulness evidence"
    assert main(["explain", str(ESPRESSO), "--model", str(small_file), "--block", "4c", *options.split()]) == 0
    out = capsys.readouterr().out
    checks = re.findall(r"^  (-?\d.*) = (-?[\d.]+), (?:the logit|before the ReLU it) is (-?[\d.]+)$", out, re.M)
    assert len(checks) == 4  # of the votes, of the evidence and of the two circuits
    for terms, total, logit in checks:
        assert sum(float(term.replace(" ", "")) for term in re.findall(r"[+-]? ?[\d.]+", terms)) == pytest.approx(
            float(total), abs=0.03
        )
        assert total == logit
    for part in (
        "espresso (class ",
        "none                     logit",
        "1x1 + 3x3 + 5x5 + pool   logit",
        "evidence at block 5b, an exact split for this photo",
        "Grad-CAM at block 4c, maps of 4x4",
        "the answer with 5x5, channel 3 of the block off",
        "4c/pool_proj, channel 1, row 2, column 3",
        "circuit of the logit of espresso, from the channels of block 5b",
        "how much the logit falls behind a grey square of 12x12 pixels, which moves by 6",
        "integrated gradients from plain grey, 64 steps: highest",
        "can the map of evidence for espresso be trusted?",
        "rank correlations, without their signs, with the maps of networks that are random",
        "alike than by chance",
        "circuit of 4c/3x3, channel 17, row 1, column 2, from the channels of block 4b",
    ):
        assert part in out
    assert len(re.findall(r"^    \d[ab-e] ( +-?\d+\.\d\d){4}$", out, re.M)) == 9


# ---------------------------------------------------------------- errors


def test_an_invalid_photo_is_reported_and_the_others_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_text("no photo")
    assert main(["explain", str(tmp_path / "bad.jpg"), str(ESPRESSO), "--block", "4c", "--json"]) == 1
    out, err = capsys.readouterr()
    bad, good = map(json.loads, out.splitlines())
    assert "not a picture" in bad["error"]
    assert "bad.jpg" in err
    assert good["label"] == "espresso"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--block", "9z"], "3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"),
        (["--class", "tea kettle"], "among them"),
        (["--class", "200"], "it has 200 classes"),
        (["--off", "half"], "zero, mean"),
        (["--switch-off", "1x1,7x7"], "1x1, 3x3, 5x5, pool"),
        (["--channels", "512"], "its channels are numbered 0 to 511"),
        (["--cell", "7x7:0:0:0"], "1x1, 3x3, 5x5, pool"),
        (["--cell", "3x3:256:0:0"], "its channels are numbered 0 to 255"),
        (["--cell", "3x3:0:10:0"], "10 rows and 10 columns"),
        (["--circuit", "3x3:256:0:0"], "in 4c/3x3; its channels are numbered 0 to 255"),
        (["--faithfulness", "lime"], "grad_cam, evidence, occlusion, integrated_gradients"),
        (["--out", "LICENSE/x"], "cannot be made"),
        (["--model", "resnet"], "choose one of tiny-imagenet, googlenet, torchvision"),
    ],
)
def test_invalid_options_are_reported_in_one_sentence_with_valid_values(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    block = [] if "--block" in options else ["--block", "4c"]
    assert main(["explain", str(ESPRESSO), *block, "--json", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err


def test_invalid_options_are_reported_before_any_photo_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--block", "9z"], ["--block", "4c", "--switch-off", "x"], ["--block", "4c", "--cell", "x:1:1:1"]):
        assert main(["explain", "no-such-photo.jpg", *options]) == 2
        assert "no-such-photo" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "form"),
    [(["--cell", "3x3:1:2"], "BRANCH:CHANNEL:ROW:COLUMN"), (["--channels", "3,x"], "of the form 3,17,42")],
)
def test_malformed_options_are_rejected(option: list[str], form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(ESPRESSO), "--block", "4c", *option]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert form in err
