"""Feature visualization: an image that excites a channel, one of its cells, or a whole branch.

Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017: gradient ascent on the Fourier spectrum of an
image that is turned, scaled and shifted a little at every step, so that no pattern of single pixels survives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import whole
from ..errors import ChoiceError
from ..explain.masking import ExplanationError
from ..network.overflow import check_overflow
from ..pretrained.pretrained import PretrainedModel
from .branch_network import branch_network, redirect
from .fourier_image import FourierImage
from .unit import Unit, unit_view

MIN_SIDE, MAX_SIDE = 32, 512  # pixels
MAX_STEPS = 4096
MAX_COUNT = 16  # of different images
MAX_SEED = 2**32 - 1
REDIRECTED_STEPS = 16  # at the beginning, as in lucid
SHOWN = 8  # images that `visualize` yields at most
DIVERSITY = 0.5  # weight of the mean pairwise cosine similarity in the loss, relative to the activation
SMALL = 1e-3  # keeps the relative answer finite


@dataclass(frozen=True)
class VisualizationSettings:
    """How images are optimised.

    Attributes:
        steps: of the optimiser, Adam.
        side: of the images in pixels; `visualize` says where they have another.
        seed: of the first images and of the transformations.
        sign: +1 for images that excite the unit, -1 for images that drive it as far below zero as possible.
        count: images; several are made to differ from each other.
        rate: learning rate.
        jitter: greatest shift in each direction, as a share of the image's side.
        scale: greatest enlargement or reduction, as a share.
        rotation: greatest turn in degrees.

    Raises:
        UserError: if steps, side, seed, sign or count is not allowed.
    """

    steps: int = 128
    side: int = 128
    seed: int = 0
    sign: int = 1
    count: int = 1
    rate: float = 0.1
    jitter: float = 0.04
    scale: float = 0.05
    rotation: float = 5.0

    def __post_init__(self) -> None:
        bounds = {"steps": (1, MAX_STEPS), "side": (MIN_SIDE, MAX_SIDE), "seed": (0, MAX_SEED), "count": (1, MAX_COUNT)}
        for name, (least, most) in bounds.items():
            # 3.0 is allowed, but no count of steps.
            object.__setattr__(self, name, whole(name, getattr(self, name), least, most))
        if self.sign not in (1, -1):
            raise ChoiceError("sign", self.sign, ("1", "-1"))


@dataclass(frozen=True, eq=False)
class VisualizationStep:
    """Images after some of the steps.

    Attributes:
        step, steps: how many are done, of how many.
        activation: the unit's answer to each image, without transformations. Of a channel: its value before the last
            ReLU, of several cells the greatest (with sign -1 the least). Of a branch: the mean square of its
            positive outputs.
        image: uint8 (N, H, W, 3).
    """

    step: int
    steps: int
    activation: tuple[float, ...]
    image: np.ndarray = field(repr=False)


def visualize(
    pretrained: PretrainedModel, unit: Unit, settings: VisualizationSettings | None = None
) -> Iterator[VisualizationStep]:
    """Optimise images for a unit; yield them a few times in between, and when they are finished.

    A channel or branch that sees at most `settings.side` pixels gets an image of exactly the receptive field of one
    of its cells; otherwise all cells count, and the image has `settings.side` pixels (in 5a and 5b at least 96). For
    a cell the image is its receptive field within the network's input. The same seed gives the same images.

    Raises:
        UserError: if the network has no such unit, or the settings' sign is -1 and the unit is a branch, whose answer
            is never below zero.
        WeightsError: if activations overflow.
    """
    settings = settings or VisualizationSettings()
    unit.check(pretrained)
    if unit.channel is None and settings.sign < 0:
        raise ExplanationError(
            "explain_branch_negative",
            "No image drives the branch {unit} below zero: its answer is a mean of squares. Please choose one of its "
            "channels, for instance {example}.",
            unit=str(unit),
            example=f"{unit}:0",
        )
    channels = None if unit.channel is None else [unit.channel] * settings.count
    ascent = _Ascent(pretrained, unit, channels, settings.count, settings, diverse=settings.count > 1)
    return _growing(ascent, settings.steps)


def visualize_channels(
    pretrained: PretrainedModel,
    block: str,
    branch: str,
    channels: Sequence[int],
    settings: VisualizationSettings | None = None,
) -> VisualizationStep:
    """Optimise one image for each of several channels of a branch, in one batch.

    Raises:
        UserError, WeightsError: as `visualize`.
    """
    settings = settings or VisualizationSettings()
    for channel in channels:
        Unit(block, branch, channel).check(pretrained)
    ascent = _Ascent(pretrained, Unit(block, branch), channels, len(channels), settings, diverse=False)
    ascent.run(settings.steps)
    return ascent.shown()


def shown_after(steps: int) -> tuple[int, ...]:
    """Return after which of its steps `visualize` yields images."""
    return tuple(sorted({max(1, round(steps * part / SHOWN)) for part in range(1, SHOWN + 1)}))


def _growing(ascent: _Ascent, steps: int) -> Iterator[VisualizationStep]:
    for end in shown_after(steps):
        ascent.run(end - ascent.step)
        yield ascent.shown()


class _Ascent:
    """Gradient ascent on images of one unit, or of several channels of a branch."""

    def __init__(
        self,
        pretrained: PretrainedModel,
        unit: Unit,
        channels: Sequence[int] | None,
        count: int,
        settings: VisualizationSettings,
        *,
        diverse: bool,
    ) -> None:
        self.pretrained, self.settings, self.diverse = pretrained, settings, diverse
        self.view = unit_view(pretrained, unit, settings.side)
        self.step = 0
        self.generator = torch.Generator().manual_seed(settings.seed)
        # Tensors made in inference mode can never take part in a gradient.
        with torch.inference_mode(False):
            self.channels = None if channels is None else torch.tensor(channels, device=pretrained.device)
            self.network = branch_network(pretrained.model, unit.block, unit.branch)
            images = FourierImage(count, self.view.height, self.view.width, self.generator)
            self.images = images.to(pretrained.device)
        self.optimizer = torch.optim.Adam(self.images.parameters(), settings.rate)

    def run(self, steps: int) -> None:
        """Take some more steps."""
        with torch.inference_mode(False), torch.enable_grad():
            for _ in range(steps):
                redirect(self.network, self.step < REDIRECTED_STEPS)
                self.optimizer.zero_grad()
                self._loss().backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                self.step += 1

    def _loss(self) -> Tensor:
        maps = self._maps(transformed(self.images(), self.settings, self.generator))
        answers = self._aim(self.settings.sign * self._answers(maps))
        # Relative to its size, so that units of large and of small values weigh diversity alike.
        loss = -(answers / (answers.detach().abs() + SMALL)).sum()
        return loss + DIVERSITY * len(maps) * similarity(F.relu(maps)) if self.diverse else loss

    def _aim(self, answers: Tensor) -> Tensor:
        """Return what is raised (N,), of answers (N, h, w): their mean, and of several cells of a channel also the
        greatest of the middle ones, which makes one clear example within a pattern.
        """
        if self.channels is None or self.view.row is not None:
            return answers.mean(dim=(1, 2))
        top, left = answers.shape[1] // 4, answers.shape[2] // 4
        middle = answers[:, top : answers.shape[1] - top, left : answers.shape[2] - left]
        return answers.mean(dim=(1, 2)) + middle.amax(dim=(1, 2))

    def _maps(self, images: Tensor) -> Tensor:
        """Return the branch's maps (N, C, h, w) before the last ReLU."""
        view = self.view
        inputs = self.pretrained.preprocessing.normalise(255 * images)
        return self.network(F.pad(inputs, (view.left, 0, view.top, 0)))

    def _answers(self, maps: Tensor) -> Tensor:
        """Return what counts of each image, (N, h, w): a channel's values, or a branch's mean squares."""
        if self.channels is None:
            answers = F.relu(maps).square().mean(dim=1)
        else:
            answers = maps[torch.arange(len(maps), device=maps.device), self.channels]
        row, column = self.view.row, self.view.column
        if row is None or column is None:
            return answers
        return answers[:, row : row + 1, column : column + 1]

    @torch.no_grad()
    def shown(self) -> VisualizationStep:
        """Return the images as they are now."""
        images = self.images()
        answers = self._answers(self._maps(images))
        check_overflow(self.pretrained.name, [answers])
        if self.channels is None:
            values = answers.mean(dim=(1, 2))
        else:
            values = answers.amax(dim=(1, 2)) if self.settings.sign > 0 else answers.amin(dim=(1, 2))
        pixels = (255 * images).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return VisualizationStep(self.step, self.settings.steps, tuple(values.tolist()), pixels)


