"""Matching a network's classes with a data set's, compared with two published lists, and evaluating unknown classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torchvision.datasets import imagenette
from torchvision.models import GoogLeNet_Weights

from inception.cli.main import main
from inception.pretrained.labels import first_name
from inception.pretrained.pretrained import PretrainedModel
from inception.training.datasets import labelled_photos
from inception.training.evaluation import evaluate
from inception.training.matching import class_wnids, known_photos, match_classes
from inception.training.photos import DataError, LabelledPhotos
from support.photo_folders import class_folders

IMAGENET = tuple(GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"])
CRANE_BIRD, CRANE_MACHINE, CARDIGAN = "n02012849", "n03126707", "n02963159"


@pytest.fixture(scope="module")
def googlenet(embedded: PretrainedModel) -> PretrainedModel:
    """A network with GoogLeNet's classes."""
    return replace(embedded, name="googlenet", labels=IMAGENET)


def custom_network(embedded: PretrainedModel, *labels: str) -> PretrainedModel:
    return replace(embedded, name="own", labels=labels, imagenet=False)


def photos_of(*classes: str, wnids: tuple[str, ...] = ()) -> LabelledPhotos:
    return LabelledPhotos(classes, [b""] * len(classes), range(len(classes)), wnids=wnids)


def test_imagenet_class_ids_match_those_of_torchvision_and_tiny_imagenet(
    googlenet: PretrainedModel, embedded: PretrainedModel, shared: Path
) -> None:
    wnids = class_wnids(googlenet)
    assert len(wnids) == len(set(wnids)) == 1000
    assert list(wnids) == sorted(wnids)
    for wnid, (name, *_) in imagenette.Imagenette._WNID_TO_CLASS.items():
        assert IMAGENET[wnids.index(wnid)] == name
    rows = json.loads((shared / "data" / "tiny-imagenet" / "classes.json").read_text(encoding="utf-8"))
    assert class_wnids(embedded) == tuple(row["wnid"] for row in rows)
    assert [first_name(label) for label in embedded.labels] == [first_name(row["name"]) for row in rows]
    for row in rows:
        assert first_name(IMAGENET[wnids.index(row["wnid"])]) == first_name(row["name"])


def test_classes_without_ids_are_matched_by_name(embedded: PretrainedModel) -> None:
    network = custom_network(embedded, "bee", "cat", "goldfish")
    assert match_classes(network, photos_of("Goldfish, Carassius auratus", "bee", "unicorn")) == (2, 0, None)
    assert match_classes(custom_network(embedded, "crane", "crane"), photos_of("crane", "crane")) == (0, 1), (
        "identical classes"
    )
    assert match_classes(network, photos_of("bee", "Bee", "cat")) == (None, None, 1), "ambiguous"
    assert match_classes(custom_network(embedded, "bee", "bee", "cat"), photos_of("bee", "cat")) == (None, 2)


def test_classes_with_ids_are_matched_by_id(embedded: PretrainedModel, googlenet: PretrainedModel) -> None:
    folders = photos_of(CRANE_BIRD, CRANE_MACHINE, CARDIGAN, wnids=(CRANE_BIRD, CRANE_MACHINE, CARDIGAN))
    assert match_classes(googlenet, folders) == (134, 517, 474)
    tiny = match_classes(embedded, folders)
    assert tiny[0] is None, "the embedded network has only the machine"
    assert [embedded.labels[index] for index in tiny[1:]] == ["crane", "cardigan"]
    named = replace(folders, classes=("crane", "crane", "cardigan"))
    assert match_classes(googlenet, named) == (134, 517, 474)
    by_folder = custom_network(embedded, CRANE_MACHINE, CRANE_BIRD)
    assert match_classes(by_folder, folders) == (1, 0, None), "a network trained on folders named by id"
    assert match_classes(custom_network(embedded, "crane", "bee"), named) == (None, None, None)


@pytest.mark.parametrize("name", ["crane", "Crane", "maillot", "cardigan", "Cardigan, Cardigan Welsh corgi"])
def test_a_name_shared_by_two_imagenet_classes_is_not_matched(
    name: str, embedded: PretrainedModel, googlenet: PretrainedModel
) -> None:
    for network in (embedded, googlenet):
        bee = network.labels.index("bee")
        assert match_classes(network, photos_of("bee", name)) == (bee, None)


def test_classes_with_equal_names_and_different_ids_are_not_matched(embedded: PretrainedModel) -> None:
    """WordNet has several classes called bee."""
    assert match_classes(embedded, photos_of("bee", "banana", wnids=("n99999999", ""))) == (
        None,
        embedded.labels.index("banana"),
    )


