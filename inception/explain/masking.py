"""The network from one block on: what a changed output of that block would have led to.

Everything here starts from what an observation holds, never from the photo, and runs as one batch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..checks import choice, is_whole, spelled
from ..errors import QUOTED_CHARACTERS, UserError
from ..network.blocks import BLOCKS, BRANCHES
from ..network.inception_v1 import STAGES, stage_after
from ..network.overflow import check_overflow
from ..prediction import Prediction
from ..pretrained.labels import first_name
from ..pretrained.pretrained import PretrainedModel
from ..runtime.plain_text import plain
from .registry import ABLATIONS, CLASS_LETTERS


class ExplanationError(UserError):
    """Something that cannot be explained as it was asked for."""


def block_output(pretrained: PretrainedModel, prediction: Prediction, block: str) -> Tensor:
    """The block's output for this photo, (1, C, H, W), on the network's device."""
    return _tensor(pretrained, prediction.block(block))


def ablation_values(pretrained: PretrainedModel, block: str, off: str) -> Tensor:
    """What the channels of a block hold when they are switched off, (1, C, 1, 1).

    "zero", or "mean": each channel's mean over training photos, where the weights bring it.

    Raises:
        ChoiceError: if `off` is none of `OFF`.
        ExplanationError: if the weights bring no means.
    """
    choice("off", off, ABLATIONS)
    choice("block", block, tuple(BLOCKS))
    channels = sum(pretrained.model.block(block).branch_channels.values())
    if off == "zero":
        return torch.zeros(1, channels, 1, 1, device=pretrained.device)
    if block not in pretrained.means:
        raise ExplanationError(
            "explain_means",
            "The weights of {name} bring no means of their branches over training photos; please choose zero.",
            name=pretrained.name,
        )
    return pretrained.means[block].to(pretrained.device).view(1, channels, 1, 1)


def logits_from(pretrained: PretrainedModel, block: str, outputs: Tensor) -> Tensor:
    """The logits (N, classes) that outputs (N, C, H, W) of a block lead to."""
    trace = pretrained.engine.trace(contiguous_like_input(outputs), start=stage_after(f"inception_{block}"))
    logits = trace.required_logits
    check_overflow(pretrained.name, [logits])
    return logits


def batched_logits(pretrained: PretrainedModel, changed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same for several blocks in one pass: each block's outputs join those that come from before it.

    `changed` gives for each block its changed outputs (N, C, H, W); the answer has (N, classes) for each.
    """
    running: Tensor | None = None
    counts: list[tuple[str, int]] = []
    logits = None
    for number, stage in enumerate(STAGES):
        block = stage.removeprefix("inception_")
        if block in changed:
            joined = changed[block] if running is None else torch.cat([running, changed[block]])
            running = contiguous_like_input(joined)
            counts.append((block, len(changed[block])))
        if running is not None:
            rest = set(STAGES[number + 1 :]) & {f"inception_{later}" for later in changed}
            if not rest:
                logits = pretrained.engine.trace(running, start=stage_after(stage)).logits
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
    """1 where a channel of the block's output is switched off, else 0, (1, C, 1, 1).

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
        if not is_whole(channel) or not 0 <= channel < count:
            raise ExplanationError(
                "explain_channel",
                "There is no channel {channel}; block {block} has the channels 0 to {last}.",
                channel=spelled(channel),
                block=block,
                last=count - 1,
            )
        mask[channel] = 1
    return mask.view(1, count, 1, 1)


def class_index(pretrained: PretrainedModel, prediction: Prediction, wanted: str | int | None) -> int:
    """The number of a class that is told by its name or number; the most probable one where none is told.

    Of "goldfish, Carassius auratus" the first name is enough, in small or capital letters. A name of more than
    `CLASS_LETTERS` letters is compared with whole labels only.

    Raises:
        ExplanationError: if there is no such class; the message names similar ones.
    """
    labels = pretrained.labels
    if wanted is None or (isinstance(wanted, str) and not wanted):
        return prediction.top(1)[0].index
    if is_whole(wanted):
        if 0 <= wanted < len(labels):
            return int(wanted)
        raise ExplanationError(
            "explain_class_number",
            "There is no class number {wanted}; this network's classes are numbered 0 to {last}.",
            wanted=spelled(wanted),
            last=len(labels) - 1,
        )
    if isinstance(wanted, str) and wanted in labels:
        return labels.index(wanted)
    names, similar = [first_name(label) for label in labels], list[str]()
    # difflib's time and memory grow with what it is given.
    if isinstance(wanted, str) and len(wanted) <= CLASS_LETTERS:
        name = first_name(wanted)
        if name in names:
            return names.index(name)
        if wanted.isdecimal() and int(wanted) < len(labels):
            return int(wanted)
        holding = [one for one in names if name in one]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        similar = list(dict.fromkeys([*holding[:3], *near]))
    raise ExplanationError(
        "explain_class",
        "This network knows no class {wanted}; it has {count} classes, among them {similar}.",
        wanted=spelled(wanted),
        count=len(labels),
        similar=", ".join(plain(name, QUOTED_CHARACTERS) for name in similar or names[:3]),
    )


def _tensor(pretrained: PretrainedModel, array: np.ndarray) -> Tensor:
    # Copied, because what an observation holds is read-only and shared between visitors; in the order in
    # memory that it has, which is the one that convolutions like.
    return torch.from_numpy(array.copy(order="K")).unsqueeze(0).to(pretrained.device)


def contiguous_like_input(outputs: Tensor) -> Tensor:
    """The same numbers (N, C, H, W) with the channels of a cell side by side: so convolutions are fastest."""
    return outputs.contiguous(memory_format=torch.channels_last)
