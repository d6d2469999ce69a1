"""Accuracy and calibration, against counting by hand."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from inception.prediction import predict
from inception.pretrained.labels import first_name
from inception.pretrained.pretrained import PretrainedModel
from inception.training.datasets import DataError, labelled_photos, locate_data
from inception.training.evaluation import calibration_error, calibration_error_by_chance, evaluate
from inception.vision.photo import open_photo
from support.command import inception
from support.paths import EXAMPLES, ROOT
from support.photo_folders import class_folders

PHOTOS = {"bee": ["honey_bee.jpg"], "bison": ["bison.jpg"], "espresso": ["espresso.jpg", "macaw.jpg"]}


def test_folders_of_classes_are_read_in_order_of_their_names(tmp_path: Path) -> None:
    photos = labelled_photos(class_folders(tmp_path, PHOTOS))
    assert photos.classes == ("bee", "bison", "espresso")
    assert list(photos.targets) == [0, 1, 2, 2]
    assert photos.photo(1).size == Image.open(EXAMPLES / "bison.jpg").size


def test_a_split_is_found_in_its_folder(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"bee": ["honey_bee.jpg"], "bison": ["bison.jpg"]})
    class_folders(tmp_path / "val", PHOTOS)
    assert (len(labelled_photos(tmp_path, "train")), len(labelled_photos(tmp_path, "val"))) == (2, 4)


def parquet(path: Path, names: list[str]) -> Path:
    rows = [(EXAMPLES / "honey_bee.jpg", 0), (EXAMPLES / "espresso.jpg", 1), (EXAMPLES / "macaw.jpg", 1)]
    table = pyarrow.table(
        {"image": [{"bytes": file.read_bytes(), "path": file.name} for file, _ in rows], "label": [t for _, t in rows]}
    )
    features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)
    return path


def test_parquet_files_bring_their_class_names(tmp_path: Path) -> None:
    parquet(tmp_path / "valid-00000-of-00001.parquet", ["n1", "n2"])
    parquet(tmp_path / "train-00000-of-00001.parquet", ["n1", "n2"])
    assert labelled_photos(tmp_path).classes == ("n1", "n2")
    assert len(labelled_photos(tmp_path)) == 3
    names = [{"wnid": "n1", "name": "bee"}, {"wnid": "n2", "name": "espresso, black coffee"}]
    (tmp_path / "classes.json").write_text(json.dumps(names))
    photos = labelled_photos(tmp_path / "valid-00000-of-00001.parquet")
    assert photos.classes == ("bee", "espresso, black coffee")
    assert photos.photo(1).mode == "RGB"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: root / "nowhere", "There is no data"),
        (lambda root: class_folders(root, {"bee": ["honey_bee.jpg"]}), "at least two classes"),
        (lambda root: class_folders(root, {"bee": ["honey_bee.jpg"], "empty": []}), "'empty' has no photos"),
        (lambda root: parquet(root / "train-00000.parquet", ["a", "b"]).parent, "it has train"),
        (lambda root: class_folders(root / "train", PHOTOS).parent, "it has train"),
        (lambda root: parquet(root / "val.parquet", ["a"]).parent, "there are names for 1 class;"),
        (
            lambda root: (root / "classes.json").write_text("{") and parquet(root / "val.parquet", ["a", "b"]),
            "classes.json",
        ),
        (lambda root: root, "at least two classes"),
        (lambda root: (root / "x.parquet").write_bytes(b"none") and root, "columns image {bytes, path} and label"),
    ],
)
def test_data_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, make, said: str) -> None:
    with pytest.raises(DataError) as refused:
        labelled_photos(make(tmp_path))
    assert said in str(refused.value)


def test_accuracy_is_what_looking_at_each_photo_gives(tmp_path: Path, embedded: PretrainedModel) -> None:
    root = class_folders(tmp_path, PHOTOS)
    (root / "bee" / "broken.jpg").write_bytes(b"no photo")
    told = evaluate(embedded, labelled_photos(root))
    tops = {
        file: predict(embedded, Image.open(EXAMPLES / file).convert("RGB")).top(5)
        for files in PHOTOS.values()
        for file in files
    }
    first = [tops[file][0].label == name for name, files in PHOTOS.items() for file in files]
    among_five = [name in [guess.label for guess in tops[file]] for name, files in PHOTOS.items() for file in files]
    assert told.images == 4
    assert told.top1 == np.mean(first)
    assert told.top5 == np.mean(among_five)
    assert told.per_class == {"bee": first[0], "bison": first[1], "espresso": np.mean(first[2:])}
    assert [Path(name).name for name in told.skipped] == ["broken.jpg"]
    confidences = np.array([tops[file][0].probability for files in PHOTOS.values() for file in files])
    gap = 0.0
    for low in range(15):
        rows = [row for row, confidence in enumerate(confidences) if low / 15 <= confidence < (low + 1) / 15]
        gap += abs(sum(confidences[row] - first[row] for row in rows)) / 4
    assert told.ece == pytest.approx(gap, abs=1e-5)


def test_calibration_error_by_hand() -> None:
    # Two bins hold photos: 0.9 and 0.95 with one of two right, 0.35 (twice) with none right.
    confidences, correct = np.array([0.95, 0.94, 0.35, 0.35]), np.array([True, False, False, False])
    assert calibration_error(confidences, correct) == pytest.approx(0.5 * abs(0.945 - 0.5) + 0.5 * 0.35)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0
    rng = np.random.default_rng(0)
    honest = rng.random(200_000)
    assert calibration_error(honest, rng.random(200_000) < honest) < 0.01


def test_the_command_prints_fractions_of_one(tmp_path: Path) -> None:
    root = class_folders(tmp_path, PHOTOS)
    run = inception("evaluate", "tiny-imagenet", "--data", root, "--json")
    told = json.loads(run.stdout)
    assert (told["model"], told["images"]) == ("tiny-imagenet", 4)
    assert 0 <= told["top1"] <= told["top5"] <= 1
    assert {"ece", "per_class", "skipped"} <= set(told)
    assert "top-1" in inception("evaluate", "tiny-imagenet", "--data", root).stdout
    wrong = inception("evaluate", "tiny-imagenet", "--data", tmp_path / "nowhere")
    assert wrong.returncode == 2
    assert "There is no data" in wrong.stderr


def test_the_model_cards_figures_hold_on_a_tenth_of_the_validation_photos(
    shared: Path, embedded: PretrainedModel
) -> None:
    photos = labelled_photos(shared / "data" / "tiny-imagenet")
    assert len(photos) == 10_000
    tenth = replace(photos, sources=photos.sources[::10], targets=photos.targets[::10])
    told = evaluate(embedded, tenth)
    card = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"([\d.]+) % top-1 and ([\d.]+) % top-5 on the 10,000", card)
    assert stated, "the card names its figures"
    # A thousand photos tell them to within three times 1.6 %.
    assert told.top1 == pytest.approx(float(stated[1]) / 100, abs=0.05)
    assert told.top5 == pytest.approx(float(stated[2]) / 100, abs=0.05)
    assert told.ece < 0.06, "at most 0.03 on all of them; a tenth of the photos tells it to within as much again"


def test_examples_of_known_classes_are_right_in_the_top_five(embedded: PretrainedModel) -> None:
    rows = re.findall(r"^\| `(\w+\.jpg)` \|[^|]+\| ([^|]+) \|", (EXAMPLES / "SOURCES.md").read_text(), re.M)
    assert len(rows) == len(list(EXAMPLES.glob("*.jpg")))
    known = {first_name(label): index for index, label in enumerate(embedded.labels)}
    told = {file: name for file, name in rows if name in known}
    assert {name for _, name in rows} - set(known) == {"none, on purpose"}
    assert len(told) >= 6
    for file, name in told.items():
        top = predict(embedded, open_photo(EXAMPLES / file)).top(5)
        assert known[name] in [guess.index for guess in top], file


def hub_of(files: dict[str, bytes]) -> Callable[[BaseHTTPRequestHandler], None]:
    """A hub with one data set, me/photos, that speaks the little of the hub's protocol that a download needs."""
    commit = "1" * 40

    def answer(request: BaseHTTPRequestHandler) -> None:
        path = urllib.parse.unquote(request.path).partition("?")[0]
        headers = {"X-Repo-Commit": commit}
        name = path.removeprefix(f"/datasets/me/photos/resolve/{commit}/")
        if path.startswith("/api/datasets/me/photos/tree/"):
            listed = [{"type": "file", "path": file, "size": len(data), "oid": "0"} for file, data in files.items()]
            body = json.dumps(listed).encode()
        elif path.startswith("/api/datasets/me/photos"):
            described = {"id": "me/photos", "sha": commit, "siblings": [{"rfilename": file} for file in files]}
            body = json.dumps(described).encode()
        elif name in files:
            body = files[name]
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()}"'
        else:
            body, headers["X-Error-Code"] = b"", "RepoNotFound"
        request.send_response(404 if "X-Error-Code" in headers else 200)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(key, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)

    return answer