PHOTOS = {"bee": ["honey_bee.jpg"], "unicorn": ["bison.jpg", "macaw.jpg"], "espresso": ["espresso.jpg", "macaw.jpg"]}


def test_evaluation_leaves_out_classes_that_the_network_lacks(tmp_path: Path, embedded: PretrainedModel) -> None:
    root = class_folders(tmp_path / "all", PHOTOS)
    evaluation = evaluate(embedded, labelled_photos(root))
    known_root = class_folders(tmp_path / "known", {name: PHOTOS[name] for name in ("bee", "espresso")})
    known_only = evaluate(embedded, labelled_photos(known_root))
    assert (evaluation.left_out.photos, evaluation.left_out.classes, evaluation.left_out.names) == (2, 1, ("unicorn",))
    assert known_only.left_out.photos == 0
    assert replace(evaluation, left_out=known_only.left_out) == known_only


def test_the_command_reports_classes_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = class_folders(tmp_path, PHOTOS)
    command = ["evaluate", "tiny-imagenet", "--data", str(root)]
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["left_out"] == {"photos": 2, "classes": 1, "names": ["unicorn"]}
    assert (report["images"], set(report["per_class"])) == (3, {"bee", "espresso"})
    assert err == (
        f"{root} has no part val: all of it is measured, which does not test a network trained on it\n"
        "left out, as the network has no class for them or several of one name: 2 photos of 1 class (unicorn)\n"
    )
    assert main([*command, "--limit", "1"]) == 0
    assert capsys.readouterr().out.startswith("1 photo of 1 class, 0 skipped\n"), (
        "the limit counts photos of known classes"
    )


def test_data_without_any_known_class_is_an_error_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = class_folders(tmp_path, {"unicorn": ["bison.jpg"], "crane": ["macaw.jpg"]})
    assert main(["evaluate", "tiny-imagenet", "--data", str(root)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "tiny-imagenet has none of the data's classes (crane, unicorn)" in err
    assert len(err.splitlines()) == 1


def test_folders_named_by_imagenet_id_are_matched_by_id(tmp_path: Path, embedded: PretrainedModel) -> None:
    ids = {"n02206856": ["honey_bee.jpg"], "n07920052": ["espresso.jpg"], CRANE_BIRD: ["macaw.jpg"]}
    root = class_folders(tmp_path, ids)
    photos, left_out = known_photos(embedded, labelled_photos(root))
    assert left_out.names == (CRANE_BIRD,)
    labels = [embedded.labels[index] for index in match_classes(embedded, photos) if index is not None]
    assert labels == ["bee", "espresso"]
    (root / "classes.json").write_text(json.dumps([{"wnid": "n02206856", "name": "bee"}]))
    named = labelled_photos(root)
    assert (named.classes, named.wnids) == ((CRANE_BIRD, "bee", "n07920052"), tuple(sorted(ids)))


def test_classes_with_equal_names_have_separate_accuracies(tmp_path: Path, embedded: PretrainedModel) -> None:
    root = class_folders(tmp_path, {"n02206856": ["honey_bee.jpg"], "n07920052": ["espresso.jpg"]})
    rows = [{"wnid": wnid, "name": "thing"} for wnid in ("n02206856", "n07920052")]
    (root / "classes.json").write_text(json.dumps(rows))
    evaluation = evaluate(embedded, labelled_photos(root))
    assert set(evaluation.per_class) == {"thing (n02206856)", "thing (n07920052)"}


@pytest.mark.parametrize(
    ("network", "name", "known", "left_out", "at_least"),
    [
        ("tiny-imagenet", "wild", 285, (0, 0), 0.25),
        ("tiny-imagenet", "everyday", 201, (1514, 123), 0.25),
        ("googlenet", "tiny-imagenet", 10_000, (0, 0), 0.05),  # photos of 64 pixels
        ("googlenet", "everyday", 701, (1014, 83), 0.4),
    ],
)
def test_real_data_sets_of_other_classes(
    network: str,
    name: str,
    known: int,
    left_out: tuple[int, int],
    at_least: float,
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(shared / "weights"))
    arguments = ["evaluate", network, "--data", str(shared / "data" / name), "--limit", "128", "--json"]
    assert main(arguments) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["images"] == 128
    assert (report["left_out"]["photos"], report["left_out"]["classes"]) == left_out
    photos = labelled_photos(shared / "data" / name)
    assert len(photos) == known + left_out[0]
    assert report["top1"] >= at_least, "wrongly matched classes would be right only by chance"


def test_the_error_for_data_without_known_classes_lists_its_classes(embedded: PretrainedModel) -> None:
    with pytest.raises(DataError, match="a, b, c, d, e, …"):
        known_photos(embedded, photos_of(*"abcdefg"))
