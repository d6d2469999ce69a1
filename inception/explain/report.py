"""What the explanations tell as plain data: the same on the command line and through the API.

Each function takes results and returns what JSON can hold, always with the same keys. Everywhere `class` is the
class's number, `label` its full name, and rows, columns and channels are counted from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..network.cost import PUBLISHED_SHAPE, module_costs, network_size, parameter_counts, vgg16_size
from ..network.inception_v1 import InceptionV1
from ..prediction import Prediction
from .ablation import AblationResult, AblationTable, ClassChange
from .attribution import LAST_BLOCK, ChannelEvidence, Evidence, GradCam
from .convolution import ConvolutionTrace
from .readout import ChannelReadout
from .receptive_field import EffectiveField, Square
from .shapley import BRANCH_NAMES, BRANCH_SUBSETS, BranchVotes

WHOLE = "all"  # beside the four branches: the block as a whole
CORE = 0.9  # of the energy, by which the effective field is told


def votes_report(model: str, votes: BranchVotes, *, subsets: bool = False) -> dict[str, Any]:
    """How the four branches share a logit: `model, block, class, label, off, logit, probability, baseline, votes`.

    `votes` is by branch; `baseline` (all four off) and the four add up to `logit`. With `subsets` that key holds
    sixteen of `{"on": [branch, ...], "logit", "probability"}`, from none that is on to all four.
    """
    report: dict[str, Any] = {
        "model": model,
        "block": votes.block,
        "class": votes.index,
        "label": votes.label,
        "off": votes.off,
        "logit": votes.logit,
        "probability": votes.probability,
        "baseline": votes.baseline,
        "votes": dict(votes.votes),
    }
    if subsets:
        report["subsets"] = [
            {
                "on": [name for name in BRANCH_NAMES if name in on],
                "logit": votes.subsets[on],
                "probability": votes.probabilities[on],
            }
            for on in BRANCH_SUBSETS
        ]
    return report


def glance_report(glance: AblationTable) -> dict[str, Any]:
    """The whole network: `class, label, off, logit, falls`.

    `falls` is by block and branch: how much the logit falls when that branch alone is off.
    """
    return {
        "class": glance.index,
        "label": glance.label,
        "off": glance.off,
        "logit": glance.logit,
        "falls": {block: dict(row) for block, row in glance.falls.items()},
    }


def evidence_report(evidence: Evidence) -> dict[str, Any]:
    """The split at block 5b.

    `block, class, label, linear, logit, rest, amounts, maps, strongest_for, strongest_against`. `amounts` is by
    branch; they and `rest` add up to `logit`. `maps` gives by branch the rows of cells that add up to its amount.
    The strongest are lists of `{"channel", "branch", "amount", "highest"}`, the strongest first.
    """
    return {
        "block": LAST_BLOCK,
        "class": evidence.index,
        "label": evidence.label,
        "linear": evidence.linear,
        "logit": evidence.logit,
        "rest": evidence.rest,
        "amounts": dict(evidence.amounts),
        "maps": {branch: values.tolist() for branch, values in evidence.maps.items()},
        "strongest_for": _channels(evidence.strongest_for),
        "strongest_against": _channels(evidence.strongest_against),
    }


def _channels(channels: Sequence[ChannelEvidence]) -> list[dict[str, Any]]:
    return [asdict(channel) for channel in channels]


def cams_report(cams: Mapping[str | None, GradCam]) -> dict[str, Any]:
    """Grad-CAM of a block and its branches: `block, class, label, height, width, maps`.

    `maps` is by branch, with "all" for the whole block: `{"lowest", "highest", "row", "column"}`, the two signed
    extremes and the cell of the highest.
    """
    whole = cams[None]
    height, width = whole.signed.shape
    return {
        "block": whole.block,
        "class": whole.index,
        "label": whole.label,
        "height": height,
        "width": width,
        "maps": {branch or WHOLE: _extremes(cam.signed) for branch, cam in cams.items()},
    }


def _extremes(values: np.ndarray) -> dict[str, Any]:
    row, column = divmod(int(values.argmax()), values.shape[1])
    return {"lowest": float(values.min()), "highest": float(values.max()), "row": row, "column": column}


def switched_report(switched: AblationResult) -> dict[str, Any]:
    """The answer with parts off: `block, off, branches, channels, first_before, top, risen, fallen`.

    `first_before` was the most probable class. It and the rows of the last three are `{"class", "label",
    "probability", "probability_before", "logit", "logit_before"}`.
    """
    return {
        "block": switched.block,
        "off": switched.off,
        "branches": list(switched.branches),
        "channels": list(switched.channels),
        "first_before": _changes([switched.first_before])[0],
        "top": _changes(switched.top),
        "risen": _changes(switched.risen),
        "fallen": _changes(switched.fallen),
    }


def _changes(changes: Sequence[ClassChange]) -> list[dict[str, Any]]:
    rows = [asdict(change) for change in changes]
    return [{"class": row.pop("index"), **row} for row in rows]


def cell_report(by_hand: ConvolutionTrace, field: EffectiveField, square: Square) -> dict[str, Any]:
    """One cell: `block, branch, layer, channel, row, column, value, square, effective, by_hand`.

    `square` is what the cell can see, in pixels of the network's input: `{"left", "top", "right", "bottom"}`, the
    last two without. `effective` is the smaller square that holds `share` of what counts, with the same keys.
    `by_hand` is the convolution: `{"kernel", "preact", "count", "largest", "others", "bias", "sum", "affine",
    "normalised", "relu", "result"}` as `ByHand` has them; `affine` is `{"scale", "shift"}`, and a step that the
    layer does not have is None.
    """
    return {
        "block": by_hand.block,
        "branch": by_hand.branch,
        "layer": by_hand.layer,
        "channel": by_hand.channel,
        "row": by_hand.row,
        "column": by_hand.column,
        "value": by_hand.value,
        "square": asdict(square),
        "effective": {"share": CORE, **asdict(field.core(CORE))},
        "by_hand": {
            "kernel": by_hand.kernel_side,
            "preact": by_hand.preact,
            "count": by_hand.count,
            "largest": [asdict(product) for product in by_hand.products],
            "others": by_hand.others,
            "bias": by_hand.bias,
            "sum": by_hand.sum,
            "affine": None if by_hand.affine is None else asdict(by_hand.affine),
            "normalised": by_hand.normalised,
            "relu": by_hand.relu,
            "result": by_hand.result,
        },
    }


def reading_report(model: str, reading: ChannelReadout, slices: Mapping[str, slice]) -> dict[str, Any]:
    """Who reads a block and how strongly: `model, block, reader, shares, strengths`.

    `shares` is by branch and adds up to 1; `strengths` gives by branch a number for each of its channels.
    """
    return {
        "model": model,
        "block": reading.block,
        "reader": reading.reader,
        "shares": dict(reading.shares),
        "strengths": {branch: reading.strengths[part].tolist() for branch, part in slices.items()},
    }


def channel_report(
    model: str, prediction: Prediction, reading: ChannelReadout, branch: str, channel: int
) -> dict[str, Any]:
    """One channel of a branch: `model, block, branch, channel, number, lowest, highest, mean, zero_share, cell,
    strength, rank, reader`.

    `number` is the channel's in the block's whole output. `cell` is the highest, `{"row", "column", "value"}`.
    `rank` is 1 for the channel that `reader` reads most strongly.
    """
    values = prediction.branch(reading.block, branch)[channel]
    number = prediction.slices[reading.block][branch].start + channel
    row, column = divmod(int(values.argmax()), values.shape[1])
    strength = float(reading.strengths[number])
    return {
        "model": model,
        "block": reading.block,
        "branch": branch,
        "channel": channel,
        "number": number,
        "lowest": float(values.min()),
        "highest": float(values.max()),
        "mean": float(values.mean()),
        "zero_share": float((values == 0).mean()),
        "cell": {"row": row, "column": column, "value": float(values[row, column])},
        "strength": strength,
        "rank": int((reading.strengths > strength).sum()) + 1,
        "reader": reading.reader,
    }


def size_report(model: str, network: InceptionV1) -> dict[str, Any]:
    """How large a network is: `model, own, at_224, vgg16, parameter_counts, blocks`.

    `own` (at its own input), `at_224` and `vgg16` have the keys of `NetworkSize` and its `depth`; `parameter_counts`
    are eight of `{"auxiliary", "classifier", "biases", "parameters"}`; `blocks` have the keys of `BlockCost` and
    its `saving`.
    """
    sizes = {
        "own": network_size(network, network.input_shape),
        "at_224": network_size(network, PUBLISHED_SHAPE),
        "vgg16": vgg16_size(),
    }
    return {
        "model": model,
        **{name: {**asdict(size), "depth": size.depth} for name, size in sizes.items()},
        "parameter_counts": [asdict(count) for count in parameter_counts(network)],
        "blocks": [{**asdict(cost), "saving": cost.saving} for cost in module_costs(network)],
    }
