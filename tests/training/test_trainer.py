"""Parts of a training, compared with hand calculations: recipe, photos, initial network and steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from inception import load
from inception.cli.main import load_command
from inception.cli.train import recipe_of
from inception.errors import ChoiceError
from inception.network.inception_v1 import InceptionV1
from inception.training.datasets import labelled_photos
from inception.training.initial_model import initial_model
from inception.training.loader import AugmentedPhotos, BatchSampler, Sample, readable_photos
from inception.training.photos import DataError, LabelledPhotos
from inception.training.recipe import Recipe, RecipeError
from inception.training.split import split_photos, training_photos
from inception.training.trainer import LossModule, Trainer
from support.networks import randomise
from support.paths import EXAMPLES, ROOT
from support.training import COLOURS, SHORT_RECIPE, colour_folders


@pytest.fixture
def photos(meadow: Path) -> LabelledPhotos:
    return readable_photos(labelled_photos(meadow), 32).photos


def trainer_for(photos: LabelledPhotos, recipe: Recipe = SHORT_RECIPE, **options) -> Trainer:
    model, preprocessing = initial_model(recipe, photos.classes, 40)
    return Trainer(recipe, model, preprocessing, photos, **options)


# ---------------------------------------------------------------- the recipe


def test_the_learning_rate_rises_linearly_and_falls_along_a_half_cosine() -> None:
    recipe = replace(SHORT_RECIPE, rate=0.4, warm_up=0.2)
    rates = [recipe.rate_at(progress) for progress in (0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0, 0.2, 0.4, 0.2, 0])


def test_the_photo_size_grows_during_the_training() -> None:
    recipe = replace(SHORT_RECIPE, sizes=((32, 2), (48, 1), (64, 1)))
    assert [recipe.size_at(progress) for progress in (0, 0.49, 0.51, 0.74, 0.76, 1.0)] == [32, 32, 48, 48, 64, 64]
    assert recipe.size == 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.0}, "rate is 0.0; it must be more than 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"sizes": ((16, 1.0),)}, "must be at least 32"),
        ({"sizes": ((128, 0.0),)}, "must have shares of more than 0"),
        ({"sizes": ()}, "at least one size"),
        ({"variant": "resnet"}, "batchnorm"),
        ({"mix": "salad"}, "cutmix"),
        ({"held_out": 1.0}, "held_out"),
    ],
)
def test_an_invalid_recipe_is_rejected_in_a_sentence(changes: dict, message: str) -> None:
    with pytest.raises((RecipeError, ChoiceError), match=message):
        replace(SHORT_RECIPE, **changes)


def test_a_recipe_survives_json_and_the_command_line() -> None:
    recipe = Recipe(
        start="scratch", sizes=((64, 2.0), (96, 1.0)), minutes=7.5, flip=False, aux=True, mix="both", colour=0.2, seed=3
    )
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe_from(*recipe.as_options()) == recipe
    assert recipe_from() == Recipe()


def recipe_from(*options: str) -> Recipe:
    """Return the recipe for options of the command."""
    with load_command("train").make_context("train", ["--data", "d", "--out", "o", *options]) as context:
        return recipe_of(context.params)


def test_the_variant_and_the_initial_weights_imply_each_other(tmp_path: Path) -> None:
    assert recipe_from("--variant", "googlenet").start == "scratch"
    model = InceptionV1(variant="googlenet", classes=3)
    torch.save(model.state_dict(), tmp_path / "own.pth")
    assert recipe_from("--from", str(tmp_path / "own.pth")).variant == "googlenet"
    with pytest.raises(RecipeError, match="of the variant 'batchnorm', not 'googlenet'"):
        initial_model(recipe_from("--variant", "googlenet", "--from", "tiny-imagenet"), ("a", "b"), 64)


# ---------------------------------------------------------------- photos


def test_every_epoch_draws_each_photo_once_in_another_order() -> None:
    recipe = replace(SHORT_RECIPE, batch=5)
    drawn = list(islice(BatchSampler(20, recipe, lambda step: 32), 8))
    epochs = [[draw.photo for batch in drawn[start : start + 4] for draw in batch] for start in (0, 4)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20))] * 2
    assert epochs[0] != epochs[1]
    assert {draw.epoch for batch in drawn[4:] for draw in batch} == {1}


def test_batches_do_not_depend_on_the_first_step_and_are_shared_without_overlap() -> None:
    recipe = replace(SHORT_RECIPE, batch=6)
    batches = list(islice(BatchSampler(20, recipe, lambda step: 32 + step), 7))
    assert list(islice(BatchSampler(20, recipe, lambda step: 32 + step, step=4), 3)) == batches[4:]
    shares = [list(islice(BatchSampler(20, recipe, lambda step: 32 + step, rank=rank, world=2), 7)) for rank in (0, 1)]
    assert [sorted(first + second) for first, second in zip(*shares, strict=True)] == [
        sorted(batch) for batch in batches
    ]


def test_augmentation_does_not_depend_on_the_process_or_the_order(photos: LabelledPhotos) -> None:
    data = AugmentedPhotos(photos, replace(SHORT_RECIPE, colour=0.3))
    drawn = next(iter(BatchSampler(len(photos), SHORT_RECIPE, lambda step: 48)))
    forwards, backwards = [data[draw][0] for draw in drawn], [data[draw][0] for draw in reversed(drawn)]
    assert all(torch.equal(first, second) for first, second in zip(forwards, reversed(backwards), strict=True))
    assert forwards[0].shape == (3, 48, 48)
    assert forwards[0].dtype == torch.uint8
    another_epoch = data[drawn[0]._replace(epoch=1)][0]
    assert not torch.equal(forwards[0], another_epoch)
    trainers = [trainer_for(photos, workers=workers) for workers in (0, 2)]
    for trainer in trainers:
        list(islice(trainer.steps(), 3))
    states = [trainer.model.state_dict() for trainer in trainers]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_large_photos_are_shrunk_once_and_broken_ones_are_reported(tmp_path: Path) -> None:
    colour_folders(tmp_path, COLOURS, 2)
    Image.open(EXAMPLES / "bison.jpg").save(tmp_path / "sky" / "large.jpg")
    (tmp_path / "sky" / "broken.jpg").write_bytes(b"no photo")
    readable = readable_photos(labelled_photos(tmp_path), 32)
    assert [Path(name).name for name in readable.skipped] == ["broken.jpg"]
    assert [Path(readable.photos.name(index)).name for index in range(5)] == [
        "000.png",
        "001.png",
        "000.png",
        "001.png",
        "large.jpg",
    ]
    assert min(readable.photos.photo(4).size) in (40, 41)
    assert readable.short_side == 40


def test_a_share_of_each_class_is_held_out() -> None:
    targets = [0] * 30 + [1] * 10 + [2] * 2
    photos = LabelledPhotos(("a", "b", "c"), [b""] * 42, targets)
    train, val = split_photos(photos, 0.2, seed=1, maximum=4)
    assert sorted(train + val) == list(range(42))
    assert np.bincount([targets[index] for index in val]).tolist() == [4, 2, 1]
    assert (train, val) == split_photos(photos, 0.2, seed=1, maximum=4)
    assert val != split_photos(photos, 0.2, seed=2, maximum=4)[1]


def test_a_folder_without_parts_is_split_and_one_with_parts_is_not(tmp_path: Path, meadow: Path) -> None:
    photos, val = training_photos(meadow, 0.25)
    assert (len(photos), len(val)) == (30, 10)
    assert not {photos.name(i) for i in range(30)} & {val.name(i) for i in range(10)}
    colour_folders(tmp_path / "train", COLOURS, 3)
    colour_folders(tmp_path / "val", COLOURS, 2)
    photos, val = training_photos(tmp_path, 0.25)
    assert (len(photos), len(val), photos.classes) == (6, 4, ("grass", "sky"))


def test_selected_classes_keep_the_requested_order(tmp_path: Path) -> None:
    colour_folders(tmp_path, {**COLOURS, "sand, a beach": (230, 210, 150)}, 4)
    photos, val = training_photos(tmp_path, 0.25, ["Sky", "sand"])
    assert photos.classes == val.classes == ("sky", "sand, a beach")
    assert [Path(photos.name(i)).parent.name for i, target in enumerate(photos.targets) if target == 0] == ["sky"] * 3
    with pytest.raises(DataError, match="no class 'sea'; it has grass"):
        training_photos(tmp_path, 0.25, ["sky", "sea"])


def _val_lacks(root: Path) -> Path:
    colour_folders(root / "train", COLOURS, 2)
    colour_folders(root / "val", {"sky": COLOURS["sky"]}, 2)
    (root / "val" / "mud").mkdir()
    Image.new("RGB", (40, 40)).save(root / "val" / "mud" / "0.png")
    return root


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_val_lacks, "'grass' has photos in only one"),
        (lambda root: colour_folders(root, {"Sky": (0, 0, 0), "sky": (1, 1, 1)}, 3), "Two classes are called 'sky'"),
        (lambda root: colour_folders(root, COLOURS, 1), "has 1 photo"),
        (lambda root: colour_folders(root, {"sky": (0, 0, 0)}, 3), "at least two classes"),
    ],
)
def test_data_unsuitable_for_training_is_rejected(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(DataError) as error:
        training_photos(make(tmp_path), 0.2)
    assert message in str(error.value)


def test_a_class_without_readable_photos_is_rejected(tmp_path: Path) -> None:
    colour_folders(tmp_path, COLOURS, 2)
    for file in (tmp_path / "sky").iterdir():
        file.write_bytes(b"no photo")
    with pytest.raises(DataError, match="'sky' no photo can be read"):
        readable_photos(labelled_photos(tmp_path), 32)


# ---------------------------------------------------------------- the initial network


def test_the_classifier_is_kept_for_the_same_classes_and_replaced_for_others() -> None:
    pretrained = load("tiny-imagenet")
    recipe = replace(SHORT_RECIPE, start="tiny-imagenet")
    for labels, same in ((pretrained.labels, True), (("cat", "dog"), False)):
        model, _ = initial_model(recipe, labels, 64)
        state, before = model.state_dict(), pretrained.model.state_dict()
        shared = [name for name in state if not name.startswith("head.classifier")]
        assert all(torch.equal(state[name], before[name]) for name in shared)
        assert (state["head.classifier.weight"].shape[0] == 200) is same
        if same:
            assert torch.equal(state["head.classifier.weight"], before["head.classifier.weight"])


def test_small_photos_are_not_cropped_and_large_ones_are() -> None:
    recipe = replace(SHORT_RECIPE, sizes=((112, 1.0),))
    small, large = (initial_model(recipe, ("a", "b"), side)[1] for side in (64, 500))
    assert (small.resize, small.crop, small.size) == (112, 112, 112)
    assert (large.resize, large.crop, large.size) == (128, 112, 112)


# ---------------------------------------------------------------- steps


def test_auxiliary_losses_count_three_tenths_each() -> None:
    torch.manual_seed(0)
    model = randomise(InceptionV1(classes=3, aux_classifiers=True, classifier_activation=None)).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    x, y = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 0])
    trace = model.trace(x)
    expected = sum(
        weight * F.cross_entropy(logits, y)
        for weight, logits in ((1, trace.logits), (0.3, trace.aux["aux1"]), (0.3, trace.aux["aux2"]))
    )
    assert LossModule(model, 0.0, None)(x, y)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_rare_classes_weigh_more_when_balanced(tmp_path: Path) -> None:
    colour_folders(tmp_path, COLOURS, 9)
    for file in sorted((tmp_path / "sky").iterdir())[3:]:
        file.unlink()
    photos = readable_photos(labelled_photos(tmp_path), 32).photos
    trainer = trainer_for(photos, replace(SHORT_RECIPE, balance=True))
    # 12 photos, 2 classes: 12 / (2 * 9) and 12 / (2 * 3).
    assert trainer.loss_module.class_weights.tolist() == pytest.approx([2 / 3, 2])


def test_averaged_weights_follow_the_decay_formula(photos: LabelledPhotos) -> None:
    trainer = trainer_for(photos, replace(SHORT_RECIPE, average=0.5))
    name = "head.classifier.weight"
    expected = None
    for count, _ in enumerate(islice(trainer.steps(), 4)):
        current = trainer.model.state_dict()[name].clone()
        decay = min(0.5, (1 + count) / (10 + count))
        expected = current if expected is None else decay * expected + (1 - decay) * current
    assert torch.allclose(trainer.averaged.module.state_dict()[name], expected, atol=1e-6)


@pytest.mark.parametrize("variant", ["batchnorm", "torchvision", "googlenet"])
def test_a_frozen_stem_is_unchanged(photos: LabelledPhotos, variant: str) -> None:
    trainer = trainer_for(photos, replace(SHORT_RECIPE, variant=variant, freeze_stem=True))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    list(islice(trainer.steps(), 2))
    after = trainer.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("stem."))
    assert not torch.equal(after["inception_3a.1x1.conv.weight"], before["inception_3a.1x1.conv.weight"])


@pytest.mark.parametrize("mix", ["mixup", "cutmix", "both"])
def test_mixed_photos_change_the_loss(photos: LabelledPhotos, mix: str) -> None:
    trainer = trainer_for(photos, replace(SHORT_RECIPE, mix=mix))
    steps = list(islice(trainer.steps(), 2))
    assert all(np.isfinite(step.loss) for step in steps)
    plain = next(trainer_for(photos).steps())
    assert steps[0].loss != plain.loss


def test_a_cached_photo_is_decoded_once(photos: LabelledPhotos, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = LabelledPhotos.photo

    def record_photo(self: LabelledPhotos, index: int) -> Image.Image:
        decoded.append(index)
        return decode(self, index)

    monkeypatch.setattr(LabelledPhotos, "photo", record_photo)
    size = 3 * photos.photo(0).width * photos.photo(0).height
    uncached, large_cache, small_cache = (
        AugmentedPhotos(photos, SHORT_RECIPE, cache_size) for cache_size in (0, 10 * size, 2 * size)
    )
    draws = [Sample(index, epoch, 32) for epoch in range(3) for index in range(4)]
    decoded.clear()
    expected = [uncached[draw][0] for draw in draws]
    assert len(decoded) == 12
    for data, times in ((large_cache, 4), (small_cache, 2 + 3 * 2)):
        decoded.clear()
        assert all(torch.equal(data[draw][0], photo) for draw, photo in zip(draws, expected, strict=True))
        assert len(decoded) == times


def test_low_precision_gives_nearly_the_same_gradient(photos: LabelledPhotos) -> None:
    recipe = replace(SHORT_RECIPE, start="tiny-imagenet", sizes=((64, 1.0),))
    drawn = [
        AugmentedPhotos(photos, recipe)[draw] for draw in next(iter(BatchSampler(len(photos), recipe, lambda step: 64)))
    ]
    gradients = []
    for low in (False, True):
        trainer = trainer_for(photos, recipe)
        trainer.low_precision = low
        trainer.set_train_mode = lambda trainer=trainer: trainer.model.eval()
        trainer.backward(torch.stack([photo for photo, _ in drawn]), torch.tensor([target for _, target in drawn]))
        gradients.append(trainer.model.inception_4c["3x3"].conv.weight.grad.flatten())
    assert not torch.equal(*gradients)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


# Run by torchrun in two processes, then in one. BatchNorm uses its running statistics and dropout is off, so
# that both compute the same function; each saves the gradient that its optimizer would see.
GRADIENT_SCRIPT = """
import sys, torch
from pathlib import Path
from dataclasses import replace
from inception.training.datasets import labelled_photos
from inception.training.distributed import process_group
from inception.training.initial_model import initial_model
from inception.training.loader import AugmentedPhotos, BatchSampler, readable_photos
from inception.training.recipe import Recipe
from inception.training.trainer import Trainer

