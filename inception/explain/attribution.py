"""Attribution of a logit to positions in the photo.

`evidence` splits the logit exactly over the channels and cells of block 5b; with a linear head this is class activation
mapping (Zhou et al. 2016). `grad_cam` (Selvaraju et al. 2017) works for any block and branch and is a first-order
approximation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checks import choice
from ..network.blocks import BRANCHES
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .linear_piece import leaves, split_on_piece
from .masking import block_output, class_index, logits_from

LAST_BLOCK = "5b"
WHOLE = "all"  # key of the whole block, beside its branches


@dataclass(frozen=True)
class ChannelEvidence:
    """Contribution of one channel of block 5b to a logit; negative if it lowers it."""

    channel: int  # of the concatenated output
    branch: str
    channel_in_branch: int
    amount: float  # summed over its cells, in units of the logit
    highest: float  # activation


@dataclass(frozen=True, eq=False)
class Evidence:
    """The logit of a class as a sum over branches, channels and cells of block 5b, and a rest.

    `maps` holds each branch's contribution at each cell (H, W); their sums are `amounts`. `rest` is the contribution of
    the biases, computed by itself: the logit if the block were zero, with the ReLUs as for this photo. `linear` says
    whether the split holds for every photo (linear head) or for this photo only: a head with a ReLU is linear as long
    as the same units are active.
    """

    index: int
    label: str
    linear: bool
    logit: float
    rest: float
    amounts: Mapping[str, float]
    maps: Mapping[str, np.ndarray] = field(repr=False)
    strongest_for: tuple[ChannelEvidence, ...] = field(repr=False)
    strongest_against: tuple[ChannelEvidence, ...] = field(repr=False)

    @property
    def total(self) -> float:
        """Sum of the four branches and the rest, to be compared with `logit`."""
        return self.rest + sum(self.amounts.values())

    @property
    def error(self) -> float:
        """Absolute difference between `total` and the logit of the forward pass."""
        return abs(self.total - self.logit)

    @property
    def map(self) -> np.ndarray:
        """Sum of the four branches' maps, (H, W)."""
        return np.sum(list(self.maps.values()), axis=0)

    def to_dict(self) -> dict[str, Any]:
        """`block, class, label, linear, logit, rest, amounts, maps, strongest_for, strongest_against`.

        `amounts` is by branch; they and `rest` add up to `logit`. `maps` gives by branch the rows of cells that add up
        to its amount. The last two are lists of `{"channel", "branch", "channel_in_branch", "amount", "highest"}`, the
        strongest first; `channel` counts in the whole block.
        """
        return {
            "block": LAST_BLOCK,
            "class": self.index,
            "label": self.label,
            "linear": self.linear,
            "logit": self.logit,
            "rest": self.rest,
            "amounts": dict(self.amounts),
            "maps": {branch: values.tolist() for branch, values in self.maps.items()},
            "strongest_for": [asdict(channel) for channel in self.strongest_for],
            "strongest_against": [asdict(channel) for channel in self.strongest_against],
        }

    def signed_maps(self) -> dict[str, np.ndarray]:
        """Return the map to overlay on the photo, by the suffix of its file name."""
        return {"evidence": self.map}


def evidence(
    pretrained: PretrainedModel, prediction: Prediction, target: str | int | None = None, maximum: int = 10
) -> Evidence:
    """Split a class's logit exactly at block 5b: each activation times the gradient of the logit.

    With a linear head the gradient is the class's weight divided by the number of cells. With a hidden layer it is the
    gradient of the linear piece that this photo lies on, and the rest holds the biases of both layers.

    Args:
        target: class name or number; the most probable class by default.
        maximum: length of `strongest_for` and `strongest_against`.

    Raises:
        ExplanationError: if there is no such class.
    """
    index = class_index(pretrained, prediction, target)
    split = split_on_piece(leaves([pretrained.model.required_head]), prediction.block(LAST_BLOCK), (0, index))
    shares = split.contributions
    slices = pretrained.model.block(LAST_BLOCK).slices
    maps = {branch: shares[part].sum(axis=0) for branch, part in slices.items()}
    amounts = shares.sum(axis=(1, 2))
    branch_of = {channel: branch for branch, part in slices.items() for channel in range(part.start, part.stop)}

    def channel_evidence(channel: int) -> ChannelEvidence:
        highest = float(prediction.block(LAST_BLOCK)[channel].max())
        branch = branch_of[int(channel)]
        return ChannelEvidence(
            channel=int(channel),
            branch=branch,
            channel_in_branch=int(channel) - slices[branch].start,
            amount=float(amounts[channel]),
            highest=highest,
        )

    order = np.argsort(amounts, kind="stable")
    length = max(maximum, 0)
    return Evidence(
        index=index,
        label=pretrained.labels[index],
        linear=_is_linear(pretrained),
        logit=float(prediction.logits[index]),
        rest=split.constant,
        amounts={branch: float(one.sum()) for branch, one in maps.items()},
        maps=maps,
        strongest_for=tuple(channel_evidence(channel) for channel in order[::-1][:length] if amounts[channel] > 0),
        strongest_against=tuple(channel_evidence(channel) for channel in order[:length] if amounts[channel] < 0),
    )


