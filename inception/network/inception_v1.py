"""InceptionV1 (GoogLeNet), Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.

Published weights of this network differ in small ways; `VARIANTS` lists the differences.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import SupportsIndex

from torch import Generator, Tensor, nn

from ..checks import choice
from ..errors import ArgumentError, ChoiceError, quoted
from .blocks import BLOCKS, AuxiliaryClassifier, ConvUnit, InceptionBlock

# The feature extractor, from the photo to the last feature map.
STAGES = (
    "stem",
    "inception_3a",
    "inception_3b",
    "pool3",
    "inception_4a",
    "inception_4b",
    "inception_4c",
    "inception_4d",
    "inception_4e",
    "pool4",
    "inception_5a",
    "inception_5b",
)

HEAD = "head"  # follows the last stage

AUXILIARY = {"aux1": "inception_4a", "aux2": "inception_4d"}  # and the stage whose output each classifies

MIN_SIDE = 32  # pixels; the network's stride: a smaller photo would leave the last block no cell


@dataclass(frozen=True)
class Variant:
    """Hyperparameters in which published weights of InceptionV1 differ."""

    name: str
    conv_bias: bool
    stem_eps: float | None  # of the BatchNorms; None for no BatchNorm
    block_eps: float | None
    local_response_norm: bool
    pool_padding: int
    pool_ceil: bool
    pool4_kernel: int
    wide_kernel: int  # of the "5x5" branch
    dropout: float
    hidden: int | None  # units of a hidden layer before the classifier


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            name="batchnorm",
            conv_bias=True,
            stem_eps=None,
            block_eps=1e-5,
            local_response_norm=False,
            pool_padding=1,
            pool_ceil=False,
            pool4_kernel=3,
            wide_kernel=5,
            dropout=0.4,
            hidden=1024,
        ),
        # The paper's network, as released with Caffe ("bvlc_googlenet").
        Variant(
            name="googlenet",
            conv_bias=True,
            stem_eps=None,
            block_eps=None,
            local_response_norm=True,
            pool_padding=0,
            pool_ceil=True,
            pool4_kernel=3,
            wide_kernel=5,
            dropout=0.4,
            hidden=None,
        ),
        # torchvision.models.googlenet. Its "5x5" branch is 3x3: an error in the TensorFlow code that it was
        # ported from, kept because the weights depend on it (pytorch/vision issue 906).
        Variant(
            name="torchvision",
            conv_bias=False,
            stem_eps=1e-3,
            block_eps=1e-3,
            local_response_norm=False,
            pool_padding=0,
            pool_ceil=True,
            pool4_kernel=2,
            wide_kernel=3,
            dropout=0.2,
            hidden=None,
        ),
    )
}


@dataclass(frozen=True, eq=False)
class Trace:
    """Activations of one forward pass.

    Attributes:
        stages: output (N, C, H, W) of each of `STAGES`, from the stage where the pass started.
        logits: (N, classes); None without a top.
        aux: logits of the auxiliary classifiers, in training mode only.
    """

    stages: dict[str, Tensor]
    logits: Tensor | None
    aux: dict[str, Tensor]

    @property
    def features(self) -> Tensor:
        """The last feature map (N, 1024, H, W)."""
        return self.stages[STAGES[-1]]

    @property
    def required_logits(self) -> Tensor:
        """`logits`.

        Raises:
            ArgumentError: if the model was built without a top.
        """
        if self.logits is None:
            raise _no_top()
        return self.logits


class InceptionV1(nn.Module):
    """InceptionV1, with the constructor arguments of Keras applications.

    Args:
        include_top: end in the classifier; otherwise `forward` returns the last feature map (N, 1024, H, W),
            or a vector (N, 1024) if `pooling` is given.
        preact: BatchNorm and ReLU before each convolution of a block (`batchnorm` variant only).
        use_bias: whether convolutions have a bias (`batchnorm` variant only).
        input_shape: (3, height, width), each side at least 32, for which shapes, receptive fields and costs
            are computed. The network itself takes photos of any size from 32x32.
        classes: number of classes.
        pooling: "avg", "max" or None: global pooling of the last feature map without a top; ignored with one,
            as in Keras.
        classifier_activation: "softmax" for probabilities, None for logits.
        aux_classifiers: add the paper's two auxiliary classifiers, which run in training only. Their logits are
            in `trace(x).aux`; the paper adds their losses with weight 0.3 (section 5).
        variant: a key of `VARIANTS`. On the CPU "googlenet" does not run in float16, for which PyTorch has no local
            response normalisation there; it runs in bfloat16.

    Raises:
        ArgumentError, ChoiceError: if an argument is not allowed; the message says what is.
    """

    def __init__(
        self,
        include_top: bool = True,
        preact: bool = False,
        use_bias: bool = True,
        input_shape: Sequence[int] = (3, 224, 224),
        classes: int = 1000,
        pooling: str | None = None,
        *,
        classifier_activation: str | None = "softmax",
        aux_classifiers: bool = False,
        variant: str = "batchnorm",
    ) -> None:
        super().__init__()
        choice("variant", variant, tuple(VARIANTS))
        _choice_or_none("pooling", pooling, ("avg", "max"))
        _choice_or_none("classifier_activation", classifier_activation, ("softmax",))
        if variant != "batchnorm" and (preact or not use_bias):
            raise ArgumentError(
                f"preact and use_bias can be changed for variant='batchnorm' only; {quoted(variant)} is fixed by its "
                "published weights. Leave preact=False and use_bias=True, or choose variant='batchnorm'."
            )
        if (_as_int(classes) or 0) < 1:
            raise ArgumentError(f"classes is {quoted(classes)}; it must be a whole number of at least 1.")
        if aux_classifiers and not include_top:
            raise ArgumentError("aux_classifiers=True needs include_top=True, as they help to train the classifier.")

        spec = VARIANTS[variant]
        bias = spec.conv_bias and use_bias

        def block(name: str) -> InceptionBlock:
            return InceptionBlock(
                *BLOCKS[name], preact=preact, use_bias=bias, eps=spec.block_eps, wide_kernel=spec.wide_kernel
            )

        self.variant = spec
        self.input_shape = _checked_shape(input_shape)
        self.classes = int(classes)
        self.pooling = pooling

        self.stem = _stem(spec, bias)
        self.inception_3a = block("3a")
        self.inception_3b = block("3b")
        self.pool3 = _pool(spec)
        self.inception_4a = block("4a")
        self.inception_4b = block("4b")
        self.inception_4c = block("4c")
        self.inception_4d = block("4d")
        self.inception_4e = block("4e")
        self.pool4 = _pool(spec, spec.pool4_kernel)
        self.inception_5a = block("5a")
        self.inception_5b = block("5b")
        self.head = _head(spec, classes) if include_top else None
        self.softmax = nn.Softmax(dim=1) if include_top and classifier_activation else None
        self.aux = nn.ModuleDict()
        if aux_classifiers:
            for name, stage in AUXILIARY.items():
                channels = sum(self.block(stage[-2:]).branch_channels.values())
                self.aux[name] = AuxiliaryClassifier(channels, classes, bias=bias, eps=spec.block_eps)
        self.apply(initialise)

    def block(self, name: str) -> InceptionBlock:
        """Return the Inception block `name`, a key of `BLOCKS`.

        Raises:
            ChoiceError: if there is no such block.
        """
        choice("block", name, tuple(BLOCKS))
        return self.get_submodule(stage_of(name))  # type: ignore[return-value]

    @property
    def required_head(self) -> nn.Sequential:
        """`head`.

        Raises:
            ArgumentError: if the model was built without a top.
        """
        if self.head is None:
            raise _no_top()
        return self.head

    def trace(self, x: Tensor, start: str = "stem") -> Trace:
        """Run from stage `start` (one of `STAGES`, or "head") and keep every stage's output.

        `x` is that stage's input: photos (N, 3, H, W) for the stem, else the previous stage's output. A branch's
        activation is a slice of its block's output, so no hooks are needed.

        Raises:
            ChoiceError: if there is no such stage.
            ArgumentError: if photos are not (N, 3, H, W) with sides of at least 32.
        """
        choice("start", start, (*STAGES, HEAD))
        if start == "stem":
            _check_photos(x)
        stages: dict[str, Tensor] = {}
        for name in stages_from(start):
            x = stages[name] = self.get_submodule(name)(x)
        logits = None if self.head is None else self.head(x)
        aux = {}
        if self.training:
            aux = {
                name: classifier(stages[AUXILIARY[name]])
                for name, classifier in self.aux.items()
                if AUXILIARY[name] in stages
            }
        return Trace(stages, logits, aux)

    def logits(self, x: Tensor, start: str = "stem") -> Tensor:
        """Compute logits (N, classes) like `trace`, but without keeping the stages.

        Raises:
            ChoiceError: as `trace`.
            ArgumentError: as `trace`, or if the model was built without a top.
        """
        head = self.required_head
        choice("start", start, (*STAGES, HEAD))
        if start == "stem":
            _check_photos(x)
        for name in stages_from(start):
            x = self.get_submodule(name)(x)
        return head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map photos (N, 3, H, W) to probabilities, logits or features, as the constructor's arguments say."""
        trace = self.trace(x)
        if trace.logits is not None:
            return trace.logits if self.softmax is None else self.softmax(trace.logits)
        if self.pooling == "avg":
            return trace.features.mean(dim=(2, 3))
        if self.pooling == "max":
            return trace.features.amax(dim=(2, 3))
        return trace.features


