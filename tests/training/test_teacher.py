"""Photos without labels, a teacher's answers, and the random changes that make small photos look like real ones."""

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
from inception.training.datasets import DataError, LabelledPhotos, labelled_photos
from inception.training.initial_model import initial_model
from inception.training.loader import UNLABELLED, AugmentedPhotos, BatchSampler, readable_photos
from inception.training.matching import LeftOut, known_photos
from inception.training.recipe import Recipe, RecipeError
from inception.training.split import further_photos
from inception.training.teacher import Teacher, divergence
from inception.training.trainer import LossModule, TeacherLogits, Trainer
from inception.vision.preprocessing import CAFFE
from support.command import inception
from support.networks import lively
from support.training import COLOURS, SMALL, painted

TAUGHT = replace(
    SMALL, teacher="tiny-imagenet", teacher_share=0.5, teacher_size=32, also_share=0.25, zoom_out=0.5, degrade=0.5
)


@pytest.fixture(scope="module")
def meadow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted(tmp_path_factory.mktemp("data") / "meadow", COLOURS, 12)


@pytest.fixture(scope="module")
def sea(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted(tmp_path_factory.mktemp("data") / "sea", {"a": (0, 0, 200), "b": (200, 0, 0)}, 5, side=80)


def as_pretrained(classes: tuple[str, ...], seed: int = 0) -> PretrainedModel:
    torch.manual_seed(seed)
    model = lively(InceptionV1(classes=len(classes), classifier_activation=None)).eval()
    return PretrainedModel("teacher", model, CAFFE, classes, Provenance("", "", "", ""))


# ---------------------------------------------------------------- the teacher


def test_the_divergence_is_torchs_own_between_softened_distributions() -> None:
    student, teacher = torch.randn(5, 7) * 3, torch.randn(5, 7) * 3
    oracle = torch.nn.KLDivLoss(reduction="batchmean")(
        torch.log(torch.softmax(student / 2, dim=1)), torch.softmax(teacher / 2, dim=1)
    )
    assert divergence(student, teacher).shape == (5,)
    assert divergence(student, teacher).mean().item() == pytest.approx(4 * oracle.item(), rel=1e-4)
    assert divergence(teacher, teacher).abs().max() < 1e-5


def test_the_loss_blends_labels_and_answers_photo_by_photo() -> None:
    model = lively(InceptionV1(classes=4, classifier_activation=None)).eval()
    photos, heard = torch.randn(4, 3, 64, 64), torch.randn(3, 4)
    # The first is labelled only, the second and third labelled and answered, the last answered only.
    targets, answers = torch.tensor([2, 0, 1, UNLABELLED]), TeacherLogits(torch.tensor([1, 2, 3]), heard)
    logits = model.trace(photos).logits
    label = F.cross_entropy(logits[:3], targets[:3], reduction="none", label_smoothing=0.1)
    taught = divergence(logits[1:], heard)
    by_hand = (label[0] + (0.7 * label[1:] + 0.3 * taught[:2]).sum() + taught[2]) / 4
    loss, _ = LossModule(model, 0.1, None, teacher_weight=0.3)(photos, targets, answers)
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_teacher_sees_the_photo_its_own_way_and_answers_for_our_classes() -> None:
    told = as_pretrained(("cat", "fish", "horse", "dog, hound"))
    samples = torch.randint(0, 256, (2, 3, 64, 64)).float()
    got = Teacher(told, _photos_of("dog", "horse", "cat"), 64).logits(samples)
    inputs = torch.cat([told.preprocessing.to_tensor(Image.fromarray(photo)) for photo in _pixels(samples)])
    assert torch.allclose(got, told.model.logits(inputs)[:, [3, 2, 0]], atol=1e-3)
    # Another size is the same photo resized, here without any change because it has one colour.
    plain = torch.full((1, 3, 64, 64), 90.0)
    small, large = (Teacher(told, _photos_of("dog"), side).logits(plain) for side in (32, 64))
    assert torch.allclose(
        small, told.model.logits(told.preprocessing.normalise(plain[..., :32, :32]))[:, [3]], atol=1e-3
    )
    assert not torch.allclose(small, large, atol=1e-3)
    with pytest.raises(DataError, match="bird"):
        Teacher(told, _photos_of("cat", "bird"), 64)


def _photos_of(*classes: str) -> LabelledPhotos:
    return LabelledPhotos(classes, [], [])


def _pixels(samples: torch.Tensor) -> np.ndarray:
    return samples.permute(0, 2, 3, 1).to(torch.uint8).numpy()


# ---------------------------------------------------------------- random changes


def test_a_photo_zoomed_out_is_there_as_a_whole_and_covers_the_stated_areas() -> None:
    framed = np.zeros((90, 120, 3), np.uint8)
    framed[:12], framed[-12:], framed[:, :12], framed[:, -12:] = 4 * [(255, 0, 0)]
    torch.manual_seed(0)
    areas, ratios, corners = [], [], set()
    for _ in range(200):
        square = np.asarray(zoomed_out(Image.fromarray(framed), 128)).astype(int)
        assert square.shape == (128, 128, 3)
        rows, columns = np.nonzero(square[..., 0] > 215)
        top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
        # All four edges of the photo's frame are there.
        for edge in (square[top, left : right + 1], square[bottom, left : right + 1]):
            assert (edge[2:-2, 0] > 150).all()
        for edge in (square[top : bottom + 1, left], square[top : bottom + 1, right]):
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


def test_a_degraded_photo_has_a_short_side_within_the_range_and_small_ones_stay() -> None:
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
    draws = [draw for batch in islice(BatchSampler(10, SMALL, lambda step: 64), 10) for draw in batch]
    # Degrading leaves the noise of these photos smoother; zooming out leaves a smooth margin.
    rough = {}
    for share in (0.0, 0.4, 1.0):
        data = AugmentedPhotos(photos, replace(SMALL, smallest_crop=1.0, **{change: share}))
        rough[share] = np.array([data[draw][0].float().diff(dim=2).abs().mean().item() for draw in draws])
    some, each = ((rough[share] != rough[0.0]).mean() for share in (0.4, 1.0))
    assert each > 0.5  # a photo of 80 pixels need not become smaller
    assert 0.1 < some < 0.75 * each


# ---------------------------------------------------------------- photos without labels


def test_photos_without_labels_fill_their_share_of_each_batch_in_turn() -> None:
    recipe = replace(SMALL, batch=8, also_share=0.25)
    batches = BatchSampler(12, recipe, lambda step: 32, also=5)
    drawn = list(islice(batches, 10))
    assert batches.per_epoch == 2
    assert all([draw.photo >= 12 for draw in batch] == [False] * 6 + [True] * 2 for batch in drawn)
    assert sorted(draw.photo for batch in drawn[:2] for draw in batch[:6]) == list(range(12))
    others = [draw for batch in drawn for draw in batch[6:]]
    assert [sorted(draw.photo for draw in others[at : at + 5]) for at in (0, 5)] == [list(range(12, 17))] * 2
    assert [draw.epoch for draw in others[:10]] == [0] * 5 + [1] * 5
    assert list(islice(BatchSampler(12, recipe, lambda step: 32, also=5, step=7), 3)) == drawn[7:]
    shares = [list(islice(BatchSampler(12, recipe, lambda step: 32, also=5, rank=r, world=2), 10)) for r in (0, 1)]
    assert [sorted(one + other) for one, other in zip(*shares, strict=True)] == [sorted(batch) for batch in drawn]


def test_photos_without_labels_come_after_the_others_and_their_labels_are_not_used(meadow: Path, sea: Path) -> None:
    ours, also = (readable_photos(labelled_photos(folder), 32).photos for folder in (meadow, sea))
    data = AugmentedPhotos(ours, replace(SMALL, smallest_crop=1.0), also=also)
    batch = next(iter(BatchSampler(len(ours), replace(SMALL, also_share=0.5), lambda step: 32, also=len(also))))
    blue = [float(data[draw][0][1].float().mean()) < 60 for draw in batch]
    assert blue == [draw.photo >= len(ours) for draw in batch]
    assert [data[draw][1] for draw in batch[4:]] == [UNLABELLED] * 4


def test_photos_without_labels_are_a_folder_or_the_train_part_of_a_data_set(tmp_path: Path, sea: Path) -> None:
    assert len(further_photos(sea)) == 10
    assert len(further_photos(sea / "a")) == 5
    painted(tmp_path / "train", COLOURS, 3)
    painted(tmp_path / "val", COLOURS, 2)
    assert len(further_photos(tmp_path)) == 6
    with pytest.raises(DataError, match="There are no photos"):
        further_photos(tmp_path / "nowhere")


# ---------------------------------------------------------------- whole trainings


def _trainer(meadow: Path, sea: Path, recipe: Recipe = TAUGHT) -> Trainer:
    ours, also = (readable_photos(labelled_photos(folder), 32).photos for folder in (meadow, sea))
    model, how = initial_model(recipe, ours.classes, 40)
    teacher = Teacher(as_pretrained(("sky", "grass", "sea")), ours, recipe.teacher_size)
    return Trainer(recipe, model, how, ours, also=also, teacher=teacher)


def test_an_interrupted_training_with_a_teacher_ends_with_the_same_weights(
    tmp_path: Path, meadow: Path, sea: Path
) -> None:
    whole, first, second = (_trainer(meadow, sea) for _ in range(3))
    steps = list(islice(whole.steps(), 4))
    list(islice(first.steps(), 2))
    first.save(tmp_path / "checkpoint.pt")
    second.restore(read_checkpoint(tmp_path / "checkpoint.pt"))
    assert [step.loss for step in islice(second.steps(), 2)] == [step.loss for step in steps[2:]]
    states = [trainer.model.state_dict() for trainer in (whole, second)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_student_comes_closer_to_its_teacher(meadow: Path, sea: Path) -> None:
    recipe = replace(TAUGHT, teacher_share=1.0, teacher_weight=1.0, rate=0.01, dropout=0.0, zoom_out=0, degrade=0)
    trainer = _trainer(meadow, sea, recipe)
    losses = [step.loss for step in islice(trainer.steps(), 8)]
    assert min(losses[5:]) < 0.8 * losses[0]


def test_the_command_trains_with_a_teacher_and_the_card_tells(tmp_path: Path, meadow: Path, sea: Path) -> None:
    words = ["train", "--data", meadow, "--workers", "1", *replace(SMALL, epochs=2, evaluate_every=1).as_options()]
    first = inception(*words, "--out", tmp_path / "first")
    assert first.returncode == 0, first.stderr
    log = (tmp_path / "first" / "log.csv").read_text().splitlines()
    assert len(log) == 1 + 4  # a header; 16 photos in batches of 8, twice
    weights = tmp_path / "first" / "model.safetensors"
    taught = inception(*words, "--out", tmp_path / "taught", "--also", sea, "--teacher", weights, "--teacher-size", 40)
    assert taught.returncode == 0, taught.stderr
    model = load(tmp_path / "taught" / "model.safetensors")
    assert model.provenance.source == "trained from scratch, with model as a teacher"
    assert model.provenance.training_data.endswith("of 2 classes, and 10 photos without labels")
    assert model.training["command"].startswith(f"python -m inception train --data meadow --also {sea.name} --out OUT")
    assert f"--teacher {weights}" in model.training["command"]


def test_long_names_of_classes_that_a_teacher_lacks_are_shortened(meadow: Path, embedded: PretrainedModel) -> None:
    known = labelled_photos(meadow)
    names = tuple(f"{number} {'x' * 190}" for number in range(7))
    photos = replace(known, classes=names)
    with pytest.raises(DataError, match=r"does not know 7 of the classes \(.*…\); please choose") as refused:
        Teacher(embedded, photos, 64)
    assert len(str(refused.value)) < 600
    with pytest.raises(DataError) as unknown:
        known_photos(embedded, photos)
    assert len(str(unknown.value)) < 600
    assert len(str(LeftOut(1, 7, names))) < 600


def test_photos_without_labels_need_a_teacher_which_answers_no_mixed_photos(
    tmp_path: Path, meadow: Path, sea: Path
) -> None:
    refused = inception("train", "--data", meadow, "--also", sea, "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert "please name one by --teacher" in refused.stderr
    others = inception(
        "train", "--data", meadow, "--out", tmp_path / "out", "--teacher", "tiny-imagenet", "--teacher-size", "64"
    )
    assert others.returncode == 2
    assert "does not know 2 of the classes (grass, sky)" in others.stderr
    assert not (tmp_path / "out").exists()
    with pytest.raises(RecipeError, match="mix is 'mixup'; it must be none with a teacher"):
        replace(TAUGHT, mix="mixup")


def test_the_classifier_is_kept_where_the_data_only_say_more_of_each_class() -> None:
    started = load("tiny-imagenet")
    longer = tuple(f"{label}, and another name" for label in started.labels)
    model, _ = initial_model(replace(SMALL, start="tiny-imagenet"), longer, 64)
    assert torch.equal(
        model.state_dict()["head.classifier.weight"], started.model.state_dict()["head.classifier.weight"]
    )


def test_photos_without_labels_come_in_another_order_at_each_pass_over_them() -> None:
    # Seven of the eight photos of each batch.
    sampler = BatchSampler(8, replace(SMALL, batch=11, also_share=0.9), lambda step: 32, also=20)
    assert sampler.unlabelled == 7
    drawn = [draw.photo for batch in islice(sampler, 20) for draw in batch if draw.photo >= 8]
    passes = [drawn[start : start + 20] for start in (0, 20, 40)]
    assert all(sorted(one) == list(range(8, 28)) for one in passes)
    assert len({tuple(one) for one in passes}) == 3
