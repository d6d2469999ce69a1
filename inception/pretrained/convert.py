"""Conversion of other implementations' tensor names, with every name, shape and value checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import QUOTED_CHARACTERS, WeightsError
from ..network.blocks import BLOCKS
from ..network.inception_v1 import InceptionV1
from ..runtime.plain_text import plain

BATCHNORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
UNITS = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")

Names = dict[str, str]  # from their tensor names to ours


def caffe_names() -> Names:
    """Map the initialisers of the ONNX model zoo's GoogLeNet, which are named as in BVLC's prototxt."""
    layers = {"conv1/7x7_s2": "stem.conv1", "conv2/3x3_reduce": "stem.conv2_reduce", "conv2/3x3": "stem.conv2"}
    layers |= {f"inception_{block}/{unit}": f"inception_{block}.{unit}" for block in BLOCKS for unit in UNITS}
    names = {}
    for theirs, ours in layers.items():
        names[f"{theirs}_w_0"] = f"{ours}.conv.weight"
        names[f"{theirs}_b_0"] = f"{ours}.conv.bias"
    names["loss3/classifier_w_0"] = "head.classifier.weight"
    names["loss3/classifier_b_0"] = "head.classifier.bias"
    return names


def torchvision_names() -> Names:
    """Map the state dict of `torchvision.models.googlenet`, without its auxiliary classifiers."""
    branches = dict(
        zip(UNITS, ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1"), strict=True)
    )
    layers = {"conv1": "stem.conv1", "conv2": "stem.conv2_reduce", "conv3": "stem.conv2"}
    layers |= {
        f"inception{block}.{theirs}": f"inception_{block}.{unit}"
        for block in BLOCKS
        for unit, theirs in branches.items()
    }
    names = {}
    for theirs, ours in layers.items():
        names[f"{theirs}.conv.weight"] = f"{ours}.conv.weight"
        names |= {f"{theirs}.bn.{tensor}": f"{ours}.bn.{tensor}" for tensor in BATCHNORM}
    return names | {"fc.weight": "head.classifier.weight", "fc.bias": "head.classifier.bias"}


def design_names() -> Names:
    """Map the state dict of the design document's code: `conv1.0.weight`, `conv3.0.conv2.3.bias`, `fc.3.weight`."""
    convolutions = dict(zip(UNITS, ("conv1.0", "conv2.0", "conv2.3", "conv3.0", "conv3.3", "conv4.1"), strict=True))
    norms = dict(zip(UNITS, ("conv1.1", "conv2.1", "conv2.4", "conv3.1", "conv3.4", "conv4.2"), strict=True))
    names: Names = {}
    stem = {"conv1.0": "stem.conv1", "conv2.0": "stem.conv2_reduce", "conv2.2": "stem.conv2"}
    for theirs, ours in stem.items():
        names |= {f"{theirs}.{tensor}": f"{ours}.conv.{tensor}" for tensor in ("weight", "bias")}
    for block in BLOCKS:
        # Block 4c is the third of the fourth group: `conv4.2`.
        group = f"conv{block[0]}.{'abcde'.index(block[1])}"
        for unit in UNITS:
            ours = f"inception_{block}.{unit}"
            names |= {
                f"{group}.{convolutions[unit]}.{tensor}": f"{ours}.conv.{tensor}" for tensor in ("weight", "bias")
            }
            names |= {f"{group}.{norms[unit]}.{tensor}": f"{ours}.bn.{tensor}" for tensor in BATCHNORM}
    for theirs, ours in {"fc.1": "head.hidden", "fc.3": "head.classifier"}.items():
        names |= {f"{theirs}.{tensor}": f"{ours}.{tensor}" for tensor in ("weight", "bias")}
    return names


def rename_tensors(
    state: Mapping[str, Tensor], names: Names, *, source: str, optional_biases: bool = False
) -> dict[str, Tensor]:
    """Return `state` with its tensors renamed by `names`; `source` is the file's name for messages.

    With `optional_biases` the biases of all convolutions may be missing, as with `use_bias=False`.

    Raises:
        WeightsError: if a name is missing or unknown.
    """
    expected = set(names)
    biases = {theirs for theirs, ours in names.items() if ours.endswith(".conv.bias")}
    if optional_biases and not biases & set(state):
        expected -= biases
    _compare_names(expected, set(state), source)
    return {ours: state[theirs] for theirs, ours in names.items() if theirs in state}


def load_state(model: InceptionV1, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load `state` into `model` after checking every name, shape and value.

    Raises:
        WeightsError: if a tensor is missing, unknown, of another shape, not finite, or a negative variance.
    """
    expected = model.state_dict()
    _compare_names(set(expected), set(state), source)
    check_finite(state, source=source)
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise WeightsError(
                "weights_shape",
                "{source} does not fit this network: {name} has the shape {shape}; it should have {wanted}. "
                "Please choose weights of InceptionV1 in the same variant.",
                source=source,
                name=name,
                shape=tuple(tensor.shape),
                wanted=tuple(expected[name].shape),
            )
        if name.endswith("running_var") and (tensor < 0).any():
            raise WeightsError(
                "weights_variance",
                "{source} holds variances in {name} that are below zero; please use another checkpoint.",
                source=source,
                name=name,
            )
    # Old checkpoints lack batch counters, which inference does not use, so these keep their initial values.
    model.load_state_dict({**expected, **{name: tensor.to(expected[name].dtype) for name, tensor in state.items()}})


def check_finite(state: Mapping[str, Tensor], *, source: str) -> None:
    """Check that all values are finite in float32.

    Raises:
        WeightsError: if a value is not; it names the first such tensor.
    """
    for name, tensor in state.items():
        if not torch.isfinite(tensor.float()).all():
            raise WeightsError(
                "weights_not_finite",
                "{source} holds values in {name} that are not finite (NaN or infinite); please use another checkpoint.",
                source=source,
                name=plain(name, QUOTED_CHARACTERS),
            )


def _compare_names(expected: set[str], actual: set[str], source: str) -> None:
    missing = {name for name in expected - actual if not name.endswith("num_batches_tracked")}
    unknown = actual - expected
    if missing or unknown:
        parts = [
            f"{kind} {_first_three(names)}" for kind, names in (("missing", missing), ("unknown", unknown)) if names
        ]
        raise WeightsError(
            "weights_names",
            "{source} has the wrong tensors: {difference}. Please choose weights of InceptionV1 in one of "
            "its variants.",
            source=source,
            difference="; ".join(parts),
        )


def _first_three(names: set[str]) -> str:
    shown = [plain(name, QUOTED_CHARACTERS) for name in sorted(names)[:3]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def read_onnx(path: Path) -> dict[str, Tensor]:
    """Read the initialisers of an ONNX file by name, without integer ones, which are shapes.

    Raises:
        WeightsError: if the file is not a readable ONNX model.
    """
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
            raise ValueError("it refers to tensors in other files")
        arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    # protobuf, onnx and numpy raise many types of errors for a damaged file.
    except Exception as error:
        raise WeightsError(
            "weights_unreadable", "{source} is damaged or not an ONNX file; please fetch it again.", source=path.name
        ) from error
    return {
        name: torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if not np.issubdtype(array.dtype, np.integer)
    }
