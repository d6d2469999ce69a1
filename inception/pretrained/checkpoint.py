"""`load(name)`: a trained network together with all that belongs to it."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from inception.pretrained.pretrained import PretrainedModel

from ..errors import QUOTED_CHARACTERS, WeightsError, quoted
from ..network.blocks import BLOCKS
from ..network.inception_v1 import InceptionV1
from ..runtime.files import is_file, replace_file
from ..runtime.plain_text import plain
from ..vision import preprocessing
from . import convert
from .description import MAX_CLASSES, UNKNOWN_PROVENANCE
from .description import Description as Description
from .description import Provenance as Provenance
from .rejection import RejectionRule

CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pt")
DESCRIPTION_KEY = "inception"  # of our safetensors metadata
MEANS_PREFIX = "means."  # of the tensors that are no weights
MAX_REASON = 200  # characters of a reason, within a sentence
MAX_DESCRIPTION_BYTES = 32 * 2**20
MAX_RULE_BYTES = 2**16
# Beside the weights and not in them: it is measured when training is over, with photos that training never had,
# and may be measured anew without another file of weights.
REJECTION_SUFFIX = ".unknown.json"


# ---------------------------------------------------------------- a user's own checkpoint


def load_checkpoint(path: Path) -> PretrainedModel:
    if not is_file(path):
        raise WeightsError("weights_missing", "There is no file {name}; please check the path.", name=quoted(path.name))
    source = _shown_name(path)
    state, metadata = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else (read_pickle(path), {})
    # Also of what is taken out below: means, and auxiliary classifiers.
    convert.check_finite(state, source=source)
    means = _pop_means(state, source)
    state = _canonical_names(state, source)
    description = _description(path, metadata, _inferred_description(state, source, bool(metadata)))
    assembled = assemble(plain(path.stem, QUOTED_CHARACTERS), description, state, source=source)
    return replace(assembled, means=means, rejection=_rejection(rejection_file(path)))


def _shown_name(path: Path) -> str:
    """A file as sentences call it."""
    return plain(path.name, QUOTED_CHARACTERS)


def _read_text(path: Path, most: int) -> str:
    """The text of a file of at most so many bytes.

    Raises:
        ValueError, OSError: if it has more, or cannot be read.
    """
    if path.stat().st_size > most:
        raise ValueError(f"it has more than {most // 1024} kB")
    return path.read_text(encoding="utf-8")


def rejection_file(path: Path) -> Path:
    """Where the rule of the checkpoint at `path` lies, if there is one; `evaluate --unknown DIR --keep` writes it."""
    return path.with_suffix(REJECTION_SUFFIX)


def _rejection(path: Path) -> RejectionRule | None:
    if not path.is_file():
        return None
    try:
        return RejectionRule.from_json(_read_text(path, MAX_RULE_BYTES))
    except (ValueError, TypeError, RecursionError, OSError) as error:
        raise WeightsError(
            "weights_doubt",
            "{source} cannot be used ({why}); please measure it again with evaluate --unknown, or remove it.",
            source=_shown_name(path),
            why=_in_short(error),
        ) from error


def _pop_means(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Take the branch means, which are no weights, out of `state`: none, or one for each block."""
    named = {name.removeprefix(MEANS_PREFIX): name for name in state if name.startswith(MEANS_PREFIX)}
    means = {block: state.pop(name).float() for block, name in named.items()}
    wanted = {block: (sum((w.n1x1, w.n3x3[1], w.n5x5[1], w.pool_proj)),) for block, w in BLOCKS.items()}
    if means and {block: tuple(mean.shape) for block, mean in means.items()} != wanted:
        raise WeightsError(
            "weights_means",
            "The means of the branches in {source} do not fit this network; please save it again.",
            source=source,
        )
    return means


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if not all(_is_dense_cpu_tensor(name, tensor) for name, tensor in state.items()):
                raise ValueError("it holds complex numbers")
            return state, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path) from error


def read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        _check_unpacked(path)
        with warnings.catch_warnings():
            # Remarks for programmers, which tell where torch is installed.
            warnings.filterwarnings("ignore", module=r"torch\.")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "weights_unsafe",
            "{source} is damaged or holds more than tensors, and running code from a checkpoint is not allowed. "
            "Save it with torch.save(model.state_dict(), path), or as safetensors.",
            source=_shown_name(path),
        ) from error
    # torch.load raises what its zip reader, its unpickler and its storages raise.
    except Exception as error:
        raise _unreadable(path) from error
    if not isinstance(state, Mapping) or not all(_is_dense_cpu_tensor(name, tensor) for name, tensor in state.items()):
        raise WeightsError(
            "weights_no_state_dict",
            "{source} holds no state dict; save it with torch.save(model.state_dict(), path).",
            source=_shown_name(path),
        )
    return dict(state)


def _check_unpacked(path: Path) -> None:
    """`torch.save` packs nothing. What is packed may be a thousand times as large, and is read whole.

    Raises:
        ValueError: if the file says that it holds more than it is large.
    """
    if is_zipfile(path):
        with ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is packed")


