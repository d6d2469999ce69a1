"""Accuracy and calibration, compared with counts by hand."""

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
import torch
from PIL import Image

from inception.prediction import predict
from inception.pretrained.labels import first_name
from inception.pretrained.pretrained import PretrainedModel
from inception.training.datasets import labelled_photos, locate_data
from inception.training.evaluation import (
    LabelledLogits,
    calibration_error,
    calibration_error_by_chance,
    evaluate,
    evaluate_logits,
)
from inception.training.photos import DataError, LabelledPhotos
from inception.vision.photo import open_photo
from support.command import run_inception
from support.paths import EXAMPLES
from support.photo_folders import class_folders

PHOTOS = {"bee": ["honey_bee.jpg"], "bison": ["bison.jpg"], "espresso": ["espresso.jpg", "macaw.jpg"]}


def test_class_folders_are_read_in_alphabetical_order(tmp_path: Path) -> None:
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


def test_class_names_come_from_parquet_metadata_or_classes_json(tmp_path: Path) -> None:
    parquet(tmp_path / "valid-00000-of-00001.parquet", ["n1", "n2"])
    parquet(tmp_path / "train-00000-of-00001.parquet", ["n1", "n2"])
    assert labelled_photos(tmp_path).classes == ("n1", "n2")
    assert len(labelled_photos(tmp_path)) == 3
    names = [{"wnid": "n1", "name": "bee"}, {"wnid": "n2", "name": "espresso, black coffee"}]
    (tmp_path / "classes.json").write_text(json.dumps(names))
    photos = labelled_photos(tmp_path / "valid-00000-of-00001.parquet")
    assert photos.classes == ("bee", "espresso, black coffee")
    assert photos.photo(1).mode == "RGB"
    # On the hub, the files lie in a folder beside that of the names.
    (tmp_path / "data").mkdir()
    for file in tmp_path.glob("*.parquet"):
        file.rename(tmp_path / "data" / file.name)
    assert labelled_photos(tmp_path).classes == ("bee", "espresso, black coffee")


