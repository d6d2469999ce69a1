"""Forward passes from one block on, with a changed output of that block.

They start from the stored outputs of a `Prediction`, not from the photo, and run as one batch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..checks import choice, is_whole, spelled
from ..errors import QUOTED_CHARACTERS, UserError
from ..network.blocks import BLOCKS, BRANCHES
from ..network.inception_v1 import STAGES, stage_after, stage_of
from ..network.overflow import check_overflow
from ..prediction import Prediction
from ..pretrained.labels import first_name
from ..pretrained.pretrained import PretrainedModel
from ..runtime.plain_text import plain
from .registry import ABLATIONS, CLASS_LETTERS

CLASSES_SHOWN = 3  # of several with one name, in an error


class ExplanationError(UserError):
    """Explanation that the network cannot give: no such class, channel, cell or ablation."""


def block_output(pretrained: PretrainedModel, prediction: Prediction, block: str) -> Tensor:
    """Return the block's output (1, C, H, W) for this photo, on the network's device."""
    return _tensor(pretrained, prediction.block(block))


def ablation_values(pretrained: PretrainedModel, block: str, ablation: str) -> Tensor:
    """Return the values (1, C, 1, 1) that replace ablated channels of a block.

    They are zero, or, for "mean", each channel's mean over training photos.

    Raises:
        ChoiceError: if `ablation` is none of `ABLATIONS`.
        ExplanationError: if the weights have no means.
    """
    choice("ablation", ablation, ABLATIONS)
    choice("block", block, tuple(BLOCKS))
    channels = sum(pretrained.model.block(block).branch_channels.values())
    if ablation == "zero":
        return torch.zeros(1, channels, 1, 1, device=pretrained.device)
    if block not in pretrained.means:
        raise ExplanationError(
            "explain_means",
            "The weights of {name} come without their branches’ means over training photos; please choose zero.",
            name=pretrained.name,
        )
    return pretrained.means[block].to(pretrained.device).view(1, channels, 1, 1)


def logits_from(pretrained: PretrainedModel, block: str, outputs: Tensor) -> Tensor:
    """Return the logits (N, classes) for outputs (N, C, H, W) of a block."""
    logits = pretrained.engine.logits(channels_last(outputs), start=stage_after(stage_of(block)))
    check_overflow(pretrained.name, [logits])
    return logits


def batched_logits(pretrained: PretrainedModel, changed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the logits (N, classes) for changed outputs (N, C, H, W) of several blocks, in one growing batch.

    Each block's changed outputs join the batch that comes from the blocks before it.
    """
    running: Tensor | None = None
    counts: list[tuple[str, int]] = []
    logits = None
    for number, stage in enumerate(STAGES):
        block = stage.removeprefix("inception_")
        if block in changed:
            joined = changed[block] if running is None else torch.cat([running, changed[block]])
            running = channels_last(joined)
            counts.append((block, len(changed[block])))
        if running is not None:
            rest = set(STAGES[number + 1 :]) & {stage_of(later) for later in changed}
            if not rest:
                logits = pretrained.engine.logits(running, start=stage_after(stage))
                break
            running = pretrained.engine.get_submodule(STAGES[number + 1])(running)
    if logits is None:
        return {}
    check_overflow(pretrained.name, [logits])
    parts = torch.split(logits, [count for _, count in counts])
    return {block: part for (block, _), part in zip(counts, parts, strict=True)}


def branch_mask(
    pretrained: PretrainedModel, block: str, branches: Iterable[str], channels: Iterable[int] = ()
) -> Tensor:
    """Return a mask (1, C, 1, 1): 1 for the ablated channels of the block's output, else 0.

    Raises:
        ChoiceError: if there is no such branch.
        ExplanationError: if there is no such channel.
    """
    module = pretrained.model.block(block)
    count = sum(module.branch_channels.values())
    mask = torch.zeros(count, device=pretrained.device)
    for branch in branches:
        mask[module.slices[choice("branch", branch, tuple(BRANCHES))]] = 1
    for channel in channels:
        check_channel(block, channel, count)
        mask[channel] = 1
    return mask.view(1, count, 1, 1)


def check_channel(where: str, channel: object, count: int) -> int:
    """Return `channel` as an int, also of NumPy's integers, which JSON cannot hold.

    Raises:
        ExplanationError: unless it is a whole number below `count`, the channels of `where`.
    """
    if not is_whole(channel) or not 0 <= channel < count:
        raise ExplanationError(
            "explain_channel",
            "There is no channel {channel} in {where}; its channels are numbered 0 to {last}.",
            channel=spelled(channel),
            where=where,
            last=count - 1,
        )
    return int(channel)


def class_index(pretrained: PretrainedModel, prediction: Prediction, target: str | int | None) -> int:
    """Return the number of a class, given its name or number; the most probable class for None or "".

    A text is taken for a name first, and for a number if no class has that name. The first name of a label
    ("goldfish, Carassius auratus") is enough, in any case. A name of more than
    `CLASS_LETTERS` letters is compared with whole labels only.

    Raises:
        ExplanationError: if there is no such class, and the message names similar ones; or if several are called so.
    """
    labels = pretrained.labels
    if target is None or (isinstance(target, str) and not target):
        return prediction.top(1)[0].index
    if is_whole(target):
        if 0 <= target < len(labels):
            return int(target)
        raise ExplanationError(
            "explain_class_number",
            "There is no class number {wanted}; this network's classes are numbered 0 to {last}.",
            wanted=spelled(target),
            last=len(labels) - 1,
        )
    if isinstance(target, str) and target in labels:
        return _only(target, [index for index, label in enumerate(labels) if label == target], labels)
    names, similar = [first_name(label) for label in labels], list[str]()
    # difflib's time and memory grow with the length of its input.
    if isinstance(target, str) and len(target) <= CLASS_LETTERS:
        name = first_name(target)
        if name in names:
            return _only(target, [index for index, one in enumerate(names) if one == name], labels)
        if target.isdecimal() and int(target) < len(labels):
            return int(target)
        containing = [one for one in names if name in one]
        close = difflib.get_close_matches(name, names, n=3)
        similar = list(dict.fromkeys([*containing[:3], *close]))
    raise ExplanationError(
        "explain_class",
        "This network has no class {wanted}; it has {count} classes, among them {similar}. "
        "Please choose one by its name, or by its number from 0 to {last}.",
        wanted=spelled(target),
        count=len(labels),
        last=len(labels) - 1,
        similar=", ".join(
            plain(labels[names.index(name)], QUOTED_CHARACTERS) for name in similar or dict.fromkeys(names[:3])
        ),
    )


def _only(wanted: str, found: list[int], labels: Sequence[str]) -> int:
    """Return the one class that is called `wanted`.

    Raises:
        ExplanationError: if there are several.
    """
    if len(found) == 1:
        return found[0]
    raise ExplanationError(
        "explain_class_several",
        "Several classes are called {wanted}: {found}. Please give the number of one.",
        wanted=spelled(wanted),
        found=", ".join(f"{index} ({plain(labels[index], QUOTED_CHARACTERS)})" for index in found[:CLASSES_SHOWN]),
    )


def _tensor(pretrained: PretrainedModel, array: np.ndarray) -> Tensor:
    # A copy, because the prediction's arrays are read-only and shared; with their memory layout, which suits
    # convolutions.
    return torch.from_numpy(array.copy(order="K")).unsqueeze(0).to(pretrained.device)


def channels_last(outputs: Tensor) -> Tensor:
    """Return the tensor (N, C, H, W) in channels-last memory format, the fastest for convolutions."""
    return outputs.contiguous(memory_format=torch.channels_last)
