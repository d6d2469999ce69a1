"""Plain data of a photo on the stage: numbers only, arrays packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...explain.ablation import single_ablation_logits
from ...explain.attribution import evidence, grad_cams
from ...explain.bottleneck import StrongestChannels, strongest_reduced
from ...explain.branch_fields import middle_cores
from ...explain.catalogue import EXPLANATIONS
from ...explain.channel_worth import channel_worth
from ...explain.convolution import ConvolutionTrace, trace_convolution
from ...explain.receptive_field import effective_field
from ...explain.registry import ABLATIONS, CORE_SHARE
from ...explain.shapley import subset_logits
from ...network.blocks import BLOCKS
from ...prediction import Prediction
from ...service.query import Query
from ...service.service import InferenceService
from ...vision.preprocessing import CENTRE_CROP, WHOLE_PHOTO, Crop, Preprocessing
from ..api.explanations import ServedSubject
from .packing import block_sums, pack, quantised

Off = Mapping[str, Sequence[str | int]]  # by block, branches and numbers of channels

ZERO = ABLATIONS[0]
EFFECTIVE_SIDE = 112  # cells at most of an effective field's map
MOSAIC = 24  # maps of a mosaic
KERNEL_INPUTS = 3  # input channels of a convolution that are listed one by one
MIN_WHOLE_SIDE = 1.001  # of the crop that means the whole photo, as in static/js/maps.js; rounding keeps it above 1
PLACES = 6  # decimal places of a crop's position: far less than a pixel, so that equal crops share their results


@dataclass(frozen=True)
class PhotoCrop:
    """A square of a photo: its left edge as a fraction of the width, its top of the height, its side of the shorter."""

    left: float
    top: float
    side: float

    @classmethod
    def of(cls, preprocessing: Preprocessing, width: int, height: int, crop: Crop) -> PhotoCrop:
        """Return the square that a network sees of a photo."""
        left, top, right, _ = preprocessing.crop_box(width, height, crop)
        side = (right - left) / min(width, height)
        return cls(left / width, top / height, max(side, MIN_WHOLE_SIDE) if crop.whole else side)

    def for_network(self, preprocessing: Preprocessing, width: int, height: int) -> Crop:
        """Return the crop of a network that lies nearest.

        A network takes a square of one size, so `side` only tells whether the whole photo is meant: above 1.
        """
        if self.side > 1 + 1e-6:
            return WHOLE_PHOTO
        side = min(width, height) * preprocessing.crop / preprocessing.resize
        return Crop(_position(self.left * width, width - side), _position(self.top * height, height - side))


def _position(offset: float, room: float) -> float:
    """Return an offset as a fraction of the room that there is, the middle where there is none."""
    if room <= 0:
        return CENTRE_CROP.across
    return round(min(max(offset / room, 0.0), 1.0), PLACES)


def scene(service: InferenceService, query: Query, off: Off, fill: str = ZERO) -> dict[str, Any]:
    """The answer, and the mean map of each branch of each block, with what is in `off` replaced by `fill`."""
    prediction = seen(service, query, off, fill)
    assert query.photo is not None
    width, height = query.photo.width, query.photo.height
    crop = PhotoCrop.of(service.pretrained(query.model).preprocessing, width, height, query.crop)
    return {
        "digest": query.digest,
        "model": query.model,
        "off": {block: list(members) for block, members in off.items()},
        "fill": fill,
        "photo": {"width": width, "height": height},
        "crop": [crop.left, crop.top, crop.side],
        "logits": pack(prediction.logits),
        "seconds": prediction.seconds,
        "full": service.device.fell_back_from or None,
        "maps": {
            block: {branch: _mean_map(maps) for branch, maps in prediction.branches(block).items()} for block in BLOCKS
        },
    }


def seen(service: InferenceService, query: Query, off: Off, fill: str = ZERO) -> Prediction:
    """The prediction of a photo, with the branches and channels in `off` replaced by `fill`: zero or means.

    With nothing off it has the service's precision; ablations are exact, as all explanations.
    """
    return service.ablated(query, off, fill) if off else service.prediction(query)


def _mean_map(maps: np.ndarray) -> dict[str, Any]:
    scaled = quantised(maps.mean(axis=0))
    return {"low": float(scaled.low), "high": float(scaled.high), "values": pack(scaled.values)}


def block_channels(service: InferenceService, query: Query, off: Off, block: str, fill: str = ZERO) -> dict[str, Any]:
    """Every channel of each branch of a block, each on its own scale."""
    branches = seen(service, query, off, fill).branches(block)
    return {"block": block, "branches": {branch: _channels(maps) for branch, maps in branches.items()}}


def _channels(maps: np.ndarray) -> dict[str, Any]:
    scaled = quantised(maps)
    return {
        "low": pack(scaled.low),
        "high": pack(scaled.high),
        "mean": pack(maps.mean(axis=(1, 2))),
        "values": pack(scaled.values),
    }


def votes(service: InferenceService, query: Query, block: str, fill: str = ZERO) -> dict[str, Any]:
    """Logits (16, classes) for each subset of a block's branches: bit i of the row number is branch i, on."""
    return {"block": block, "fill": fill, "subsets": pack(service.explained(query, subset_logits, block, fill))}