@pytest.mark.parametrize(
    ("make", "message"),
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
def test_unusable_data_is_reported_in_a_sentence(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(DataError) as error:
        labelled_photos(make(tmp_path))
    assert message in str(error.value)


def test_accuracy_matches_predictions_photo_by_photo(tmp_path: Path, embedded: PretrainedModel) -> None:
    root = class_folders(tmp_path, PHOTOS)
    (root / "bee" / "broken.jpg").write_bytes(b"no photo")
    evaluation = evaluate(embedded, labelled_photos(root))
    guesses = {
        file: predict(embedded, Image.open(EXAMPLES / file).convert("RGB")).top(5)
        for files in PHOTOS.values()
        for file in files
    }
    top1_hits = [guesses[file][0].label == name for name, files in PHOTOS.items() for file in files]
    top5_hits = [name in [guess.label for guess in guesses[file]] for name, files in PHOTOS.items() for file in files]
    assert evaluation.images == 4
    assert evaluation.top1 == np.mean(top1_hits)
    assert evaluation.top5 == np.mean(top5_hits)
    assert evaluation.per_class == {"bee": top1_hits[0], "bison": top1_hits[1], "espresso": np.mean(top1_hits[2:])}
    assert [Path(name).name for name in evaluation.skipped] == ["broken.jpg"]
    confidences = np.array([guesses[file][0].probability for files in PHOTOS.values() for file in files])
    gap = 0.0
    for number in range(15):
        members = [
            index for index, confidence in enumerate(confidences) if number / 15 <= confidence < (number + 1) / 15
        ]
        gap += abs(sum(confidences[index] - top1_hits[index] for index in members)) / 4
    assert evaluation.ece == pytest.approx(gap, abs=1e-5)


def test_classes_whose_probabilities_round_to_zero_are_ranked_by_their_logits(embedded: PretrainedModel) -> None:
    network = replace(embedded, temperature=0.01)
    photos = LabelledPhotos(embedded.labels, [b""] * 2, [150, 3])
    logits = torch.linspace(-20, 0, 200).expand(2, 200).clone()
    logits[:, 199] = 30
    answers = LabelledLogits(logits, torch.tensor(photos.targets), (0, 1), ())
    assert evaluate_logits(network, photos, answers).top5 == 0
    logits[0, 150] = 20
    assert evaluate_logits(network, photos, answers).top5 == 0.5


def test_calibration_error_matches_hand_calculation() -> None:
    # Two bins hold photos: 0.95 and 0.94 with one of two right, and 0.35 twice with none right.
    confidences, correct = np.array([0.95, 0.94, 0.35, 0.35]), np.array([True, False, False, False])
    assert calibration_error(confidences, correct) == pytest.approx(0.5 * abs(0.945 - 0.5) + 0.5 * 0.35)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0
    rng = np.random.default_rng(0)
    calibrated = rng.random(200_000)
    assert calibration_error(calibrated, rng.random(200_000) < calibrated) < 0.01


def test_the_command_prints_accuracies_between_0_and_1(tmp_path: Path) -> None:
    root = class_folders(tmp_path, PHOTOS)
    run = run_inception("evaluate", "tiny-imagenet", "--data", root, "--json")
    report = json.loads(run.stdout)
    assert (report["model"], report["images"]) == ("tiny-imagenet", 4)
    assert 0 <= report["top1"] <= report["top5"] <= 1
    assert {"ece", "per_class", "skipped"} <= set(report)
    assert "top-1" in run_inception("evaluate", "tiny-imagenet", "--data", root).stdout
    missing = run_inception("evaluate", "tiny-imagenet", "--data", tmp_path / "nowhere")
    assert missing.returncode == 2
    assert "There is no data" in missing.stderr


def test_examples_of_known_classes_are_in_the_top_five(embedded: PretrainedModel) -> None:
    rows = re.findall(r"^\| `(\w+\.jpg)` \|[^|]+\| ([^|]+) \|", (EXAMPLES / "SOURCES.md").read_text(), re.M)
    assert len(rows) == len(list(EXAMPLES.glob("*.jpg")))
    known = {first_name(label): index for index, label in enumerate(embedded.labels)}
    examples = {file: name for file, name in rows if name in known}
    assert {name for _, name in rows} - set(known) == {"none, on purpose"}
    assert len(examples) >= 6
    for file, name in examples.items():
        top = predict(embedded, open_photo(EXAMPLES / file)).top(5)
        assert known[name] in [guess.index for guess in top], file


def hub_of(files: dict[str, bytes]) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a handler of a hub with one data set, me/photos, and the requests that a download needs."""
    commit = "1" * 40

    def respond(request: BaseHTTPRequestHandler) -> None:
        path = urllib.parse.unquote(request.path).partition("?")[0]
        headers = {"X-Repo-Commit": commit}
        name = path.removeprefix(f"/datasets/me/photos/resolve/{commit}/")
        if path.startswith("/api/datasets/me/photos/tree/"):
            entries = [{"type": "file", "path": file, "size": len(data), "oid": "0"} for file, data in files.items()]
            body = json.dumps(entries).encode()
        elif path.startswith("/api/datasets/me/photos"):
            description = {"id": "me/photos", "sha": commit, "siblings": [{"rfilename": file} for file in files]}
            body = json.dumps(description).encode()
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

    return respond


def test_a_hub_data_set_is_downloaded_by_its_name(tmp_path: Path, http_server, monkeypatch) -> None:
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


def test_calibration_error_by_chance_matches_a_simulated_calibrated_network() -> None:
    rng = np.random.default_rng(1)
    for count, error in ((60, 0.13), (10_000, 0.01)):
        confidences = rng.dirichlet([0.4] * 3, size=count).max(axis=1)
        expected = calibration_error_by_chance(confidences)
        simulated = [calibration_error(confidences, rng.random(count) < confidences) for _ in range(400)]
        assert expected == pytest.approx(np.mean(simulated), rel=0.1)
        assert expected == pytest.approx(error, rel=0.2)
        assert expected == calibration_error_by_chance(confidences), "deterministic"
    assert calibration_error_by_chance(np.ones(20)) == 0