def stage_of(block: str) -> str:
    """Return the name of the stage that a block is: "inception_4c" of "4c"."""
    return f"inception_{block}"


def stages_from(start: str) -> tuple[str, ...]:
    """Return the names of `STAGES` from `start` on; none for "head"."""
    return STAGES[STAGES.index(start) :] if start != HEAD else ()


def stage_after(name: str) -> str:
    """Return the name of the stage that follows `name`: one of `STAGES`, or "head"."""
    return (*STAGES, HEAD)[STAGES.index(name) + 1]


def _stem(spec: Variant, bias: bool) -> nn.Sequential:
    def unit(cin: int, cout: int, kernel: int, stride: int = 1) -> ConvUnit:
        return ConvUnit(cin, cout, kernel, stride=stride, bias=bias, eps=spec.stem_eps)

    layers: list[tuple[str, nn.Module]] = [
        ("conv1", unit(3, 64, 7, stride=2)),
        ("pool1", _pool(spec)),
        ("norm1", _local_response_norm()),
        ("conv2_reduce", unit(64, 64, 1)),
        ("conv2", unit(64, 192, 3)),
        ("norm2", _local_response_norm()),
        ("pool2", _pool(spec)),
    ]
    return nn.Sequential(OrderedDict(row for row in layers if spec.local_response_norm or "norm" not in row[0]))