def worth(service: InferenceService, query: Query, classes: Sequence[int], first: str) -> dict[str, Any]:
    """Gradient times activation of each channel of a block and of all blocks behind it, for some classes.

    Without any, it is that of the most probable class.
    """
    amounts = service.explained(query, channel_worth, tuple(classes) or (None,), first)
    return {
        "worth": {
            str(index): {block: pack(values) for block, values in blocks.items()} for index, blocks in amounts.items()
        }
    }


def middle_fields(service: InferenceService, query: Query, block: str) -> dict[str, Any]:
    """The square that holds most of the effective receptive field of each branch's middle cell, in input pixels."""
    cores = service.explained(query, middle_cores, block)
    return {
        branch: {"row": core.row, "column": core.column, "share": core.share, **asdict(core.square)}
        for branch, core in cores.items()
    }


@dataclass(frozen=True)
class Cell:
    """One cell of one channel of a branch, all counted from 0."""

    block: str
    branch: str
    channel: int
    row: int
    column: int


def cell(service: InferenceService, query: Query, place: Cell) -> dict[str, Any]:
    """Explain one cell, as the API's `cell` does."""
    explanation = EXPLANATIONS["cell"]
    return explanation(ServedSubject(service, query), **vars(place)).to_dict()


def kernel(service: InferenceService, query: Query, place: Cell) -> dict[str, Any]:
    """The last convolution of a branch at one cell: the input channels with the largest sums, and the rest as one sum.

    `scale` and `shift` are BatchNorm's, and null in a network without it, or with it before the convolution.
    """
    trace = service.explained_uncached(
        query, trace_convolution, place.block, place.branch, place.channel, place.row, place.column
    )
    return kernel_data(trace)


def kernel_data(trace: ConvolutionTrace) -> dict[str, Any]:
    """`layer, kernel, inputs, others, bias, sum, scale, shift, result`; `inputs` and the rest add up to `sum`."""
    sums = (trace.patch * trace.kernel).sum(axis=(1, 2))
    largest = np.argsort(-np.abs(sums), kind="stable")[:KERNEL_INPUTS]
    return {
        "layer": trace.layer,
        "kernel": trace.kernel_side,
        "inputs": [
            {
                "channel": int(channel),
                "patch": trace.patch[channel].tolist(),
                "weights": trace.kernel[channel].tolist(),
                "sum": float(sums[channel]),
            }
            for channel in largest
        ],
        "others": float(sums.sum() - sums[largest].sum()),
        "bias": trace.bias,
        "sum": trace.sum,
        "scale": None if trace.affine is None else trace.affine.scale,
        "shift": None if trace.affine is None else trace.affine.shift,
        "result": trace.result,
    }


def class_evidence(service: InferenceService, query: Query, index: int | None) -> dict[str, Any]:
    """The logit of a class as a sum: what the biases and each branch of block 5b give to it, and where.

    `linear` says whether the layers behind that block contain no ReLU.
    """
    found = service.explained(query, evidence, index)
    return {
        "class": found.index,
        "logit": found.logit,
        "bias": found.rest,
        "branches": dict(found.amounts),
        "linear": found.linear,
        "map": pack(found.map),
        "maps": {branch: pack(values) for branch, values in found.maps.items()},
    }


def cam(service: InferenceService, query: Query, block: str, index: int | None) -> dict[str, Any]:
    """Grad-CAM of a class at a block's whole output, and the part of each branch, signed."""
    found = service.explained(query, grad_cams, block, index)
    return {
        "class": found[None].index,
        "map": pack(found[None].signed),
        "maps": {branch: pack(part.signed) for branch, part in found.items() if branch is not None},
    }


def table(service: InferenceService, query: Query, fill: str = ZERO) -> dict[str, Any]:
    """Logits (4, classes) by block, each with one of its branches replaced by `fill`."""
    logits = service.explained(query, single_ablation_logits, fill)
    return {"logits": {block: pack(rows) for block, rows in logits.items()}}


def effective(
    service: InferenceService, query: Query, block: str, branch: str, row: int, column: int
) -> dict[str, Any]:
    """Return the influence of each part of the input on one cell of a branch, and the square that holds most of it.

    `map` is the energy of `EffectiveField`, the largest value as 1; its cells are squares of `step` input pixels. It is
    zero everywhere, and the square empty, where all channels are zero at the cell.
    """
    field = service.explained(query, effective_field, block, branch, row, column)
    step = -(-max(field.energy.shape) // EFFECTIVE_SIDE)
    return {
        "share": CORE_SHARE,
        **asdict(field.core(CORE_SHARE)),
        "step": step,
        "map": pack(_coarse(field.energy, step)),
    }


def _coarse(energy: np.ndarray, step: int) -> np.ndarray:
    """Sum energy (H, W) over squares of `step` pixels, and scale the largest sum to 1."""
    sums = block_sums(energy, step)
    highest = sums.max()
    return sums / highest if highest > 0 else sums


def bottleneck(service: InferenceService, query: Query, block: str) -> dict[str, Any]:
    """A block's input channels, `before`, and what the 1x1 reductions make of them, the highest means of each first."""
    return {part: _strongest(maps) for part, maps in service.explained(query, strongest_reduced, block, MOSAIC).items()}


def _strongest(strongest: StrongestChannels) -> dict[str, Any]:
    return {"count": strongest.count, "numbers": list(strongest.numbers), **_channels(strongest.maps)}
