"""Before and after the training: the network to begin with, and the file that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import quoted
from ..network.blocks import BLOCKS
from ..network.inception_v1 import InceptionV1
from ..pretrained.pretrained import PretrainedModel
from ..pretrained.zoo import load
from ..vision.preprocessing import IMAGENET, Preprocessing
from .datasets import LabelledPhotos
from .recipe import SCRATCH, Recipe, RecipeError

# Below this a temperature would be fitted to chance.
ENOUGH_TO_CALIBRATE = 100
ENOUGH_FOR_MEANS = 5000
# What the centre of a photo is cut from, as a share of its short side (Krizhevsky et al. 2012: 224 of 256).
MARGIN = 256 / 224


def beginning(recipe: Recipe, classes: tuple[str, ...], short_side: int) -> tuple[InceptionV1, Preprocessing]:
    """The network before its first step, on the CPU, and how it will want its photos.

    With weights to start from, all but the classifier is taken over; where the classes are the
    same, the classifier too. `short_side` is the photos' own: small ones are used whole.

    Raises:
        RecipeError: if the weights to start from are of another variant.
        WeightsError: if they cannot be had.
    """
    torch.manual_seed(recipe.seed)
    model = InceptionV1(
        variant=recipe.variant,
        classes=len(classes),
        input_shape=(3, recipe.size, recipe.size),
        classifier_activation=None,
        aux_classifiers=recipe.aux,
    )
    _set_dropout(model, recipe.dropout)
    how = IMAGENET
    if recipe.start != SCRATCH:
        started = load(recipe.start)
        if started.model.variant.name != recipe.variant:
            raise RecipeError(
                "recipe_variant",
                "The weights {start} are of the variant {theirs}, not {wanted}; name that variant, or --from scratch.",
                start=quoted(recipe.start),
                theirs=quoted(started.model.variant.name),
                wanted=quoted(recipe.variant),
            )
        known = started.model.state_dict()
        if _first_names(started.labels) != _first_names(classes):
            known = {name: tensor for name, tensor in known.items() if not name.startswith("head.classifier.")}
        model.load_state_dict({**model.state_dict(), **known})
        how = started.preprocessing
    return model, _fitted(how, recipe.size, short_side)


def _first_names(classes: tuple[str, ...]) -> list[str]:
    """ "goldfish" for "goldfish, Carassius auratus": the embedded network's names are shorter than its data's."""
    return [name.split(",")[0].strip() for name in classes]


def _fitted(how: Preprocessing, size: int, short_side: int) -> Preprocessing:
    """Small photos were learned from whole, so all are shown whole, but never blurred to that small size."""
    if short_side < size:
        return replace(how, resize=size, crop=size, size=size)
    return replace(how, resize=round(size * MARGIN), crop=size, size=size)


def _set_dropout(model: InceptionV1, share: float) -> None:
    for module in model.head.modules() if model.head else ():
        if isinstance(module, nn.Dropout):
            module.p = share


def best_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature that makes the right answers most likely (Guo et al. 2017), to a hundredth.

    `logits` is (N, classes), `targets` (N,). With fewer than a hundred photos it stays 1.
    """
    if len(targets) < ENOUGH_TO_CALIBRATE:
        return 1.0
    tried = torch.arange(0.25, 4.0, 0.01)
    losses = [nn.functional.cross_entropy(logits / temperature, targets) for temperature in tried]
    return round(float(tried[int(torch.stack(losses).argmin())]), 2)


@torch.inference_mode()
def branch_means(
    pretrained: PretrainedModel,
    photos: LabelledPhotos,
    *,
    most: int = ENOUGH_FOR_MEANS,
    batch: int = 64,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, Tensor]:
    """For each block the mean of each channel of its output (C,), over cells and photos.

    At most `most` photos are looked at, spread evenly over all.
    """
    chosen = np.unique(np.linspace(0, len(photos) - 1, min(most, len(photos))).round().astype(int)).tolist()
    sums = {block: torch.zeros(sum(pretrained.model.block(block).branch_channels.values())) for block in BLOCKS}
    for start in progress(range(0, len(chosen), batch)):
        seen = [pretrained.preprocessing.see(photos.photo(index)) for index in chosen[start : start + batch]]
        inputs = torch.cat([pretrained.preprocessing.tensor(square) for square in seen]).to(pretrained.device)
        stages = pretrained.model.trace(inputs).stages
        for block in BLOCKS:
            sums[block] += stages[f"inception_{block}"].float().mean(dim=(2, 3)).sum(dim=0).cpu()
    return {block: total / len(chosen) for block, total in sums.items()}


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights in half precision; biases and BatchNorm's few numbers, which may be large, stay as they are.

    Auxiliary classifiers only count in training and are left out.
    """
    return {
        name: tensor.half() if tensor.dim() > 1 else tensor
        for name, tensor in state.items()
        if not name.startswith("aux.")
    }
