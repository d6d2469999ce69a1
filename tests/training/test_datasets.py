"""Malformed data sets: bad entries are skipped, and other problems are reported in one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from inception.cli.main import main
from inception.cli.numbers import MAX_CLASSES
from inception.errors import ChoiceError
from inception.pretrained.pretrained import PretrainedModel
from inception.training.datasets import ignored_text, labelled_photos, locate_data, unlabelled_photos
from inception.training.evaluation import evaluate
from inception.training.photos import DataError, LabelledPhotos
from support.paths import EXAMPLES
from support.photo_folders import class_folders

BEE, ESPRESSO = ((EXAMPLES / f"{name}.jpg").read_bytes() for name in ("honey_bee", "espresso"))
NAMES = {"info": {"features": {"label": {"names": ["bee", "espresso"]}}}}


def parquet(path: Path, images: list[Any], labels: list[Any], metadata: str = json.dumps(NAMES)) -> Path:
    table = pyarrow.table({"image": images, "label": labels})
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": metadata}), path)
    return path


def rows(*data: bytes | None) -> list[Any]:
    return [{"bytes": content, "path": "x.jpg"} for content in data]


def test_a_row_without_a_photo_is_skipped(tmp_path: Path, embedded: PretrainedModel) -> None:
    file = parquet(tmp_path / "val.parquet", rows(BEE, None, ESPRESSO), [0, 0, 1])
    evaluation = evaluate(embedded, labelled_photos(file))
    assert (evaluation.images, evaluation.skipped) == (2, ("photo 1",))


def too_many(root: Path) -> Path:
    return parquet(root / "val.parquet", rows(BEE, ESPRESSO), [0, 10**12], "{}")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: parquet(root / "val.parquet", rows(BEE, ESPRESSO), [0, None]), "a whole number for each photo"),
        (lambda root: parquet(root / "val.parquet", rows(BEE, ESPRESSO), ["a", "b"]), "a whole number for each photo"),
        (lambda root: parquet(root / "val.parquet", rows(BEE, ESPRESSO), [0.5, 1.0]), "a whole number for each photo"),
        (lambda root: parquet(root / "val.parquet", [BEE, ESPRESSO], [0, 1]), "the columns image {bytes, path}"),
        (lambda root: parquet(root / "val.parquet", rows(BEE, ESPRESSO), [0, -1]), "The labels go from -1 to 0"),
        (too_many, "The labels go from 0 to 1000000000000, but there are names for 100000 classes"),
        (lambda root: parquet(root / "v.parquet", rows(BEE), [0], "{"), "has no valid class names"),
        (lambda root: parquet(root / "v.parquet", rows(BEE), [0], "[]"), "has no valid class names"),
        (lambda root: parquet(root / "v.parquet", rows(BEE), [0], "[" * 10**5), "has no valid class names"),
        (
            lambda root: parquet(root / "v.parquet", rows(BEE), [0], json.dumps(NAMES).replace('"bee"', "7")),
            "has no valid class names",
        ),
        (
            lambda root: parquet(root / "v.parquet", rows(BEE), [0], json.dumps(NAMES).replace("bee", "b" * 1001)),
            "too long; at most 100000 classes and 1000 characters are allowed",
        ),
        (lambda root: Path("/dev/null/x"), "There is no data at"),
        (lambda root: root / ("x" * 300), "There is no data at"),
    ],
)
def test_unusable_data_sets_are_reported_in_a_sentence(tmp_path: Path, make: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        labelled_photos(make(tmp_path))
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["[" * 10**5, '[{"wnid": 1, "name": "bee"}]', '{"n1": "bee"}', "null", "\xff", ""])
def test_an_invalid_file_of_class_names_is_reported(tmp_path: Path, text: str) -> None:
    root = class_folders(tmp_path, {"n1": ["honey_bee.jpg"], "n2": ["espresso.jpg"]})
    (root / "classes.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"classes\.json cannot be read; it is a list of objects with wnid and name"):
        labelled_photos(root)


def test_the_file_of_class_names_has_a_size_limit(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"n1": ["honey_bee.jpg"], "n2": ["espresso.jpg"]})
    with (root / "classes.json").open("wb") as file:
        file.truncate(2**40)  # a sparse file, which takes no disk space
    with pytest.raises(DataError, match="of at most 32 MB"):
        labelled_photos(root)


def test_the_file_of_class_names_applies_to_class_folders_and_their_splits(tmp_path: Path) -> None:
    ids = {"n00000001": ["honey_bee.jpg"], "n00000002": ["espresso.jpg"], "other": ["macaw.jpg"]}
    class_folders(tmp_path / "val", ids)
    (tmp_path / "classes.json").write_text(json.dumps([{"wnid": "n00000001", "name": "bee"}]))
    photos = labelled_photos(tmp_path)
    assert photos.classes == ("bee", "n00000002", "other")
    assert photos.wnids == ("n00000001", "n00000002", "")
    assert photos.subset([2, 0]).wnids == photos.wnids
    assert photos.select_classes(["other", "bee"]).wnids == ("", "n00000001")
    assert labelled_photos(class_folders(tmp_path / "plain", {"a": ["macaw.jpg"], "b": ["bison.jpg"]})).wnids == ()


def test_only_files_and_links_in_a_folder_of_photos_are_listed(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"bee": ["honey_bee.jpg"], "espresso": ["espresso.jpg"]})
    os.mkfifo(root / "bee" / "pipe.jpg")  # reading it would block forever
    (root / "bee" / "folder.jpg").mkdir()
    (root / "bee" / "gone.jpg").symlink_to(root / "nowhere")
    photos = labelled_photos(root)
    assert [Path(photos.name(index)).name for index in range(len(photos))] == [
        "gone.jpg",
        "honey_bee.jpg",
        "espresso.jpg",
    ]
    assert len(unlabelled_photos(root)) == 3
    for missing in (root / "nowhere", root / ("x" * 300)):
        with pytest.raises(DataError, match="There are no photos"):
            unlabelled_photos(missing)


def test_an_unreadable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = class_folders(tmp_path, {"bee": ["honey_bee.jpg"], "espresso": ["espresso.jpg"]})

    def failing_iterdir(_: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", failing_iterdir)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
        labelled_photos(root)


@pytest.mark.parametrize("read", [labelled_photos, unlabelled_photos])
def test_an_unreadable_subfolder_is_named_and_a_hidden_one_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    root = class_folders(tmp_path, {"bee": ["honey_bee.jpg"], "espresso": ["espresso.jpg"]})
    monkeypatch.chdir(root)  # messages cut long paths off
    root = Path()
    refused = root / "bee" / ".hidden"
    refused.mkdir()
    scandir = os.scandir

    def failing_scandir(path: Any) -> Any:
        if Path(path) == refused:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing_scandir)
    assert len(read(root)) == 2
    refused = root / "bee" / "more"
    refused.mkdir()
    with pytest.raises(DataError, match=r"bee/more' cannot be read \(Permission denied\)"):
        read(root)


def test_a_class_selected_twice_counts_once(tmp_path: Path) -> None:
    photos = labelled_photos(class_folders(tmp_path, {"bee": ["honey_bee.jpg"], "espresso": ["espresso.jpg"]}))
    chosen = photos.select_classes(["espresso", "Espresso", "bee"])
    assert chosen.classes == ("espresso", "bee")
    assert sorted(chosen.targets) == [0, 1]


def test_an_unknown_split_is_refused_for_a_single_parquet_file_too(tmp_path: Path) -> None:
    file = parquet(tmp_path / "photos.parquet", rows(BEE, ESPRESSO), [0, 1])
    assert len(labelled_photos(file, "train")) == 2
    with pytest.raises(ChoiceError, match="split is 'tset'; it must be one of: train, val, test"):
        labelled_photos(file, "tset")


def test_classes_of_one_first_name_are_selected_by_their_whole_names_only() -> None:
    photos = LabelledPhotos(("Crane, bird", "Crane, machine", "bee"), [b"bird", b"machine", b"bee"], [0, 1, 2])
    for number, name in enumerate(photos.classes):
        chosen = photos.select_classes([name])
        assert (chosen.classes, chosen.sources) == ((name,), [photos.sources[number]])
    with pytest.raises(DataError, match="Two classes are called 'crane'"):
        photos.select_classes(["bee", "Crane"])


def test_paths_longer_than_the_system_allows_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert locate_data("x" * 5000) == Path("x" * 5000)
    root = str(
        class_folders(
            tmp_path / "data", {"bee": ["honey_bee.jpg", "bison.jpg"], "espresso": ["espresso.jpg", "macaw.jpg"]}
        )
    )
    for data, out, options, message in (
        ("x" * 5000, "o", [], "There is no data at"),
        (root, "x" * 5000, [], "cannot be made"),
        (root, "x" * 5000, ["--resume"], "There is no interrupted training in"),
    ):
        assert main(["train", "--data", data, "--out", out, *options, "--val-split", "0.5"]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert len(err.splitlines()) == 1
    assert main(["evaluate", "tiny-imagenet", "--data", "x" * 5000]) == 2
    err = capsys.readouterr().err
    assert err.startswith("There is no data at")
    assert len(err) < 250


def test_control_characters_in_class_names_are_escaped(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"bee\x1b[2J\n": ["honey_bee.jpg"], "espresso\u202e": ["espresso.jpg"]})
    assert labelled_photos(root).classes == ("bee\\x1b[2J\\n", "espresso\\u202e")
    names = [str(number) for number in range(MAX_CLASSES + 1)]
    metadata = json.dumps({"info": {"features": {"label": {"names": names}}}})
    with pytest.raises(DataError, match="too many classes"):
        labelled_photos(parquet(tmp_path / "many.parquet", rows(BEE, ESPRESSO), [0, 1], metadata))


def test_hidden_files_are_ignored_and_files_of_other_types_are_counted(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"bee": ["honey_bee.jpg"], "espresso": ["espresso.jpg"]})
    for name in ("._honey_bee.jpg", ".ipynb_checkpoints/honey_bee.jpg", "a.HEIC", "b.heic", "notes"):
        file = root / "bee" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(BEE)
    (root / "classes.json").write_text("[]")
    assert [Path(name).name for name in labelled_photos(root).sources] == ["honey_bee.jpg", "espresso.jpg"]
    assert len(unlabelled_photos(root)) == 2
    assert ignored_text(root) == "2 .heic, 1 without an ending"
    parquet(tmp_path / "val.parquet", rows(BEE, ESPRESSO), [0, 1])
    assert ignored_text(tmp_path) == "", "photos in Parquet files have no file name extension"
