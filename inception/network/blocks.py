"""Building blocks of InceptionV1: convolution units, Inception blocks and auxiliary classifiers.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015: `BLOCKS` is its table 1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence, Sized
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ArgumentError, quoted


class BlockWidths(NamedTuple):
    """Channels of an Inception block: one row of the paper's table 1."""

    in_channels: int
    n1x1: int
    n3x3: Sequence[int]  # reduction, convolution
    n5x5: Sequence[int]  # reduction, convolution
    pool_proj: int


BLOCKS: dict[str, BlockWidths] = {
    #                   in   1x1       3x3        5x5   pool
    "3a": BlockWidths(192, 64, (96, 128), (16, 32), 32),
    "3b": BlockWidths(256, 128, (128, 192), (32, 96), 64),
    "4a": BlockWidths(480, 192, (96, 208), (16, 48), 64),
    "4b": BlockWidths(512, 160, (112, 224), (24, 64), 64),
    "4c": BlockWidths(512, 128, (128, 256), (24, 64), 64),
    "4d": BlockWidths(512, 112, (144, 288), (32, 64), 64),
    "4e": BlockWidths(528, 256, (160, 320), (32, 128), 128),
    "5a": BlockWidths(832, 256, (160, 320), (32, 128), 128),
    "5b": BlockWidths(832, 384, (192, 384), (48, 128), 128),
}

# The four branches in order of concatenation, each with its layers.
BRANCHES: dict[str, tuple[str, ...]] = {
    "1x1": ("1x1",),
    "3x3": ("3x3_reduce", "3x3"),
    "5x5": ("5x5_reduce", "5x5"),
    "pool": ("pool", "pool_proj"),
}


class ConvUnit(nn.Sequential):
    """Convolution, optional BatchNorm and ReLU: (N, C_in, H, W) to (N, C_out, H, W) at stride 1.

    Args:
        eps: of the BatchNorm; None for no BatchNorm.
        preact: put BatchNorm and ReLU before the convolution (He et al. 2016); outputs may then be negative.
    """

    conv: nn.Conv2d

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        bias: bool = True,
        eps: float | None = None,
        preact: bool = False,
    ) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=bias)
        norm = [] if eps is None else [("bn", nn.BatchNorm2d(in_channels if preact else out_channels, eps))]
        # Not in place: a trace keeps every output, and an in-place ReLU would overwrite it.
        relu = ("relu", nn.ReLU())
        super().__init__(OrderedDict([*norm, relu, ("conv", conv)] if preact else [("conv", conv), *norm, relu]))

    @property
    def norm(self) -> nn.BatchNorm2d | None:
        """The BatchNorm, if there is one."""
        return self._modules.get("bn")  # type: ignore[return-value]

    @property
    def preact(self) -> bool:
        """Whether BatchNorm and ReLU come before the convolution."""
        return next(self.children()) is not self.conv