def transformed(images: Tensor, settings: VisualizationSettings, generator: torch.Generator) -> Tensor:
    """Turn, scale and shift each image (N, 3, H, W) at random; what comes in at its border is mirrored."""
    turn, scale, across, down = 2 * torch.rand(4, len(images), generator=generator) - 1
    angle, factor = torch.deg2rad(settings.rotation * turn), 1 + settings.scale * scale
    cosine, sine = factor * torch.cos(angle), factor * torch.sin(angle)
    # The grid's coordinates go from -1 to 1, so that a whole side is 2; a turn mixes lengths across and down, which
    # are in different units where the image is not square.
    across, down = 2 * settings.jitter * across, 2 * settings.jitter * down
    height, width = images.shape[2:]
    tilted = (-sine * (height / width), sine * (width / height))
    affine = torch.stack([cosine, tilted[0], across, tilted[1], cosine, down], dim=1).view(-1, 2, 3).to(images.device)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def similarity(maps: Tensor) -> Tensor:
    """Return the mean cosine similarity of the Gram matrices of images' maps (N, C, h, w), over all pairs.

    Olah et al. 2017, section "Diversity".
    """
    features = maps.flatten(2)
    grams = F.normalize((features @ features.mT).flatten(1))
    pairs = torch.triu_indices(len(maps), len(maps), offset=1, device=maps.device)
    return (grams @ grams.T)[pairs[0], pairs[1]].mean()
