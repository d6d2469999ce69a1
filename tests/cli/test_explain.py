"""`python -m inception explain`: what it tells, what it writes, what it refuses; and its reports as plain data."""

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
from support.networks import lively
from support.paths import EXAMPLES, ROOT

ESPRESSO = EXAMPLES / "espresso.jpg"
NAMES = ["1x1", "3x3", "5x5", "pool"]
ALL = frozenset(NAMES)


@pytest.fixture(scope="module")
def seen(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(ESPRESSO))


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Any:
    """One photo explained at 4c in this process: the JSON that is printed."""

    def run(*options: object, photo: Path = ESPRESSO, block: str = "4c") -> dict[str, Any]:
        assert main(["explain", str(photo), "--block", block, "--json", *map(str, options)]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        (line,) = out.splitlines()
        return json.loads(line)

    return run


# ---------------------------------------------------------------- votes


def test_the_votes_and_the_baseline_add_up_to_the_logit(explain: Any, seen: Prediction) -> None:
    told = explain("--class", "espresso")
    assert list(told) == [
        "photo", "model", "block", "class", "label", "off", "logit", "probability", "baseline", "votes"
    ]  # fmt: skip
    assert (told["photo"], told["model"], told["block"], told["off"]) == (str(ESPRESSO), "tiny-imagenet", "4c", "zero")
    assert list(told["votes"]) == NAMES
    assert seen.labels[told["class"]] == told["label"] == "espresso"
    assert told["logit"] == pytest.approx(float(seen.logits[told["class"]]), abs=1e-4)
    assert told["probability"] == pytest.approx(float(seen.probabilities[told["class"]]), abs=1e-4)
    assert told["baseline"] + sum(told["votes"].values()) == pytest.approx(told["logit"], abs=1e-3)


def test_a_class_is_named_by_its_name_or_number_and_is_the_most_probable_one_by_default(
    explain: Any, seen: Prediction
) -> None:
    best = seen.top(1)[0]
    assert explain()["class"] == best.index
    other = seen.labels.index("pretzel")
    assert explain("--class", "PRETZEL")["class"] == explain("--class", other)["class"] == other != best.index


def test_all_sixteen_sets_are_told_and_the_votes_follow_from_them(explain: Any) -> None:
    told = explain("--subsets")
    rows = {frozenset(row["on"]): row for row in told["subsets"]}
    assert len(told["subsets"]) == len(rows) == 16
    assert all(row["on"] == [name for name in NAMES if name in row["on"]] for row in told["subsets"])
    assert all(set(row) == {"on", "logit", "probability"} for row in told["subsets"])
    assert rows[frozenset()]["logit"] == told["baseline"]
    assert rows[ALL]["logit"] == pytest.approx(told["logit"], abs=1e-3)
    assert rows[ALL]["probability"] == pytest.approx(told["probability"], abs=1e-4)
    shares = dict.fromkeys(NAMES, 0.0)
    for order in itertools.permutations(NAMES):
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            shares[name] += (rows[before | {name}]["logit"] - rows[before]["logit"]) / factorial(4)
    assert told["votes"] == pytest.approx(shares, abs=1e-6)


def test_weights_without_means_offer_zero_only(
    embedded: PretrainedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = Description(embedded.model.variant.name, embedded.labels, embedded.preprocessing, embedded.provenance)
    save_checkpoint(tmp_path / "own.safetensors", embedded.model.state_dict(), description)
    model = ["--model", str(tmp_path / "own.safetensors")]
    assert main(["explain", str(ESPRESSO), "--block", "4c", *model, "--off", "mean"]) == 2
    assert "please choose zero" in capsys.readouterr().err


def test_off_may_be_the_mean_where_the_weights_bring_it(
    explain: Any, embedded: PretrainedModel, seen: Prediction, tmp_path: Path
) -> None:
    means = {block: torch.from_numpy(seen.block(block).mean(axis=(1, 2)) + 0.1) for block in BLOCKS}
    model = embedded.model
    description = Description(
        model.variant.name, embedded.labels, embedded.preprocessing, embedded.provenance, embedded.temperature
    )
    save_checkpoint(tmp_path / "own.safetensors", model.state_dict(), description, means)
    told = explain(
        "--model", tmp_path / "own.safetensors", "--off", "mean", "--subsets", "--table", "--switch-off", "5x5"
    )
    constant = means["4c"].view(1, -1, 1, 1).expand(1, -1, *seen.block("4c").shape[1:])
    logits = model.trace(constant.contiguous(), start="inception_4d").logits
    assert told["off"] == "mean"
    assert told["baseline"] == pytest.approx(float(logits[0, told["class"]]), abs=1e-3)
    without = next(row["logit"] for row in told["subsets"] if row["on"] == ["1x1", "3x3", "pool"])
    assert told["table"]["falls"]["4c"]["5x5"] == pytest.approx(told["logit"] - without, abs=1e-3)
    now = next(row["logit"] for row in told["switched"]["top"] if row["class"] == told["class"])
    assert now == pytest.approx(without, abs=1e-3)


# ---------------------------------------------------------------- the other parts


def test_the_table_has_every_branch_of_every_block(explain: Any) -> None:
    told = explain("--table", "--subsets")
    falls = told["table"]["falls"]
    assert [list(row) for row in falls.values()] == [NAMES] * 9
    assert list(falls) == list(BLOCKS)
    logits = {frozenset(row["on"]): row["logit"] for row in told["subsets"]}
    expected = {name: told["logit"] - logits[ALL - {name}] for name in NAMES}
    assert falls["4c"] == pytest.approx(expected, abs=1e-3)


def test_the_evidence_adds_up_over_branches_and_cells(explain: Any, seen: Prediction) -> None:
    told = explain("--evidence", "--class", "pretzel")
    split = told["evidence"]
    assert (split["block"], split["label"]) == ("5b", "pretzel")
    assert split["rest"] + sum(split["amounts"].values()) == pytest.approx(told["logit"], abs=1e-3)
    for branch in NAMES:
        assert np.shape(split["maps"][branch]) == seen.block("5b").shape[1:]
        assert np.sum(split["maps"][branch]) == pytest.approx(split["amounts"][branch])
    amounts = [row["amount"] for row in split["strongest_for"]]
    assert amounts == sorted(amounts, reverse=True)
    assert min(amounts) > 0 > max(row["amount"] for row in split["strongest_against"])


def test_the_cam_tells_where_it_is_highest(explain: Any, embedded: PretrainedModel, seen: Prediction) -> None:
    told = explain("--cam", block="4e")["cam"]
    assert (told["block"], told["height"], told["width"]) == ("4e", *seen.block("4e").shape[1:])
    assert set(told["maps"]) == {"all", *NAMES}
    for branch, cam in grad_cams(embedded, seen, "4e").items():
        row = told["maps"][branch or "all"]
        assert row["highest"] == pytest.approx(float(cam.signed[row["row"], row["column"]]), rel=1e-3, abs=1e-6)
        assert row["highest"] == pytest.approx(float(cam.signed.max()), rel=1e-3, abs=1e-6)
        assert row["lowest"] == pytest.approx(float(cam.signed.min()), rel=1e-3, abs=1e-6)


def test_a_branch_switched_off_gives_the_answer_of_the_other_three(explain: Any) -> None:
    told = explain("--switch-off", "pool,3x3", "--subsets", "--class", "orange")
    assert (told["switched"]["branches"], told["switched"]["channels"]) == (["3x3", "pool"], [])
    orange = next(row for row in told["switched"]["top"] if row["label"] == "orange")
    with_two = next(row for row in told["subsets"] if row["on"] == ["1x1", "5x5"])
    assert orange["probability"] == pytest.approx(with_two["probability"], abs=1e-4)
    assert orange["logit"] == pytest.approx(with_two["logit"], abs=1e-3)
    assert orange["probability_before"] == pytest.approx(told["probability"], abs=1e-6)
    assert all(row["probability"] < row["probability_before"] for row in told["switched"]["fallen"])
    assert all(row["probability"] > row["probability_before"] for row in told["switched"]["risen"])


def test_all_channels_of_a_branch_off_are_the_branch_off(explain: Any) -> None:
    channels = range(128 + 256 + 64, 512)  # of 4c: its pool comes last
    single = explain("--channels", ",".join(map(str, channels)))["switched"]
    whole = explain("--switch-off", "pool")["switched"]
    assert single["channels"] == list(channels)
    assert [row["class"] for row in single["top"]] == [row["class"] for row in whole["top"]]
    for one, other in zip(single["top"], whole["top"], strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_a_cell_is_told_with_what_it_sees_and_how_it_is_computed(explain: Any, seen: Prediction) -> None:
    told = explain("--cell", "3x3:7:6:5", block="3a")["cell"]
    # Behind a 3x3 cell of 3a lie 43 pixels (27 before the window, 2 more strides of 8); at row 0 the first of
    # the 27 is pixel -13: conv1 begins at -3, pool1 2 further, conv2 4, pool2 4.
    left, top = -13 - 8 + 5 * 8, -13 - 8 + 6 * 8
    assert told["square"] == {"left": left, "top": top, "right": left + 43, "bottom": top + 43}
    core = told["effective"]
    assert core["share"] == 0.9
    assert left <= core["left"] < core["right"] <= left + 43
    assert core["right"] - core["left"] < 43
    value = float(seen.branch("3a", "3x3")[7, 6, 5])
    sums = told["by_hand"]
    assert (told["branch"], told["layer"], told["channel"], told["row"], told["column"]) == ("3x3", "3x3", 7, 6, 5)
    assert (sums["kernel"], sums["count"], len(sums["largest"])) == (3, 9 * 96, 10)
    largest = sum(row["value"] * row["weight"] for row in sums["largest"])
    assert largest + sums["others"] + sums["bias"] == pytest.approx(sums["sum"])
    assert sums["affine"]["scale"] * sums["sum"] + sums["affine"]["shift"] == pytest.approx(sums["normalised"])
    assert sums["relu"] == sums["result"] == max(sums["normalised"], 0)
    assert sums["result"] == pytest.approx(told["value"], abs=1e-4)
    assert told["value"] == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(("variant", "preact"), [("googlenet", False), ("batchnorm", True)])
def test_every_report_is_plain_data_for_other_networks_too(variant: str, preact: bool) -> None:
    model = lively(InceptionV1(variant=variant, preact=preact, classes=3, input_shape=(3, 64, 64)))
    how = replace(IMAGENET, resize=64, crop=64, size=64)
    pretrained = PretrainedModel("made up", model, how, ("a", "b", "c"), Provenance("", "", "", ""))
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


# ---------------------------------------------------------------- what it writes


def test_out_leaves_the_pictures_and_the_json(
    explain: Any, embedded: PretrainedModel, seen: Prediction, tmp_path: Path
) -> None:
    told = explain("--out", tmp_path / "new" / "folder")
    stem = tmp_path / "new" / "folder" / "espresso"
    cams = grad_cams(embedded, seen, "4c")
    names = {branch: f"{stem}-4c-{branch}-cam.jpg" if branch else f"{stem}-4c-cam.jpg" for branch in cams}
    pictures = {*names.values(), f"{stem}-evidence.jpg"}
    assert set(told["files"]) == {*pictures, f"{stem}-4c-explain.json"} == set(map(str, stem.parent.iterdir()))
    assert json.loads(Path(f"{stem}-4c-explain.json").read_text(encoding="utf-8")) == told
    assert {"cam", "evidence"} <= set(told)

    # All five on one scale with zero in the middle.
    reach = max(abs(cam.signed).max() for cam in cams.values())
    split = evidence(embedded, seen)
    expected = {names[branch]: (cam.signed, reach) for branch, cam in cams.items()}
    expected[f"{stem}-evidence.jpg"] = (split.map, abs(split.map).max())
    for file, (values, end) in expected.items():
        drawn = Image.open(io.BytesIO(encode(overlay(seen.image, values, Limits(-end, end)))))
        written = Image.open(file)
        assert written.size == (448, 448)
        assert np.abs(np.asarray(written, dtype=int) - np.asarray(drawn, dtype=int)).mean() < 0.5


def test_photos_of_one_name_keep_their_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg", tmp_path / "b" / "x-2.jpg"]
    for photo in photos:
        photo.parent.mkdir(exist_ok=True)
        photo.write_bytes(ESPRESSO.read_bytes())
    assert main(["explain", *map(str, photos), "--block", "5b", "--json", "--out", str(tmp_path / "out")]) == 0
    files = [file for line in capsys.readouterr().out.splitlines() for file in json.loads(line)["files"]]
    assert len(set(files)) == 3 * 7 == len(list((tmp_path / "out").iterdir()))
    written = {json.loads(path.read_text())["photo"] for path in (tmp_path / "out").glob("*.json")}
    assert written == set(map(str, photos))


def test_nothing_is_written_where_no_folder_is_named(
    explain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "files" not in explain("--cam", "--evidence")
    assert list(tmp_path.iterdir()) == []


def test_the_lines_to_read_show_the_sum(embedded: PretrainedModel, capsys: pytest.CaptureFixture[str]) -> None:
    side = embedded.input_size // 16
    options = ["--subsets", "--table", "--evidence", "--cam", "--switch-off", "5x5", "--channels", "3", "--cell"]
    options += ["pool:1:2:3", "--logit-circuit", "--circuit", "3x3:17:4:5", "--occlusion", "--integrated-gradients"]
    assert main(["explain", str(ESPRESSO), "--block", "4c", *options, "--faithfulness", "evidence"]) == 0
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
        f"Grad-CAM at block 4c, maps of {side}x{side}",
        "the answer with 5x5, channel 3 off",
        "4c/pool_proj, channel 1, row 2, column 3",
        "circuit of the logit of espresso, from the channels of block 5b",
        "how much the logit falls behind a grey square of 32x32 pixels, 16 a step",
        "integrated gradients from plain grey, 64 steps: highest",
        "can the map of evidence for espresso be trusted?",
        "circuit of 4c/3x3, channel 17, row 4, column 5, from the channels of block 4b",
    ):
        assert part in out
    assert len(re.findall(r"^    \d[ab-e] ( +-?\d+\.\d\d){4}$", out, re.M)) == 9


# ---------------------------------------------------------------- what it refuses


def test_a_bad_photo_is_told_and_the_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jpg").write_text("no photo")
    assert main(["explain", str(tmp_path / "bad.jpg"), str(ESPRESSO), "--block", "4c", "--json"]) == 1
    out, err = capsys.readouterr()
    bad, good = map(json.loads, out.splitlines())
    assert "not a picture" in bad["error"]
    assert "bad.jpg" in err
    assert good["label"] == "espresso"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--block", "9z"], "3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"),
        (["--class", "tea kettle"], "among them"),
        (["--class", "200"], "it has 200 classes"),
        (["--off", "half"], "zero, mean"),
        (["--switch-off", "1x1,7x7"], "1x1, 3x3, 5x5, pool"),
        (["--channels", "512"], "the channels 0 to 511"),
        (["--cell", "7x7:0:0:0"], "1x1, 3x3, 5x5, pool"),
        (["--cell", "3x3:256:0:0"], "the channels 0 to 255"),
        (["--cell", "3x3:0:10:0"], "10 rows and 10 columns"),
        (["--circuit", "3x3:256:0:0"], "block 4c/3x3 has the channels 0 to 255"),
        (["--faithfulness", "lime"], "grad_cam, evidence, occlusion, integrated_gradients"),
        (["--out", "LICENSE/x"], "cannot be made"),
        (["--model", "resnet"], "choose one of tiny-imagenet, googlenet, torchvision"),
    ],
)
def test_a_wrong_wish_is_one_sentence_that_names_what_exists(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    block = [] if "--block" in options else ["--block", "4c"]
    assert main(["explain", str(ESPRESSO), *block, "--json", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err


def test_a_wrong_wish_is_told_before_any_photo_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--block", "9z"], ["--block", "4c", "--switch-off", "x"], ["--block", "4c", "--cell", "x:1:1:1"]):
        assert main(["explain", "no-such-photo.jpg", *options]) == 2
        assert "no-such-photo" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "form"),
    [(["--cell", "3x3:1:2"], "BRANCH:CHANNEL:ROW:COLUMN"), (["--channels", "3,x"], "of the form 3,17,42")],
)
def test_what_is_not_of_the_right_form_is_refused(
    option: list[str], form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(ESPRESSO), "--block", "4c", *option]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert form in err
