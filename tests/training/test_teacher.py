"""Distillation from a teacher, photos without labels, and augmentation of the photos."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from inception import load
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.training.augment import ASPECT, DEGRADED_SIDE, ZOOMED_OUT_AREA, degraded, zoomed_out
from inception.training.checkpoint import read_checkpoint
from inception.training.datasets import labelled_photos
from inception.training.initial_model import initial_model
from inception.training.loader import UNLABELLED, AugmentedPhotos, BatchSampler, readable_photos
from inception.training.matching import LeftOut, known_photos
from inception.training.photos import DataError, LabelledPhotos
from inception.training.recipe import Recipe, RecipeError
from inception.training.split import further_photos
from inception.training.teacher import Teacher, divergence
from inception.training.trainer import LossModule, TeacherLogits, Trainer
from inception.vision.preprocessing import CAFFE
from support.command import run_inception
from support.networks import randomise
from support.training import COLOURS, SHORT_RECIPE, colour_folders

TAUGHT = replace(
    SHORT_RECIPE,
    teacher="tiny-imagenet",
    teacher_share=0.5,
    teacher_size=32,
    also_share=0.25,
    zoom_out=0.5,
    degrade=0.5,
)


@pytest.fixture(scope="module")
def meadow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_folders(tmp_path_factory.mktemp("data") / "meadow", COLOURS, 12)


@pytest.fixture(scope="module")
def sea(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_folders(tmp_path_factory.mktemp("data") / "sea", {"a": (0, 0, 200), "b": (200, 0, 0)}, 5, side=80)


def random_teacher(classes: tuple[str, ...], seed: int = 0) -> PretrainedModel:
    torch.manual_seed(seed)
    model = randomise(InceptionV1(classes=len(classes), classifier_activation=None)).eval()
    return PretrainedModel("teacher", model, CAFFE, classes, Provenance("", "", "", ""))


# ---------------------------------------------------------------- the teacher


def test_divergence_matches_torchs_loss_between_softened_distributions() -> None:
    student, teacher = torch.randn(5, 7) * 3, torch.randn(5, 7) * 3
    oracle = torch.nn.KLDivLoss(reduction="batchmean")(
        torch.log(torch.softmax(student / 2, dim=1)), torch.softmax(teacher / 2, dim=1)
    )
    assert divergence(student, teacher).shape == (5,)
    assert divergence(student, teacher).mean().item() == pytest.approx(4 * oracle.item(), rel=1e-4)
    assert divergence(teacher, teacher).abs().max() < 1e-5


def test_the_loss_blends_labels_and_teacher_logits_for_each_photo() -> None:
    model = randomise(InceptionV1(classes=4, classifier_activation=None)).eval()
    photos, teacher_logits = torch.randn(4, 3, 64, 64), torch.randn(3, 4)
    # The first photo has only a label, the next two a label and teacher logits, the last only teacher logits.
    targets, teacher = torch.tensor([2, 0, 1, UNLABELLED]), TeacherLogits(torch.tensor([1, 2, 3]), teacher_logits)
    logits = model.trace(photos).logits
    label_loss = F.cross_entropy(logits[:3], targets[:3], reduction="none", label_smoothing=0.1)
    teacher_loss = divergence(logits[1:], teacher_logits)
    expected = (label_loss[0] + (0.7 * label_loss[1:] + 0.3 * teacher_loss[:2]).sum() + teacher_loss[2]) / 4
    loss, _ = LossModule(model, 0.1, None, teacher_weight=0.3)(photos, targets, teacher)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_teacher_uses_its_own_preprocessing_and_returns_logits_of_our_classes() -> None:
    pretrained = random_teacher(("cat", "fish", "horse", "dog, hound"))
    samples = torch.randint(0, 256, (2, 3, 64, 64)).float()
    logits = Teacher(pretrained, _photos_of("dog", "horse", "cat"), 64).logits(samples)
    inputs = torch.cat([pretrained.preprocessing.to_tensor(Image.fromarray(photo)) for photo in _pixels(samples)])
    assert torch.allclose(logits, pretrained.model.logits(inputs)[:, [3, 2, 0]], atol=1e-3)
    # Another size means the same photo resized; one of a single colour is unchanged by that.
    plain = torch.full((1, 3, 64, 64), 90.0)
    small, large = (Teacher(pretrained, _photos_of("dog"), side).logits(plain) for side in (32, 64))
    assert torch.allclose(
        small, pretrained.model.logits(pretrained.preprocessing.normalise(plain[..., :32, :32]))[:, [3]], atol=1e-3
    )
    assert not torch.allclose(small, large, atol=1e-3)
    with pytest.raises(DataError, match="bird"):
        Teacher(pretrained, _photos_of("cat", "bird"), 64)


def _photos_of(*classes: str) -> LabelledPhotos:
    return LabelledPhotos(classes, [], [])


def _pixels(samples: torch.Tensor) -> np.ndarray:
    return samples.permute(0, 2, 3, 1).to(torch.uint8).numpy()


# ---------------------------------------------------------------- augmentation


def test_a_zoomed_out_photo_is_complete_and_covers_the_stated_areas() -> None:
    framed = np.zeros((90, 120, 3), np.uint8)
    framed[:12], framed[-12:], framed[:, :12], framed[:, -12:] = 4 * [(255, 0, 0)]
    torch.manual_seed(0)
    areas, ratios, corners = [], [], set()
    for _ in range(200):
        augmented = np.asarray(zoomed_out(Image.fromarray(framed), 128)).astype(int)
        assert augmented.shape == (128, 128, 3)
        rows, columns = np.nonzero(augmented[..., 0] > 215)
        top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
        # All four edges of the red frame are visible.
        for edge in (augmented[top, left : right + 1], augmented[bottom, left : right + 1]):
            assert (edge[2:-2, 0] > 150).all()
        for edge in (augmented[top : bottom + 1, left], augmented[top : bottom + 1, right]):
            assert (edge[2:-2, 0] > 150).all()
        height, width = bottom - top + 1, right - left + 1
        areas.append(height * width / 128**2)
        ratios.append(width / height / (120 / 90))
        corners.add((top < 10, left < 10))
    low, high = ZOOMED_OUT_AREA
    assert low * 0.9 < min(areas) < low * 1.3
    assert 0.7 < max(areas) <= high
    assert ASPECT[0] * 0.93 < min(ratios) < 0.85
    assert 1.15 < max(ratios) < ASPECT[1] * 1.07
    assert len(corners) == 4


def test_degraded_photos_have_a_short_side_within_the_range_and_small_ones_are_unchanged() -> None:
    torch.manual_seed(0)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8))
    sides = [degraded(photo).height for _ in range(50)]
    assert DEGRADED_SIDE[0] <= min(sides) < max(sides) <= DEGRADED_SIDE[1]
    small = degraded(photo)
    assert small.width / small.height == pytest.approx(200 / 160, rel=0.02)
    small = photo.resize((40, 40))
    assert degraded(small) is small


@pytest.mark.parametrize("change", ["zoom_out", "degrade"])
def test_a_share_of_the_photos_is_changed(sea: Path, change: str) -> None:
    photos = readable_photos(labelled_photos(sea), 64).photos
    draws = [draw for batch in islice(BatchSampler(10, SHORT_RECIPE, lambda step: 64), 10) for draw in batch]
    # Degrading leaves the noise of these photos smoother; zooming out leaves a smooth margin.
    roughness = {}
    for share in (0.0, 0.4, 1.0):
        data = AugmentedPhotos(photos, replace(SHORT_RECIPE, smallest_crop=1.0, **{change: share}))
        roughness[share] = np.array([data[draw][0].float().diff(dim=2).abs().mean().item() for draw in draws])
    partial, full = ((roughness[share] != roughness[0.0]).mean() for share in (0.4, 1.0))
    assert full > 0.5  # a photo of 80 pixels need not become smaller
    assert 0.1 < partial < 0.75 * full


# ---------------------------------------------------------------- photos without labels


def test_photos_without_labels_fill_their_share_of_each_batch_in_turn() -> None:
    recipe = replace(SHORT_RECIPE, batch=8, also_share=0.25)
    batches = BatchSampler(12, recipe, lambda step: 32, also=5)
    drawn = list(islice(batches, 10))
    assert batches.per_epoch == 2
    assert all([draw.photo >= 12 for draw in batch] == [False] * 6 + [True] * 2 for batch in drawn)
    assert sorted(draw.photo for batch in drawn[:2] for draw in batch[:6]) == list(range(12))
    unlabelled = [draw for batch in drawn for draw in batch[6:]]
    assert [sorted(draw.photo for draw in unlabelled[start : start + 5]) for start in (0, 5)] == [
        list(range(12, 17))
    ] * 2
    assert [draw.epoch for draw in unlabelled[:10]] == [0] * 5 + [1] * 5
    assert list(islice(BatchSampler(12, recipe, lambda step: 32, also=5, step=7), 3)) == drawn[7:]
    shares = [
        list(islice(BatchSampler(12, recipe, lambda step: 32, also=5, rank=rank, world=2), 10)) for rank in (0, 1)
    ]
    assert [sorted(first + second) for first, second in zip(*shares, strict=True)] == [sorted(batch) for batch in drawn]


def test_photos_without_labels_follow_the_others_and_their_labels_are_ignored(meadow: Path, sea: Path) -> None:
    labelled, unlabelled = (readable_photos(labelled_photos(folder), 32).photos for folder in (meadow, sea))
    data = AugmentedPhotos(labelled, replace(SHORT_RECIPE, smallest_crop=1.0), also=unlabelled)
    batch = next(
        iter(BatchSampler(len(labelled), replace(SHORT_RECIPE, also_share=0.5), lambda step: 32, also=len(unlabelled)))
    )
    blue = [float(data[draw][0][1].float().mean()) < 60 for draw in batch]
    assert blue == [draw.photo >= len(labelled) for draw in batch]
    assert [data[draw][1] for draw in batch[4:]] == [UNLABELLED] * 4


def test_photos_without_labels_come_from_a_folder_or_the_train_part_of_a_data_set(tmp_path: Path, sea: Path) -> None:
    assert len(further_photos(sea)) == 10
    assert len(further_photos(sea / "a")) == 5
    colour_folders(tmp_path / "train", COLOURS, 3)
    colour_folders(tmp_path / "val", COLOURS, 2)
    assert len(further_photos(tmp_path)) == 6
    with pytest.raises(DataError, match="There are no photos"):
        further_photos(tmp_path / "nowhere")


# ---------------------------------------------------------------- complete trainings


def _trainer(meadow: Path, sea: Path, recipe: Recipe = TAUGHT) -> Trainer:
    labelled, unlabelled = (readable_photos(labelled_photos(folder), 32).photos for folder in (meadow, sea))
    model, preprocessing = initial_model(recipe, labelled.classes, 40)
    teacher = Teacher(random_teacher(("sky", "grass", "sea")), labelled, recipe.teacher_size)
    return Trainer(recipe, model, preprocessing, labelled, also=unlabelled, teacher=teacher)


def test_an_interrupted_training_with_a_teacher_ends_with_the_same_weights(
    tmp_path: Path, meadow: Path, sea: Path
) -> None:
    uninterrupted, first, second = (_trainer(meadow, sea) for _ in range(3))
    steps = list(islice(uninterrupted.steps(), 4))
    list(islice(first.steps(), 2))
    first.save(tmp_path / "checkpoint.pt")
    second.restore(read_checkpoint(tmp_path / "checkpoint.pt"))
    assert [step.loss for step in islice(second.steps(), 2)] == [step.loss for step in steps[2:]]
    states = [trainer.model.state_dict() for trainer in (uninterrupted, second)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_student_approaches_its_teacher(meadow: Path, sea: Path) -> None:
    recipe = replace(TAUGHT, teacher_share=1.0, teacher_weight=1.0, rate=0.01, dropout=0.0, zoom_out=0, degrade=0)
    trainer = _trainer(meadow, sea, recipe)
    losses = [step.loss for step in islice(trainer.steps(), 8)]
    assert min(losses[5:]) < 0.8 * losses[0]


def test_the_command_trains_with_a_teacher_and_records_it(tmp_path: Path, meadow: Path, sea: Path) -> None:
    arguments = [
        "train",
        "--data",
        meadow,
        "--workers",
        "1",
        *replace(SHORT_RECIPE, epochs=2, evaluate_every=1).as_options(),
    ]
    first = run_inception(*arguments, "--out", tmp_path / "first")
    assert first.returncode == 0, first.stderr
    log = (tmp_path / "first" / "log.csv").read_text().splitlines()
    assert len(log) == 1 + 4  # a header; 16 photos in batches of 8, twice
    weights = tmp_path / "first" / "model.safetensors"
    taught = run_inception(
        *arguments, "--out", tmp_path / "taught", "--also", sea, "--teacher", weights, "--teacher-size", 40
    )
    assert taught.returncode == 0, taught.stderr
    model = load(tmp_path / "taught" / "model.safetensors")
    assert model.provenance.source == "trained from scratch, with model as a teacher"
    assert model.provenance.training_data.endswith("of 2 classes, and 10 photos without labels")
    assert model.training["command"].startswith(f"python -m inception train --data meadow --also {sea.name} --out OUT")
    assert f"--teacher {weights}" in model.training["command"]


def test_errors_shorten_long_class_names_that_a_teacher_lacks(meadow: Path, embedded: PretrainedModel) -> None:
    known = labelled_photos(meadow)
    names = tuple(f"{number} {'x' * 190}" for number in range(7))
    photos = replace(known, classes=names)
    with pytest.raises(DataError, match=r"does not know 7 of the classes \(.*…\); please choose") as teacher_error:
        Teacher(embedded, photos, 64)
    assert len(str(teacher_error.value)) < 600
    with pytest.raises(DataError) as matching_error:
        known_photos(embedded, photos)
    assert len(str(matching_error.value)) < 600
    assert len(str(LeftOut(1, 7, names))) < 600


def test_photos_without_labels_need_a_suitable_teacher_and_exclude_mixing(
    tmp_path: Path, meadow: Path, sea: Path
) -> None:
    without_teacher = run_inception("train", "--data", meadow, "--also", sea, "--out", tmp_path / "out")
    assert without_teacher.returncode == 2
    assert "please name one by --teacher" in without_teacher.stderr
    unsuitable_teacher = run_inception(
        "train", "--data", meadow, "--out", tmp_path / "out", "--teacher", "tiny-imagenet", "--teacher-size", "64"
    )
    assert unsuitable_teacher.returncode == 2
    assert "does not know 2 of the classes (grass, sky)" in unsuitable_teacher.stderr
    assert not (tmp_path / "out").exists()
    with pytest.raises(RecipeError, match="mix is 'mixup'; it must be none with a teacher"):
        replace(TAUGHT, mix="mixup")


def test_the_classifier_is_kept_where_class_names_only_have_more_synonyms() -> None:
    pretrained = load("tiny-imagenet")
    longer_names = tuple(f"{label}, and another name" for label in pretrained.labels)
    model, _ = initial_model(replace(SHORT_RECIPE, start="tiny-imagenet"), longer_names, 64)
    assert torch.equal(
        model.state_dict()["head.classifier.weight"], pretrained.model.state_dict()["head.classifier.weight"]
    )


def test_each_pass_over_photos_without_labels_has_another_order() -> None:
    # Seven of the photos of each batch are unlabelled.
    sampler = BatchSampler(8, replace(SHORT_RECIPE, batch=11, also_share=0.9), lambda step: 32, also=20)
    assert sampler.unlabelled == 7
    drawn = [draw.photo for batch in islice(sampler, 20) for draw in batch if draw.photo >= 8]
    passes = [drawn[start : start + 20] for start in (0, 20, 40)]
    assert all(sorted(photos) == list(range(8, 28)) for photos in passes)
    assert len({tuple(photos) for photos in passes}) == 3