photos = readable_photos(labelled_photos(Path(sys.argv[1])), 32).photos
recipe = Recipe(start="scratch", sizes=((32, 1.0),), batch=8, dropout=0.0, accumulate=int(sys.argv[3]))
with process_group(torch.device("cpu")) as world:
    model, preprocessing = initial_model(recipe, photos.classes, 40)
    trainer = Trainer(recipe, model, preprocessing, photos, world=world)
    trainer.low_precision = False
    trainer.set_train_mode = lambda: model.eval()
    batch = next(iter(trainer.batches))
    samples = [AugmentedPhotos(photos, recipe)[draw] for draw in batch]
    trainer.backward(torch.stack([photo for photo, _ in samples]), torch.tensor([target for _, target in samples]))
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    torch.save(gradients, f"{sys.argv[2]}-{world.rank}-of-{world.size}.pt")
"""


def test_two_processes_have_the_gradient_of_one_that_accumulates_their_halves(tmp_path: Path, meadow: Path) -> None:
    script = tmp_path / "together.py"
    script.write_text(GRADIENT_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [str(script), str(meadow), str(tmp_path / "gradient")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments, "1"]
    subprocess.run(torchrun, env=environment, check=True, capture_output=True, timeout=200)
    subprocess.run([sys.executable, *arguments, "2"], env=environment, check=True, capture_output=True, timeout=200)
    single, first, second = (torch.load(tmp_path / f"gradient-{name}.pt") for name in ("0-of-1", "0-of-2", "1-of-2"))
    assert max(float(gradient.abs().max()) for gradient in single.values()) > 1e-3
    for name, gradient in single.items():
        assert torch.equal(first[name], second[name]), name
        assert torch.allclose(first[name], gradient, rtol=1e-4, atol=1e-6), name