class InceptionBlock(nn.ModuleDict):
    """Inception module with dimension reduction (paper, figure 2b): (N, C_in, H, W) to (N, C_out, H, W).

    `InceptionBlock(192, 64, [96, 128], [16, 32], 32)` is block 3a. Layers have the paper's names.
    The output is the concatenation of the four branches; `slices` gives each branch's channels.

    Args:
        n3x3: channels after the 1x1 reduction and after the 3x3 convolution; `n5x5` likewise.
        eps: of the BatchNorms; None for no BatchNorm.
        wide_kernel: kernel of the "5x5" convolution; torchvision's is 3.

    Raises:
        ArgumentError: if `n3x3` or `n5x5` does not hold two numbers.
    """

    def __init__(
        self,
        in_channels: int,
        n1x1: int,
        n3x3: Sequence[int],
        n5x5: Sequence[int],
        pool_proj: int,
        *,
        preact: bool = False,
        use_bias: bool = True,
        eps: float | None = 1e-5,
        wide_kernel: int = 5,
    ) -> None:
        if not all(isinstance(widths, Sized) and len(widths) == 2 for widths in (n3x3, n5x5)):
            raise ArgumentError(
                f"n3x3 is {quoted(n3x3)} and n5x5 is {quoted(n5x5)}; each must be two numbers: the channels after the "
                "reduction and after the convolution, for instance [96, 128]."
            )

        def unit(cin: int, cout: int, kernel: int) -> ConvUnit:
            return ConvUnit(cin, cout, kernel, bias=use_bias, eps=eps, preact=preact)

        super().__init__(
            {
                "1x1": unit(in_channels, n1x1, 1),
                "3x3_reduce": unit(in_channels, n3x3[0], 1),
                "3x3": unit(n3x3[0], n3x3[1], 3),
                "5x5_reduce": unit(in_channels, n5x5[0], 1),
                "5x5": unit(n5x5[0], n5x5[1], wide_kernel),
                "pool": nn.MaxPool2d(3, stride=1, padding=1),
                "pool_proj": unit(in_channels, pool_proj, 1),
            }
        )
        self.widths = BlockWidths(in_channels, n1x1, tuple(n3x3), tuple(n5x5), pool_proj)

    def convolution(self, layer: str) -> nn.Conv2d:
        """The convolution of a layer, for instance "3x3_reduce"."""
        return self[layer].conv  # type: ignore[return-value]

    @property
    def branch_channels(self) -> dict[str, int]:
        """Output channels of each branch, in order of concatenation."""
        widths = self.widths
        return dict(zip(BRANCHES, (widths.n1x1, widths.n3x3[1], widths.n5x5[1], widths.pool_proj), strict=True))

    @property
    def slices(self) -> dict[str, slice]:
        """Each branch's channels within the block's output."""
        slices, start = {}, 0
        for branch, channels in self.branch_channels.items():
            slices[branch] = slice(start, start + channels)
            start += channels
        return slices

    def trace(self, x: Tensor) -> dict[str, Tensor]:
        """Return the outputs (N, C, H, W) of the seven layers by name, from the block's input (N, C_in, H, W)."""
        outputs: dict[str, Tensor] = {}
        for layers in BRANCHES.values():
            y = x
            for layer in layers:
                y = outputs[layer] = self[layer](y)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.trace(x)
        return torch.cat([outputs[layers[-1]] for layers in BRANCHES.values()], dim=1)


class AuxiliaryClassifier(nn.Module):
    """Auxiliary classifier (paper, section 5), used in training only: (N, C, H, W) to logits (N, classes).

    At 224 pixels the map is 14x14 and the paper's 5x5 average pool with stride 3 gives 4x4; maps of other sizes
    are pooled to 4x4 directly.
    """

    def __init__(self, in_channels: int, classes: int, *, bias: bool, eps: float | None) -> None:
        super().__init__()
        self.conv = ConvUnit(in_channels, 128, 1, bias=bias, eps=eps)
        self.hidden = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.classifier = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        paper_size = all(14 <= side <= 16 for side in x.shape[-2:])
        x = F.avg_pool2d(x, 5, 3) if paper_size else F.adaptive_avg_pool2d(x, 4)
        x = self.conv(x).flatten(1)
        return self.classifier(self.dropout(self.relu(self.hidden(x))))


def scaled_kernel(unit: ConvUnit) -> Tensor:
    """Return the kernel (C_out, C_in, k, k) of a convolution times the scale of its BatchNorm, before or behind."""
    kernel, norm = unit.conv.weight.detach(), unit.norm
    if norm is None or norm.running_var is None:
        return kernel
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    return kernel * (scale[None, :, None, None] if unit.preact else scale[:, None, None, None])


def cell_count(layer: nn.Conv2d | nn.MaxPool2d, length: int) -> int:
    """Return the output cells of a layer along an axis of `length` input cells, by PyTorch's formula.

    In ceil mode a last window that would start beyond the map is dropped.
    """
    kernel, stride, padding = (side_of(value) for value in (layer.kernel_size, layer.stride, layer.padding))
    span = length + 2 * padding - kernel
    if not (isinstance(layer, nn.MaxPool2d) and layer.ceil_mode):
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= length + padding else count


def side_of(value: Any) -> int:
    """Return the side of a square kernel, stride or padding, which PyTorch stores as an int or a pair."""
    return int(value[0] if isinstance(value, tuple) else value)