def _is_linear(pretrained: PretrainedModel) -> bool:
    head = pretrained.model.head
    return head is not None and not any(isinstance(module, nn.ReLU) for module in head.modules())


@dataclass(frozen=True, eq=False)
class GradCam:
    """Grad-CAM map (H, W) of one class at a block's output, or at one of its branches.

    `signed` is the sum over channels of activation times mean gradient of the logit. `rectified` keeps the positive
    part, as in the paper.
    """

    block: str
    branch: str | None  # None: all four
    index: int
    label: str
    signed: np.ndarray = field(repr=False)

    @property
    def rectified(self) -> np.ndarray:
        return np.maximum(self.signed, 0)


@dataclass(frozen=True, eq=False)
class GradCams:
    """Grad-CAM maps of a block and its branches."""

    maps: Mapping[str | None, GradCam] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """`block, class, label, height, width, maps`.

        `maps` is by branch, with "all" for the whole block: `{"lowest", "highest", "row", "column"}`, the two signed
        extremes and the cell of the highest.
        """
        whole = self.maps[None]
        height, width = whole.signed.shape
        return {
            "block": whole.block,
            "class": whole.index,
            "label": whole.label,
            "height": height,
            "width": width,
            "maps": {branch or WHOLE: extremes(cam.signed) for branch, cam in self.maps.items()},
        }

    def signed_maps(self) -> dict[str, np.ndarray]:
        """Return the maps to overlay on the photo, by the suffix of their file names."""
        return {
            f"{cam.block}-{branch}-cam" if branch else f"{cam.block}-cam": cam.signed
            for branch, cam in self.maps.items()
        }


def extremes(values: np.ndarray) -> dict[str, Any]:
    """Return the lowest and the highest value of a map (H, W), and the row and column of the highest."""
    row, column = divmod(int(values.argmax()), values.shape[1])
    return {"lowest": float(values.min()), "highest": float(values.max()), "row": row, "column": column}


def grad_cam(
    pretrained: PretrainedModel,
    prediction: Prediction,
    block: str,
    target: str | int | None = None,
    branch: str | None = None,
) -> GradCam:
    """Return Grad-CAM at a block, or at one branch.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, branch or class.
    """
    return grad_cams(pretrained, prediction, block, target)[_checked(branch)]


def grad_cams(
    pretrained: PretrainedModel, prediction: Prediction, block: str, target: str | int | None = None
) -> dict[str | None, GradCam]:
    """Return the maps of all four branches and, under None, of the whole block, from one backward pass.

    Raises:
        ChoiceError, ExplanationError: if there is no such block or class.
    """
    index = class_index(pretrained, prediction, target)
    output, gradient = _gradient(pretrained, prediction, block, index)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    weighted = (output * weights)[0].float().cpu().numpy()
    slices: dict[str | None, slice] = {None: slice(None)}
    slices.update(pretrained.model.block(block).slices)
    return {
        branch: GradCam(block, branch, index, pretrained.labels[index], weighted[part].sum(axis=0))
        for branch, part in slices.items()
    }


def _checked(branch: str | None) -> str | None:
    return None if branch is None else choice("branch", branch, tuple(BRANCHES))


def _gradient(pretrained: PretrainedModel, prediction: Prediction, block: str, index: int) -> tuple[Tensor, Tensor]:
    """Return the block's output (1, C, H, W), and the gradient of a class's logit with respect to it."""
    # Enable gradients even inside a caller's no_grad or inference_mode.
    with torch.inference_mode(False), torch.enable_grad():
        output = block_output(pretrained, prediction, block).requires_grad_()
        logit = logits_from(pretrained, block, output)[0, index]
        # autograd.grad, unlike backward, leaves no gradients on the model's parameters.
        (gradient,) = torch.autograd.grad(logit, output)
    return output.detach(), gradient