def test_a_data_set_of_the_hub_is_fetched_by_its_name(tmp_path: Path, http_server, monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    files = {
        f"data/{name}": parquet(tmp_path / name, ["bee", "espresso"]).read_bytes()
        for name in ("train-0.parquet", "validation-0.parquet")
    }
    address = http_server(hub_of({**files, "README.md": b"never asked for", "pictures/1.zip": b"nor this"}))
    monkeypatch.setenv("HF_ENDPOINT", address)
    folder = locate_data("me/photos")
    assert labelled_photos(folder, "val").classes == ("bee", "espresso")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "train-0.parquet",
        "validation-0.parquet",
    ]
    with pytest.raises(DataError, match="no such data set on the Hugging Face hub"):
        locate_data("me/nothing")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="could not be fetched"):
        locate_data("you/photos")
    assert locate_data(str(tmp_path)) == tmp_path
    assert locate_data("no/such/folder") == Path("no/such/folder")


def test_a_calibrated_network_has_the_calibration_error_that_chance_gives() -> None:
    rng = np.random.default_rng(1)
    for count, error in ((60, 0.13), (10_000, 0.01)):
        confidences = rng.dirichlet([0.4] * 3, size=count).max(axis=1)
        told = calibration_error_by_chance(confidences)
        drawn = [calibration_error(confidences, rng.random(count) < confidences) for _ in range(400)]
        assert told == pytest.approx(np.mean(drawn), rel=0.1)
        assert told == pytest.approx(error, rel=0.2)
        assert told == calibration_error_by_chance(confidences), "always the same"
    assert calibration_error_by_chance(np.ones(20)) == 0