def _head(spec: Variant, classes: int) -> nn.Sequential:
    hidden: list[tuple[str, nn.Module]] = []
    if spec.hidden is not None:
        hidden = [("hidden", nn.Linear(1024, spec.hidden)), ("relu", nn.ReLU())]
    layers: list[tuple[str, nn.Module]] = [
        ("avgpool", nn.AdaptiveAvgPool2d(1)),
        ("dropout", nn.Dropout(spec.dropout)),
        ("flatten", nn.Flatten()),
        *hidden,
        ("classifier", nn.Linear(spec.hidden or 1024, classes)),
    ]
    return nn.Sequential(OrderedDict(layers))


def _pool(spec: Variant, kernel: int = 3) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, stride=2, padding=spec.pool_padding, ceil_mode=spec.pool_ceil)


def _local_response_norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=1.0)


def initialise(module: nn.Module, generator: Generator | None = None) -> None:
    """Draw the weights of a convolution or a linear layer as before training; other modules are left as they are."""
    # He et al. 2015: keeps activations of order one through 22 layers of ReLU without BatchNorm. With PyTorch's
    # default they vanish, and the logits would hardly depend on the photo.
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01, generator=generator)
        nn.init.zeros_(module.bias)


def _choice_or_none(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value is not None and not (isinstance(value, str) and value in allowed):
        raise ChoiceError(name, value, (*allowed, "None"))


def _no_top() -> ArgumentError:
    return ArgumentError(
        "This model was built with include_top=False and has no logits; build it with include_top=True."
    )


def _as_int(value: object) -> int | None:
    """Return a Python or NumPy integer as an int, and None for anything else."""
    return index(value) if isinstance(value, SupportsIndex) and not isinstance(value, bool) else None


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    sides = [_as_int(side) or 0 for side in shape] if isinstance(shape, Sequence) else []
    if len(sides) != 3 or sides[0] != 3 or min(sides[1:]) < MIN_SIDE:
        raise ArgumentError(
            f"input_shape is {quoted(shape)}; it must be (3, height, width): three colour channels first, "
            f"each side at least {MIN_SIDE} pixels, for instance (3, 224, 224)."
        )
    return sides[0], sides[1], sides[2]


def _check_photos(x: Tensor) -> None:
    if x.dim() != 4 or x.shape[1] != 3 or min(x.shape[2:]) < MIN_SIDE:
        raise ArgumentError(
            f"The input has shape {tuple(x.shape)}; it must be (N, 3, height, width) with sides of at least "
            f"{MIN_SIDE} pixels."
        )
