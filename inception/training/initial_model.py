"""The network and its preprocessing before the first training step."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ..errors import quoted
from ..network.blocks import ConvUnit
from ..network.inception_v1 import InceptionV1
from ..pretrained.labels import first_name
from ..pretrained.pretrained import PretrainedModel
from ..pretrained.zoo import load
from ..vision.preprocessing import IMAGENET, Preprocessing
from .recipe import SCRATCH, Recipe, RecipeError

# Resized short side over crop (Krizhevsky et al. 2012).
RESIZE_RATIO = 256 / 224


def starting_weights(recipe: Recipe) -> PretrainedModel | None:
    """Load the weights that a recipe starts from; None from scratch.

    Raises:
        RecipeError: if they are of another variant.
        WeightsError: if they cannot be loaded.
    """
    initial = None if recipe.start == SCRATCH else load(recipe.start)
    if initial is not None and initial.model.variant.name != recipe.variant:
        raise RecipeError(
            "recipe_variant",
            "The weights {start} are of the variant {theirs}, not {wanted}; name that variant, or --from scratch.",
            start=quoted(recipe.start),
            theirs=quoted(initial.model.variant.name),
            wanted=quoted(recipe.variant),
        )
    return initial


def initial_model(
    recipe: Recipe, classes: tuple[str, ...], short_side: int, initial: PretrainedModel | None = None
) -> tuple[InceptionV1, Preprocessing]:
    """Build the network on the CPU, and its preprocessing.

    Initial weights are copied except for the classifier, which is copied only if the classes are the same.
    `short_side` is the median of the photos in pixels; small photos are not cropped. `initial` are the recipe's
    `starting_weights`, if they have been loaded already.

    Raises:
        RecipeError, WeightsError: as `starting_weights`.
    """
    initial = initial or starting_weights(recipe)
    preact, use_bias = layer_options(initial.model) if initial else (False, True)
    torch.manual_seed(recipe.seed)
    model = InceptionV1(
        variant=recipe.variant,
        classes=len(classes),
        input_shape=(3, recipe.size, recipe.size),
        classifier_activation=None,
        aux_classifiers=recipe.aux,
        preact=preact,
        use_bias=use_bias,
    )
    _set_dropout(model, recipe.dropout)
    preprocessing = IMAGENET
    if initial is not None:
        state = initial.model.state_dict()
        # By first names, because the embedded network's labels are shorter than its data's.
        if [first_name(name) for name in initial.labels] != [first_name(name) for name in classes]:
            state = {name: tensor for name, tensor in state.items() if not name.startswith("head.classifier.")}
        model.load_state_dict({**model.state_dict(), **state})
        preprocessing = initial.preprocessing
    return model, _resized(preprocessing, recipe.size, short_side)


def layer_options(model: InceptionV1) -> tuple[bool, bool]:
    """Return `preact` and `use_bias`, with which a network was built."""
    unit = model.inception_3a["1x1"]
    assert isinstance(unit, ConvUnit)
    return unit.preact, model.variant.name != "batchnorm" or "conv.bias" in unit.state_dict()


def _resized(preprocessing: Preprocessing, size: int, short_side: int) -> Preprocessing:
    """Adapt a preprocessing to input `size`: photos smaller than that are trained on whole, so none is cropped."""
    if short_side < size:
        return replace(preprocessing, resize=size, crop=size, size=size)
    return replace(preprocessing, resize=round(size * RESIZE_RATIO), crop=size, size=size)


def _set_dropout(model: InceptionV1, probability: float) -> None:
    for module in model.required_head.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