def _is_dense_cpu_tensor(name: object, tensor: object) -> bool:
    """Numbers in a file, as a network keeps them: neither a promise of numbers nor a part of them for the whole."""
    return (
        isinstance(name, str)
        and isinstance(tensor, Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not (tensor.is_quantized or tensor.is_complex())
        and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
    )


def _unreadable(path: Path) -> WeightsError:
    return WeightsError(
        "weights_unreadable",
        "{source} is damaged or no checkpoint; please fetch or save it again.",
        source=_shown_name(path),
    )


def _canonical_names(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Recognise the design document's and torchvision's names by one layer that only they have."""
    if "conv3.0.conv1.0.weight" in state:
        return convert.renamed(state, convert.design_names(), source=source, may_lack_biases=True)
    if "inception3a.branch1.conv.weight" in state:
        return convert.renamed(without_auxiliary(state), convert.torchvision_names(), source=source)
    return {name: tensor for name, tensor in state.items() if not name.startswith("aux.")}


def without_auxiliary(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(("aux1.", "aux2."))}


def _description(path: Path, metadata: dict[str, str], guessed: Description) -> Description:
    """What stands beside the checkpoint or in it; of what is not said, the tensors tell."""
    beside = path.with_suffix(".json")
    try:
        if beside.is_file():
            return Description.from_json(_read_text(beside, MAX_DESCRIPTION_BYTES), guessed)
        if DESCRIPTION_KEY in metadata:
            return Description.from_json(metadata[DESCRIPTION_KEY], guessed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise _bad_description(_shown_name(path), error) from error
    return guessed


def _bad_description(source: str, error: Exception) -> WeightsError:
    return WeightsError(
        "weights_description",
        "The description of {source} cannot be used ({why}); it is a JSON object with at least "
        '"classes" (a list of names) and "preprocessing" (see weights/README.md).',
        source=source,
        why=_in_short(error),
    )


def _in_short(error: Exception) -> str:
    """Why, in part of a sentence; an error of the system would name the folder."""
    if isinstance(error, OSError):
        return "it cannot be read"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return plain(f"missing {error}" if isinstance(error, KeyError) else str(error), MAX_REASON).rstrip(".")


def _inferred_description(state: Mapping[str, Tensor], source: str, has_metadata: bool) -> Description:
    """For a bare state dict: the variant from its layers, numbered classes, ImageNet's preprocessing."""
    classifier, norm = state.get("head.classifier.weight"), state.get("inception_3a.1x1.bn.weight")
    count = 0 if classifier is None or not classifier.dim() else classifier.shape[0]
    if count > MAX_CLASSES:
        raise WeightsError(
            "weights_classes",
            "{source} is for {count} classes, at most {limit} are allowed; please choose another checkpoint.",
            source=source,
            count=count,
            limit=MAX_CLASSES,
        )
    preact = False
    if "stem.conv1.bn.weight" in state:
        variant, how = "torchvision", preprocessing.TORCHVISION
    elif norm is not None:
        variant, how = "batchnorm", preprocessing.IMAGENET
        # BatchNorm before the convolution is as wide as the block's input.
        preact = norm.shape == (BLOCKS["3a"].in_channels,)
    else:
        variant, how = "googlenet", preprocessing.CAFFE
    nothing = "The metadata is not of a form that this program reads, and nothing" if has_metadata else "Nothing"
    notice = (
        f"{nothing} beside {source} says which classes it knows and how it wants its photos: the classes are "
        f"numbered, and the usual preprocessing at {how.size} pixels is assumed."
    )
    return Description(
        variant=variant,
        classes=tuple(f"class {index}" for index in range(count)),
        preprocessing=how,
        provenance=replace(UNKNOWN_PROVENANCE, notice=notice),
        preact=preact,
        use_bias="inception_3a.1x1.conv.bias" in state or variant != "batchnorm",
    )


def assemble(name: str, description: Description, state: Mapping[str, Tensor], *, source: str) -> PretrainedModel:
    side = description.preprocessing.size
    try:
        model = InceptionV1(
            variant=description.variant,
            classes=len(description.classes) or 1,
            input_shape=(3, side, side),
            preact=description.preact,
            use_bias=description.use_bias,
        )
    except ValueError as error:
        raise _bad_description(source, error) from error
    convert.fill(model, state, source=source)
    model.eval().requires_grad_(False)
    return PretrainedModel(
        name=name,
        model=model,
        preprocessing=description.preprocessing,
        labels=description.classes,
        provenance=description.provenance,
        temperature=description.temperature,
        training=description.training,
    )


def save_checkpoint(
    path: Path, state: Mapping[str, Tensor], description: Description, means: Mapping[str, Tensor] | None = None
) -> None:
    """Write a safetensors file that `load(path)` understands; it is whole or not there at all.

    `means` holds for each block the mean of each of its channels over training photos (C,).
    """
    from safetensors.torch import save as serialised

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = {f"{MEANS_PREFIX}{block}": mean for block, mean in (means or {}).items()}
    tensors = {name: tensor.contiguous() for name, tensor in {**state, **beside}.items()}
    # Not `save_file`: what it writes nobody but the owner may read.
    replace_file(path, serialised(tensors, metadata={DESCRIPTION_KEY: description.to_json()}))
