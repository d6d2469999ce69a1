"""Training: its parts against arithmetic by hand, and whole runs that are killed, resumed and shared out."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from inception import load
from inception.cli.main import load_command
from inception.cli.train import recipe_of
from inception.errors import ChoiceError
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.prediction import predict
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.training import plots as figures
from inception.training.calibration import best_temperature, branch_means, half_precision
from inception.training.datasets import DataError, LabelledPhotos, labelled_photos
from inception.training.evaluation import evaluate
from inception.training.initial_model import initial_model
from inception.training.loader import AugmentedPhotos, BatchSampler, Sample, readable_photos
from inception.training.log import LogRow, write_log
from inception.training.loop import interrupted_recipe
from inception.training.recipe import Recipe, RecipeError
from inception.training.split import split_photos, training_photos
from inception.training.trainer import CheckpointError, LossModule, Trainer
from inception.web.stage.network import network
from support.command import inception
from support.networks import lively
from support.paths import EXAMPLES, ROOT
from support.training import COLOURS, SMALL, painted


@pytest.fixture(scope="module")
def meadow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted(tmp_path_factory.mktemp("data") / "meadow", COLOURS, 20)


@pytest.fixture
def photos(meadow: Path) -> LabelledPhotos:
    return readable_photos(labelled_photos(meadow), 32).photos


def trainer_for(photos: LabelledPhotos, recipe: Recipe = SMALL, **more) -> Trainer:
    model, how = initial_model(recipe, photos.classes, 40)
    return Trainer(recipe, model, how, photos, **more)


# ---------------------------------------------------------------- the recipe


def test_the_rate_rises_in_a_line_and_falls_along_a_half_cosine() -> None:
    recipe = replace(SMALL, rate=0.4, warm_up=0.2)
    told = [recipe.rate_at(progress) for progress in (0, 0.1, 0.2, 0.6, 1.0)]
    assert told == pytest.approx([0, 0.2, 0.4, 0.2, 0])


def test_photos_grow_as_the_training_goes_on() -> None:
    recipe = replace(SMALL, sizes=((32, 2), (48, 1), (64, 1)))
    assert [recipe.size_at(progress) for progress in (0, 0.49, 0.51, 0.74, 0.76, 1.0)] == [32, 32, 48, 48, 64, 64]
    assert recipe.size == 64


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 0.0}, "rate is 0.0; it must be more than 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"sizes": ((16, 1.0),)}, "must be at least 32"),
        ({"sizes": ()}, "at least one size"),
        ({"variant": "resnet"}, "batchnorm"),
        ({"mix": "salad"}, "cutmix"),
        ({"held_out": 1.0}, "held_out"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_in_a_sentence(changes: dict, said: str) -> None:
    with pytest.raises((RecipeError, ChoiceError), match=said):
        replace(SMALL, **changes)


def test_a_recipe_survives_json_and_the_command_line() -> None:
    recipe = Recipe(
        start="scratch", sizes=((64, 2.0), (96, 1.0)), minutes=7.5, flip=False, aux=True, mix="both", colour=0.2, seed=3
    )
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe_from(*recipe.as_options()) == recipe
    assert recipe_from() == Recipe()


def recipe_from(*words: str) -> Recipe:
    """The recipe that these options of the command describe."""
    with load_command("train").make_context("train", ["--data", "d", "--out", "o", *words]) as context:
        return recipe_of(context.params)


def test_the_variant_and_the_starting_weights_follow_from_each_other(tmp_path: Path) -> None:
    assert recipe_from("--variant", "googlenet").start == "scratch"
    model = InceptionV1(variant="googlenet", classes=3)
    torch.save(model.state_dict(), tmp_path / "own.pth")
    assert recipe_from("--from", str(tmp_path / "own.pth")).variant == "googlenet"
    with pytest.raises(RecipeError, match="of the variant 'batchnorm', not 'googlenet'"):
        initial_model(recipe_from("--variant", "googlenet", "--from", "tiny-imagenet"), ("a", "b"), 64)


# ---------------------------------------------------------------- photos


def test_every_epoch_draws_each_photo_once_in_another_order() -> None:
    recipe = replace(SMALL, batch=5)
    drawn = list(islice(BatchSampler(20, recipe, lambda step: 32), 8))
    epochs = [[draw.photo for batch in drawn[at : at + 4] for draw in batch] for at in (0, 4)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20))] * 2
    assert epochs[0] != epochs[1]
    assert {draw.epoch for batch in drawn[4:] for draw in batch} == {1}


def test_batches_are_the_same_wherever_they_start_and_shared_out_without_overlap() -> None:
    recipe = replace(SMALL, batch=6)
    whole = list(islice(BatchSampler(20, recipe, lambda step: 32 + step), 7))
    assert list(islice(BatchSampler(20, recipe, lambda step: 32 + step, step=4), 3)) == whole[4:]
    shares = [list(islice(BatchSampler(20, recipe, lambda step: 32 + step, rank=rank, world=2), 7)) for rank in (0, 1)]
    assert [sorted(one + other) for one, other in zip(*shares, strict=True)] == [sorted(batch) for batch in whole]


def test_a_photo_is_cut_and_turned_the_same_in_whichever_process_and_order(photos: LabelledPhotos) -> None:
    data = AugmentedPhotos(photos, replace(SMALL, colour=0.3))
    drawn = next(iter(BatchSampler(len(photos), SMALL, lambda step: 48)))
    forwards, backwards = [data[draw][0] for draw in drawn], [data[draw][0] for draw in reversed(drawn)]
    assert all(torch.equal(one, other) for one, other in zip(forwards, reversed(backwards), strict=True))
    assert forwards[0].shape == (3, 48, 48)
    assert forwards[0].dtype == torch.uint8
    another_epoch = data[drawn[0]._replace(epoch=1)][0]
    assert not torch.equal(forwards[0], another_epoch)
    trainers = [trainer_for(photos, workers=workers) for workers in (0, 2)]
    for trainer in trainers:
        list(islice(trainer.steps(), 3))
    states = [trainer.model.state_dict() for trainer in trainers]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_large_photos_are_shrunk_once_and_broken_ones_told(tmp_path: Path) -> None:
    painted(tmp_path, COLOURS, 2)
    Image.open(EXAMPLES / "bison.jpg").save(tmp_path / "sky" / "large.jpg")
    (tmp_path / "sky" / "broken.jpg").write_bytes(b"no photo")
    told = readable_photos(labelled_photos(tmp_path), 32)
    assert [Path(name).name for name in told.skipped] == ["broken.jpg"]
    assert [Path(told.photos.name(index)).name for index in range(5)] == [
        "000.png",
        "001.png",
        "000.png",
        "001.png",
        "large.jpg",
    ]
    assert min(told.photos.photo(4).size) in (40, 41)
    assert told.short_side == 40


def test_a_share_of_each_class_is_held_out() -> None:
    targets = [0] * 30 + [1] * 10 + [2] * 2
    photos = LabelledPhotos(("a", "b", "c"), [b""] * 42, targets)
    learned, held = split_photos(photos, 0.2, seed=1, maximum=4)
    assert sorted(learned + held) == list(range(42))
    assert np.bincount([targets[index] for index in held]).tolist() == [4, 2, 1]
    assert (learned, held) == split_photos(photos, 0.2, seed=1, maximum=4)
    assert held != split_photos(photos, 0.2, seed=2, maximum=4)[1]


def test_a_folder_without_parts_is_split_and_one_with_parts_is_not(tmp_path: Path, meadow: Path) -> None:
    photos, val = training_photos(meadow, 0.25)
    assert (len(photos), len(val)) == (30, 10)
    assert not {photos.name(i) for i in range(30)} & {val.name(i) for i in range(10)}
    painted(tmp_path / "train", COLOURS, 3)
    painted(tmp_path / "val", COLOURS, 2)
    photos, val = training_photos(tmp_path, 0.25)
    assert (len(photos), len(val), photos.classes) == (6, 4, ("grass", "sky"))


def test_some_classes_only_in_the_order_asked_for(tmp_path: Path) -> None:
    painted(tmp_path, {**COLOURS, "sand, a beach": (230, 210, 150)}, 4)
    photos, val = training_photos(tmp_path, 0.25, ["Sky", "sand"])
    assert photos.classes == val.classes == ("sky", "sand, a beach")
    assert [Path(photos.name(i)).parent.name for i, target in enumerate(photos.targets) if target == 0] == ["sky"] * 3
    with pytest.raises(DataError, match="no class 'sea'; it has grass"):
        training_photos(tmp_path, 0.25, ["sky", "sea"])


def _val_lacks(root: Path) -> Path:
    painted(root / "train", COLOURS, 2)
    painted(root / "val", {"sky": COLOURS["sky"]}, 2)
    (root / "val" / "mud").mkdir()
    Image.new("RGB", (40, 40)).save(root / "val" / "mud" / "0.png")
    return root


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_val_lacks, "'grass' has photos in only one"),
        (lambda root: painted(root, {"Sky": (0, 0, 0), "sky": (1, 1, 1)}, 3), "Two classes are called 'sky'"),
        (lambda root: painted(root, COLOURS, 1), "has 1 photo"),
        (lambda root: painted(root, {"sky": (0, 0, 0)}, 3), "at least two classes"),
    ],
)
def test_data_that_nothing_can_be_learned_from_is_told_before_training(tmp_path: Path, make, said: str) -> None:
    with pytest.raises(DataError) as refused:
        training_photos(make(tmp_path), 0.2)
    assert said in str(refused.value)


def test_a_class_of_broken_photos_is_told_before_training(tmp_path: Path) -> None:
    painted(tmp_path, COLOURS, 2)
    for file in (tmp_path / "sky").iterdir():
        file.write_bytes(b"no photo")
    with pytest.raises(DataError, match="'sky' no photo can be read"):
        readable_photos(labelled_photos(tmp_path), 32)


# ---------------------------------------------------------------- the network before the first step


def test_a_new_classifier_for_other_classes_and_the_old_one_for_the_same() -> None:
    started = load("tiny-imagenet")
    recipe = replace(SMALL, start="tiny-imagenet")
    for labels, same in ((started.labels, True), (("cat", "dog"), False)):
        model, _ = initial_model(recipe, labels, 64)
        state, before = model.state_dict(), started.model.state_dict()
        shared = [name for name in state if not name.startswith("head.classifier")]
        assert all(torch.equal(state[name], before[name]) for name in shared)
        assert (state["head.classifier.weight"].shape[0] == 200) is same
        if same:
            assert torch.equal(state["head.classifier.weight"], before["head.classifier.weight"])


def test_small_photos_are_used_whole_and_large_ones_cut_as_usual() -> None:
    recipe = replace(SMALL, sizes=((112, 1.0),))
    small, large = (initial_model(recipe, ("a", "b"), side)[1] for side in (64, 500))
    assert (small.resize, small.crop, small.size) == (112, 112, 112)
    assert (large.resize, large.crop, large.size) == (128, 112, 112)


# ---------------------------------------------------------------- steps


def test_auxiliary_losses_count_three_tenths_each() -> None:
    torch.manual_seed(0)
    model = lively(InceptionV1(classes=3, aux_classifiers=True, classifier_activation=None)).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    x, y = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 0])
    trace = model.trace(x)
    by_hand = sum(
        weight * F.cross_entropy(logits, y)
        for weight, logits in ((1, trace.logits), (0.3, trace.aux["aux1"]), (0.3, trace.aux["aux2"]))
    )
    assert LossModule(model, 0.0, None)(x, y)[0].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_rare_classes_weigh_more_when_balanced(tmp_path: Path) -> None:
    painted(tmp_path, COLOURS, 9)
    for file in sorted((tmp_path / "sky").iterdir())[3:]:
        file.unlink()
    photos = readable_photos(labelled_photos(tmp_path), 32).photos
    trainer = trainer_for(photos, replace(SMALL, balance=True))
    # 12 photos, 2 classes: 12 / (2 * 9) and 12 / (2 * 3).
    assert trainer.loss_module.class_weights.tolist() == pytest.approx([2 / 3, 2])


def test_averaged_weights_follow_by_the_rule(photos: LabelledPhotos) -> None:
    trainer = trainer_for(photos, replace(SMALL, average=0.5))
    name = "head.classifier.weight"
    expected = None
    for count, _ in enumerate(islice(trainer.steps(), 4)):
        now = trainer.model.state_dict()[name].clone()
        keep = min(0.5, (1 + count) / (10 + count))
        expected = now if expected is None else keep * expected + (1 - keep) * now
    assert torch.allclose(trainer.averaged.module.state_dict()[name], expected, atol=1e-6)


@pytest.mark.parametrize("variant", ["batchnorm", "torchvision", "googlenet"])
def test_a_frozen_stem_stays_as_it_was(photos: LabelledPhotos, variant: str) -> None:
    trainer = trainer_for(photos, replace(SMALL, variant=variant, freeze_stem=True))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    list(islice(trainer.steps(), 2))
    after = trainer.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("stem."))
    assert not torch.equal(after["inception_3a.1x1.conv.weight"], before["inception_3a.1x1.conv.weight"])


@pytest.mark.parametrize("mix", ["mixup", "cutmix", "both"])
def test_mixed_photos_are_learned_from(photos: LabelledPhotos, mix: str) -> None:
    trainer = trainer_for(photos, replace(SMALL, mix=mix))
    told = list(islice(trainer.steps(), 2))
    assert all(np.isfinite(step.loss) for step in told)
    plain = next(trainer_for(photos).steps())
    assert told[0].loss != plain.loss


def test_a_photo_is_decoded_once_where_there_is_room_for_it(
    photos: LabelledPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = LabelledPhotos.photo

    def counted(self: LabelledPhotos, index: int) -> Image.Image:
        decoded.append(index)
        return decode(self, index)

    monkeypatch.setattr(LabelledPhotos, "photo", counted)
    size = 3 * photos.photo(0).width * photos.photo(0).height
    plain, roomy, narrow = (AugmentedPhotos(photos, SMALL, room) for room in (0, 10 * size, 2 * size))
    draws = [Sample(index, epoch, 32) for epoch in range(3) for index in range(4)]
    decoded.clear()
    expected = [plain[draw][0] for draw in draws]
    assert len(decoded) == 12
    for data, times in ((roomy, 4), (narrow, 2 + 3 * 2)):
        decoded.clear()
        assert all(torch.equal(data[draw][0], photo) for draw, photo in zip(draws, expected, strict=True))
        assert len(decoded) == times


def test_low_precision_gives_nearly_the_same_gradient(photos: LabelledPhotos) -> None:
    recipe = replace(SMALL, start="tiny-imagenet", sizes=((64, 1.0),))
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


# Run by torchrun, and once more alone. BatchNorm uses its running statistics and dropout is off, so
# that both compute the same function; each saves the gradient that its optimizer would see.
TOGETHER = """
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
    model, how = initial_model(recipe, photos.classes, 40)
    trainer = Trainer(recipe, model, how, photos, world=world)
    trainer.low_precision = False
    trainer.set_train_mode = lambda: model.eval()
    batch = next(iter(trainer.batches))
    made = [AugmentedPhotos(photos, recipe)[draw] for draw in batch]
    trainer.backward(torch.stack([photo for photo, _ in made]), torch.tensor([target for _, target in made]))
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    torch.save(gradients, f"{sys.argv[2]}-{world.rank}-of-{world.size}.pt")
"""


def test_two_processes_have_the_gradient_of_one_that_accumulates_their_halves(tmp_path: Path, meadow: Path) -> None:
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [str(script), str(meadow), str(tmp_path / "gradient")]
    both = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments, "1"]
    subprocess.run(both, env=environment, check=True, capture_output=True, timeout=200)
    subprocess.run([sys.executable, *arguments, "2"], env=environment, check=True, capture_output=True, timeout=200)
    one, first, second = (torch.load(tmp_path / f"gradient-{name}.pt") for name in ("0-of-1", "0-of-2", "1-of-2"))
    assert max(float(gradient.abs().max()) for gradient in one.values()) > 1e-3
    for name, gradient in one.items():
        assert torch.equal(first[name], second[name]), name
        assert torch.allclose(first[name], gradient, rtol=1e-4, atol=1e-6), name


def test_two_processes_train_and_one_of_them_writes(tmp_path: Path, meadow: Path) -> None:
    words = ["-m", "inception", "train", "--data", str(meadow), "--out", str(tmp_path / "out"), *SMALL.as_options()]
    both = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    run = subprocess.run(both, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("validation photos") == 1
    assert load(tmp_path / "out" / "model.safetensors").labels == ("grass", "sky")
    refused = subprocess.run([*both, "--minutes", "1"], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert "please give --epochs" in refused.stderr


# ---------------------------------------------------------------- what it leaves


def test_the_temperature_undoes_what_was_too_sure() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(20_000, 5, generator=generator) * 2
    targets = torch.multinomial(honest.softmax(dim=1), 1, generator=generator).squeeze(1)
    assert best_temperature(honest, targets) == pytest.approx(1, abs=0.05)
    assert best_temperature(honest * 2.5, targets) == pytest.approx(2.5, abs=0.1)
    assert best_temperature(honest[:50] * 2.5, targets[:50]) == 1.0


def test_branch_means_are_those_of_looking_at_each_photo(embedded) -> None:
    files = sorted(EXAMPLES.glob("*.jpg"))[:3]
    photos = LabelledPhotos(("a", "b"), files, [0, 1, 0])
    seen = [predict(embedded, photos.photo(index)) for index in range(3)]
    for most, looked_at in ((5000, (0, 1, 2)), (2, (0, 2))):
        means = branch_means(embedded, photos, batch=2, maximum=most)
        for block in BLOCKS:
            by_hand = np.mean([seen[index].block(block).mean(axis=(1, 2)) for index in looked_at], axis=0)
            assert np.allclose(means[block].numpy(), by_hand, atol=1e-4)


def test_only_matrices_are_halved_and_side_classifiers_left_out() -> None:
    state = InceptionV1(classes=2, aux_classifiers=True).state_dict()
    kept = half_precision(state)
    assert not [name for name in kept if name.startswith("aux.")]
    assert kept["head.classifier.weight"].dtype == torch.float16
    assert kept["inception_3a.1x1.bn.running_var"].dtype == torch.float32


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, meadow: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("trained") / "out"
    broken = meadow.parent / "with-broken"
    painted(broken, COLOURS, 20)
    (broken / "sky" / "broken.jpg").write_bytes(b"no photo")
    recipe = replace(SMALL, epochs=20, sizes=((32, 1.0), (48, 1.0)), rate=0.05)
    return out, inception("train", "--data", broken, "--out", out, *recipe.as_options())


def test_a_training_learns_and_says_what_it_left(trained) -> None:
    out, run = trained
    assert run.returncode == 0, run.stderr
    assert "broken.jpg" in run.stderr
    pretrained = load(out / "model.safetensors")
    assert pretrained.labels == ("grass", "sky")
    assert pretrained.input_size == 48
    assert pretrained.provenance.training_data.startswith("with-broken: ")
    assert pretrained.training["recipe"]["epochs"] == 20
    assert "--epochs 20 --sizes 32:1,48:1" in pretrained.training["command"]
    assert {block: len(mean) for block, mean in pretrained.means.items()} == {
        block: sum(pretrained.model.block(block).branch_channels.values()) for block in BLOCKS
    }
    figures_told = pretrained.training["val"]
    assert figures_told["top1"] == 1.0
    assert "100.0 % top-1 on 8 validation photos" in run.stdout
    # The same photos again, by the way of everybody else.
    _, val = training_photos(_data_of(trained), 0.2)
    told = evaluate(pretrained, val)
    assert (told.images, told.top1, told.ece) == (
        figures_told["images"],
        figures_told["top1"],
        pytest.approx(figures_told["ece"], abs=1e-6),
    )


def _data_of(trained) -> Path:
    words = trained[1].args
    return Path(words[words.index("--data") + 1])


def test_the_log_tells_each_epoch_and_the_pictures_open(trained) -> None:
    out, _ = trained
    with (out / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 21)]
    assert [row["size"] for row in rows] == ["32"] * 10 + ["48"] * 10
    assert float(rows[-1]["held_out_loss"]) < float(rows[0]["held_out_loss"])
    for name in ("curves", "confusion", "reliability", "mistakes"):
        with Image.open(out / f"{name}.png") as picture:
            assert min(picture.size) > 100


def test_the_stage_offers_the_trained_network_with_its_classes(trained) -> None:
    out, _ = trained
    service = InferenceService((str(out / "model.safetensors"), "tiny-imagenet"), choose_device("cpu"))
    told = network(service, "model.safetensors")
    assert (told["labels"], told["chinese"]) == (["grass", "sky"], {})
    assert told["about"]["accuracy"]


def read_log(path: Path) -> list[LogRow]:
    types = get_type_hints(LogRow)
    with path.open(newline="", encoding="utf-8") as file:
        return [LogRow(**{name: types[name](value) for name, value in row.items()}) for row in csv.DictReader(file)]


def test_the_log_holds_every_number_exactly(tmp_path: Path) -> None:
    rows = [
        LogRow(1, 10, 0.5, 32, 0.05, 100.0, 1.5, 0.25, 1.25, 0.5, 0.75),
        LogRow(2, 20, 1.0, 64, 0.0, 90.0, 1, 0, 1, 0, 1),
    ]
    write_log(tmp_path / "log.csv", rows)
    assert read_log(tmp_path / "log.csv") == rows


# ---------------------------------------------------------------- interruptions


def _training(data: Path, out: Path, *more: str) -> list[str]:
    words = ["-m", "inception", "train", "--data", str(data), "--out", str(out), "--workers", "1", *more]
    return [sys.executable, *words]


RECIPE = replace(SMALL, epochs=5, mix="mixup", colour=0.1).as_options()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, meadow: Path) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(_training(meadow, out, *RECIPE), cwd=ROOT, check=True, capture_output=True, timeout=200)
    return out


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_an_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, meadow: Path, uninterrupted: Path, how: signal.Signals
) -> None:
    out = tmp_path / "out"
    started = subprocess.Popen(
        _training(meadow, out, *RECIPE, "--save-every", "0"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (out / "log.csv").exists():
        assert started.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started.send_signal(how)
    _, said = started.communicate(timeout=60)
    assert not (out / "model.safetensors").exists()
    assert started.returncode == (-9 if how == signal.SIGKILL else 130), said
    again = subprocess.run(_training(meadow, out), cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    resumed = subprocess.run(
        _training(meadow, out, *RECIPE, "--resume"), cwd=ROOT, capture_output=True, text=True, timeout=200, check=True
    )
    assert "resuming after step" in resumed.stderr
    whole, parts = (load_file(folder / "model.safetensors") for folder in (uninterrupted, out))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    rows = [read_log(folder / "log.csv") for folder in (uninterrupted, out)]
    assert [row.held_out_loss for row in rows[0]] == [row.held_out_loss for row in rows[1]]


def test_what_cannot_be_resumed_is_told_in_a_sentence(tmp_path: Path, meadow: Path, uninterrupted: Path) -> None:
    nothing = inception("train", "--data", meadow, "--out", tmp_path / "empty", "--resume")
    assert nothing.returncode == 2
    assert "There is no interrupted training" in nothing.stderr
    recipe = inception("train", "--data", meadow, "--out", uninterrupted, "--resume", "--rate", "0.1")
    assert recipe.returncode == 2
    assert "has rate 0.02, not 0.1; please leave that option out" in recipe.stderr
    others = painted(tmp_path / "others", {"sea": (0, 0, 200), "sand": (230, 210, 150)}, 5)
    other = inception("train", "--data", others, "--out", uninterrupted, "--resume")
    assert other.returncode == 2
    assert "The interrupted training had 28 photos of 2 classes, these are" in other.stderr
    (tmp_path / "checkpoint.pt").write_bytes(b"half")
    damaged = inception("train", "--data", meadow, "--out", tmp_path, "--resume")
    assert damaged.returncode == 2
    assert "damaged" in damaged.stderr


def test_a_foreign_checkpoint_is_told_from_one_of_a_training(tmp_path: Path, uninterrupted: Path) -> None:
    own = torch.load(uninterrupted / "checkpoint.pt", weights_only=True)
    assert interrupted_recipe(uninterrupted).to_dict() == own["recipe"]
    wrong = ({}, [own], {"state_dict": {}}, own | {"recipe": {}}, own | {"recipe": {"sizes": 3}})
    for state in (*wrong, own | {"recipe": own["recipe"] | {"momentum": 0.9}}, own | {"step": "first"}):
        torch.save(state, tmp_path / "checkpoint.pt")
        with pytest.raises(CheckpointError, match="is damaged or no checkpoint of a training"):
            interrupted_recipe(tmp_path)


def test_a_training_that_is_over_can_be_made_longer(tmp_path: Path, meadow: Path, uninterrupted: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(uninterrupted, out)
    longer = inception("train", "--data", meadow, "--out", out, "--workers", "1", "--resume", "--epochs", "6")
    assert longer.returncode == 0, longer.stderr
    before, after = read_log(uninterrupted / "log.csv"), read_log(out / "log.csv")
    assert after[: len(before)] == before
    assert after[-1].epoch == before[-1].epoch + 1


# ---------------------------------------------------------------- pictures


def test_confusions_are_counted() -> None:
    right, chosen = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    assert figures.confusion_counts(right, chosen, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_pictures_are_drawn_for_two_classes_and_for_two_hundred_and_without_mistakes() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 200):
        matrix = figures.confusion_counts(rng.integers(0, count, 500), rng.integers(0, count, 500), count)
        assert figures.confusion(matrix, [f"class {i}" for i in range(count)]).mode == "RGB"
    shown = figures.reliability({"as it is": (rng.random(100), rng.random(100) < 0.5)})
    assert len(np.unique(np.asarray(shown).reshape(-1, 3), axis=0)) > 10
    assert figures.mistakes([]).width > 100
