"""Accuracy without branches, compared with ablation photo by photo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inception.cli import evaluate as command
from inception.cli.main import main
from inception.errors import ChoiceError, UserError
from inception.explain.ablation import ablate
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from inception.training import evaluation
from inception.training.datasets import labelled_photos
from inception.training.evaluation import evaluate
from inception.training.photos import DataError, LabelledPhotos
from inception.training.without import EVERY_BRANCH, WithoutBranches, control_sets, evaluate_without
from support.narrow import CHANNELS, narrow_model

CLASSES = tuple(f"class {number}" for number in range(6))


def pictures() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 256, (18, 4, 4, 3)).astype(np.uint8)
    return [Image.fromarray(pixels).resize((48, 48), Image.Resampling.NEAREST) for pixels in colours]


def unbiased_network() -> PretrainedModel:
    """Return a network whose answer depends on the photo: its bias is reduced by the mean logits of the photos."""
    network = narrow_model(48)
    with torch.inference_mode():
        logits = network.model.logits(torch.cat([network.preprocessing.to_tensor(picture) for picture in pictures()]))
    network.model.required_head.get_submodule("classifier").bias.data -= logits.mean(dim=0)
    return network


@pytest.fixture(scope="module")
def network() -> PretrainedModel:
    return unbiased_network()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, network: PretrainedModel) -> Path:
    """Photos labelled with the network's answers, except every third."""
    root = tmp_path_factory.mktemp("data")
    for number, picture in enumerate(pictures()):
        answer = predict(network, picture).top(1)[0].index
        folder = root / CLASSES[answer if number % 3 else number % 6]
        folder.mkdir(exist_ok=True)
        picture.save(folder / f"{number:02}.png")
    (folder / "broken.png").write_bytes(b"no photo")
    return root


@pytest.fixture(scope="module")
def photos(data: Path) -> LabelledPhotos:
    return labelled_photos(data)


@pytest.fixture(scope="module")
def evaluation_without(network: PretrainedModel, photos: LabelledPhotos) -> WithoutBranches:
    return evaluate_without(network, photos, draws=2)


def accuracy(
    network: PretrainedModel, photos: LabelledPhotos, block: str, ablation: str = "zero", **off: list
) -> float:
    readable = [index for index in range(len(photos)) if "broken" not in photos.name(index)]
    hits = []
    for index in readable:
        prediction = predict(network, photos.photo(index))
        label = ablate(network, prediction, block, ablation=ablation, **off).top[0].label
        hits.append(label == photos.classes[photos.targets[index]])
    return float(np.mean(hits))


@pytest.mark.parametrize("ablation", ["zero", "mean"])
def test_accuracy_without_a_branch_matches_ablation_photo_by_photo(
    ablation: str, network: PretrainedModel, photos: LabelledPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 5)
    pairs = [("5b", "1x1"), ("3a", "3x3"), ("4b", "pool"), ("4b", "pool")]
    result = evaluate_without(network, photos, pairs, ablation, draws=1)
    assert [(row.block, row.branch) for row in result.branches] == [("3a", "3x3"), ("4b", "pool"), ("5b", "1x1")]
    assert result.top1 == evaluate(network, photos).top1
    for row in result.branches:
        assert row.top1 == accuracy(network, photos, row.block, ablation, branches=[row.branch])
        assert row.control_deviation == 0


def test_every_branch_of_the_network_is_evaluated_and_matters(evaluation_without: WithoutBranches) -> None:
    assert [(row.block, row.branch) for row in evaluation_without.branches] == list(EVERY_BRANCH)
    assert evaluation_without.images == 18
    assert {row.channels for row in evaluation_without.branches} == {8, 12, 4}
    assert len({row.top1 for row in evaluation_without.branches}) > 4


def test_control_sets_depend_only_on_branch_and_seed(
    evaluation_without: WithoutBranches, network: PretrainedModel, photos: LabelledPhotos
) -> None:
    (alone,) = evaluate_without(network, photos, [("3a", "1x1")], draws=2).branches
    assert alone == evaluation_without.branches[0]
    assert evaluate_without(network, photos, [("3a", "1x1")], draws=2.0).branches == (alone,)  # type: ignore[arg-type]
    assert control_sets(network, "3a", "1x1", 2) == control_sets(network, "3a", "1x1", 3)[:2]
    assert control_sets(network, "3a", "1x1", 2) != control_sets(network, "3a", "1x1", 2, seed=1)


def test_the_control_is_the_accuracy_without_random_channels_of_the_block(
    network: PretrainedModel, photos: LabelledPhotos
) -> None:
    (row,) = evaluate_without(network, photos, [("3b", "5x5")], draws=3).branches
    sets = control_sets(network, "3b", "5x5", 3)
    accuracies = [accuracy(network, photos, "3b", channels=channels) for channels in sets]
    assert row.control == pytest.approx(np.mean(accuracies))
    assert row.control_deviation == pytest.approx(np.std(accuracies, ddof=1))
    many_sets = control_sets(network, "3b", "5x5", 200)
    assert {len(set(channels)) for channels in many_sets} == {4}
    assert {channel for channels in many_sets for channel in channels} == set(range(CHANNELS))


def test_invalid_arguments_are_rejected(network: PretrainedModel, photos: LabelledPhotos, tmp_path: Path) -> None:
    for pair in (("9z", "1x1"), ("3a", "7x7")):
        with pytest.raises(ChoiceError):
            evaluate_without(network, photos, [pair])
    with pytest.raises(ChoiceError, match="ablation is 'noise'"):
        evaluate_without(network, photos, ablation="noise")
    with pytest.raises(UserError, match="draws is 0"):
        evaluate_without(network, photos, draws=0)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    with pytest.raises(DataError, match="None of 1 photo can be read"):
        evaluate_without(network, LabelledPhotos(CLASSES, [broken], [0]))


def test_the_command_prints_the_branches_beside_their_control(
    data: Path, evaluation_without: WithoutBranches, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "load_pretrained", lambda *_: unbiased_network())
    arguments = ["evaluate", "narrow", "--data", str(data), "--without", "3a:1x1", "--without", "5b:pool"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["without"]
    assert (printed["images"], printed["off"], printed["draws"]) == (18, "zero", 5)
    assert [(row["block"], row["branch"]) for row in printed["branches"]] == [("3a", "1x1"), ("5b", "pool")]
    assert printed["branches"][0]["top1"] == evaluation_without.branches[0].top1
    assert main([*arguments, "--off", "mean"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "off: mean" in lines[-4]
    assert [line.split()[0] for line in lines[-2:]] == ["3a:1x1", "5b:pool"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--without", "4b"], "'4b' is not allowed; it must be a block and a branch such as 4b:1x1, or all."),
        (["--without", "3a:1x1", "--off", "noise"], "it must be one of: zero, mean"),
        (["--off", "mean"], "please name a branch"),
    ],
)
def test_invalid_options_are_reported_in_one_sentence(
    arguments: list[str], message: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "tiny-imagenet", "--data", str(data), *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert message in err
