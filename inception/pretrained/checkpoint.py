"""Reading and writing of checkpoints: safetensors and PyTorch files with their descriptions."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from os.path import commonprefix
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from ..errors import QUOTED_CHARACTERS, WeightsError, quoted
from ..network.blocks import BLOCKS
from ..network.inception_v1 import VARIANTS, InceptionV1
from ..runtime.files import is_file, replace_file
from ..runtime.plain_text import plain
from ..vision import preprocessing
from . import convert
from .description import MAX_CLASSES, UNKNOWN_PROVENANCE, Description
from .pretrained import PretrainedModel
from .rejection import RejectionRule

CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pt")
DESCRIPTION_KEY = "inception"  # in the metadata of safetensors files
WRAPPINGS = ("state_dict", "model_state_dict", "model")  # keys under which training loops store a state dict
MEANS_PREFIX = "means."  # of the names of branch means, which are stored among the weights
MAX_REASON = 200  # characters of the cause in an error sentence
MAX_DESCRIPTION_BYTES = 32 * 2**20
MAX_RULE_BYTES = 2**16
# The rule is a file of its own, so that it can be measured again, on other photos, without rewriting the weights.
REJECTION_SUFFIX = ".unknown.json"


def load_checkpoint(path: Path) -> PretrainedModel:
    """Load a checkpoint with its description, branch means and rejection rule; `name` is the file's stem.

    Raises:
        WeightsError: if a file is missing, unreadable, unsafe or of another network.
    """
    if not is_file(path):
        raise WeightsError("weights_missing", "There is no file {name}; please check the path.", name=quoted(path.name))
    source = _shown_name(path)
    state, metadata = read_safetensors(path) if path.suffix.lower() == ".safetensors" else (read_pickle(path), {})
    # Before branch means and auxiliary classifiers are removed, so that they are checked too.
    convert.check_finite(state, source=source)
    means = _pop_means(state, source)
    state = _canonical_names(state, source)
    inferred = _inferred_description(state, source, bool(metadata))
    description = _description(path, metadata, inferred)
    _check_variant(state, description.variant, inferred.variant, source)
    assembled = assemble(plain(path.stem, QUOTED_CHARACTERS), description, state, source=source)
    return replace(assembled, means=means, rejection=_rejection(rejection_file(path)))


def _check_variant(state: Mapping[str, Tensor], described: str, inferred: str, source: str) -> None:
    """Check that a description does not name another variant than the tensors are of.

    Raises:
        WeightsError: if it does.
    """
    has_norms = any(".bn." in name for name in state)
    # Only of a complete network: where tensors are missing, the error that lists them says more.
    if (
        described in tuple(VARIANTS)
        and described != inferred
        and "stem.conv1.conv.weight" in state
        and has_norms == (inferred != "googlenet")
    ):
        raise WeightsError(
            "weights_variant",
            'The description of {source} says "variant": "{described}", but the tensors are of the variant {inferred}; '
            "please correct the description.",
            source=source,
            described=described,
            inferred=inferred,
        )


def _shown_name(path: Path) -> str:
    """Return a file's name for error sentences."""
    return plain(path.name, QUOTED_CHARACTERS)


def _read_text(path: Path, max_bytes: int) -> str:
    """Read a file of bounded size.

    Raises:
        ValueError, OSError: if it is larger, or cannot be read.
    """
    if path.stat().st_size > max_bytes:
        raise ValueError(f"it has more than {max_bytes // 1024} kB")
    return path.read_text(encoding="utf-8")


def rejection_file(path: Path) -> Path:
    """Return the path of a checkpoint's rejection rule, which `evaluate --unknown DIR --keep` writes."""
    return path.with_suffix(REJECTION_SUFFIX)


def _rejection(path: Path) -> RejectionRule | None:
    if not is_file(path):
        return None
    try:
        return RejectionRule.from_json(_read_text(path, MAX_RULE_BYTES))
    except (ValueError, TypeError, RecursionError, OSError) as error:
        raise WeightsError(
            "weights_doubt",
            "{source} cannot be used ({why}); please measure it again with evaluate --unknown, or remove it.",
            source=_shown_name(path),
            why=_reason(error),
        ) from error


def _pop_means(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Remove the branch means from `state` and return them by block, or an empty dict if there are none."""
    named = {name.removeprefix(MEANS_PREFIX): name for name in state if name.startswith(MEANS_PREFIX)}
    # Copies: the tensors of a safetensors file are memory-mapped, so overwriting the file would change them, and
    # truncating it would end this process.
    means = {block: state.pop(name).to(torch.float32, copy=True) for block, name in named.items()}
    shapes = {block: (sum((w.n1x1, w.n3x3[1], w.n5x5[1], w.pool_proj)),) for block, w in BLOCKS.items()}
    if means and {block: tuple(mean.shape) for block, mean in means.items()} != shapes:
        raise WeightsError(
            "weights_means",
            "The means of the branches in {source} do not fit this network; please save it again.",
            source=source,
        )
    return means


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a safetensors file; a common prefix of the names is removed.

    Raises:
        WeightsError: if it is damaged or holds anything but dense tensors of real numbers.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if not all(_is_dense_cpu_tensor(name, tensor) for name, tensor in state.items()):
                raise ValueError("it holds complex numbers, or packed ones")
            return _without_common_prefix(state), dict(file.metadata() or {})
    # An AttributeError for types that this PyTorch does not have.
    except (SafetensorError, OSError, ValueError, AttributeError) as error:
        raise _unreadable(path) from error


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Read a state dict that `torch.save` wrote, without running code from it.

    Wrappings (`_unwrapped`) and a common prefix of the names are removed.

    Raises:
        WeightsError: if it is damaged or holds anything but dense CPU tensors.
    """
    try:
        _check_uncompressed(path)
        with warnings.catch_warnings():
            # These warnings are for programmers, and contain the path of the torch installation.
            warnings.filterwarnings("ignore", module=r"torch\.")
            state = _unwrapped(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "weights_unsafe",
            "{source} is damaged or holds more than tensors, and running code from a checkpoint is not allowed. "
            "Save it with torch.save(model.state_dict(), path), or as safetensors.",
            source=_shown_name(path),
        ) from error
    # torch.load lets the errors of its zip reader, its unpickler and its storages through.
    except Exception as error:
        raise _unreadable(path) from error
    if not isinstance(state, Mapping) or not all(_is_dense_cpu_tensor(name, tensor) for name, tensor in state.items()):
        raise WeightsError(
            "weights_no_state_dict",
            "{source} holds no state dict, neither by itself nor as {keys}; save it with "
            "torch.save(model.state_dict(), path).",
            source=_shown_name(path),
            keys=", ".join(WRAPPINGS),
        )
    return _without_common_prefix(state)


def _unwrapped(saved: object) -> object:
    """Return the state dict that training loops and Lightning store beside other things, or what was saved itself."""
    if isinstance(saved, Mapping):
        return next((saved[key] for key in WRAPPINGS if isinstance(saved.get(key), Mapping)), saved)
    return saved


def _without_common_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove what all names begin with: `module.` of DataParallel, `_orig_mod.` of `torch.compile`, a model's own.

    Branch means have no such prefix: a network wrapped in another does not contain them.
    """
    names = [name for name in state if not name.startswith(MEANS_PREFIX)]
    prefix = commonprefix(names).rpartition(".")[0]  # noqa: RUF071 - of characters, up to the last dot
    return {name.removeprefix(f"{prefix}."): tensor for name, tensor in state.items()}


def _check_uncompressed(path: Path) -> None:
    """Refuse compressed archives, which may expand a thousandfold; `torch.save` does not compress.

    Raises:
        ValueError: if the entries are larger than the file.
    """
    if is_zipfile(path):
        with ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is compressed")


def _is_dense_cpu_tensor(name: object, tensor: object) -> bool:
    """Return whether this is a named tensor whose storage holds all its elements: not sparse, meta or expanded."""
    return (
        isinstance(name, str)
        and isinstance(tensor, Tensor)
        and not tensor.is_nested
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not (tensor.is_quantized or tensor.is_complex())
        and _becomes_float(tensor.dtype)
        and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
    )


@cache
def _becomes_float(dtype: torch.dtype) -> bool:
    """Return whether PyTorch converts such numbers to float32; it does not for those of fewer than 8 bits."""
    try:
        torch.empty(1, dtype=dtype).float()
    except RuntimeError:
        return False
    return True


def _unreadable(path: Path) -> WeightsError:
    return WeightsError(
        "weights_unreadable",
        "{source} is damaged or not a checkpoint; please fetch or save it again.",
        source=_shown_name(path),
    )


def _canonical_names(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Rename the tensors of the design document's and torchvision's networks, recognised by a layer of each."""
    if "conv3.0.conv1.0.weight" in state:
        return convert.rename_tensors(state, convert.design_names(), source=source, optional_biases=True)
    if "inception3a.branch1.conv.weight" in state:
        return convert.rename_tensors(without_auxiliary(state), convert.torchvision_names(), source=source)
    return {name: tensor for name, tensor in state.items() if not name.startswith("aux.")}


def without_auxiliary(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return torchvision's state dict without its auxiliary classifiers."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(("aux1.", "aux2."))}


def _description(path: Path, metadata: dict[str, str], inferred: Description) -> Description:
    """Read the description beside the checkpoint or in its metadata; missing fields are those of `inferred`."""
    json_file = path.with_suffix(".json")
    try:
        if is_file(json_file):
            return Description.from_json(_read_text(json_file, MAX_DESCRIPTION_BYTES), inferred)
        if DESCRIPTION_KEY in metadata:
            return Description.from_json(metadata[DESCRIPTION_KEY], inferred)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise _bad_description(_shown_name(path), error) from error
    return inferred


def _bad_description(source: str, error: Exception) -> WeightsError:
    return WeightsError(
        "weights_description",
        "The description of {source} cannot be used ({why}); it is a JSON object with at least "
        '"classes" (a list of names) and "preprocessing" (see weights/README.md).',
        source=source,
        why=_reason(error),
    )


def _reason(error: Exception) -> str:
    """Return the cause as part of a sentence, without the paths that an OSError's text contains."""
    if isinstance(error, OSError):
        return "it cannot be read"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return plain(f"missing {error}" if isinstance(error, KeyError) else str(error), MAX_REASON).rstrip(".")


def _inferred_description(state: Mapping[str, Tensor], source: str, has_metadata: bool) -> Description:
    """Describe a bare state dict: its layers give the variant; classes are numbered, preprocessing is the usual one."""
    classifier, norm = state.get("head.classifier.weight"), state.get("inception_3a.1x1.bn.weight")
    count = 0 if classifier is None or not classifier.dim() else classifier.shape[0]
    if count > MAX_CLASSES:
        raise WeightsError(
            "weights_classes",
            "{source} is for {count} classes; at most {limit} are allowed. Please choose another checkpoint.",
            source=source,
            count=count,
            limit=MAX_CLASSES,
        )
    preact = False
    if "stem.conv1.bn.weight" in state:
        variant, usual = "torchvision", preprocessing.TORCHVISION
    elif norm is not None:
        variant, usual = "batchnorm", preprocessing.IMAGENET
        # BatchNorm before the convolution has the channels of the block's input.
        preact = norm.shape == (BLOCKS["3a"].in_channels,)
    else:
        variant, usual = "googlenet", preprocessing.CAFFE
    unknown_metadata = "; its metadata has another form" if has_metadata else ""
    notice = (
        f"{source} has no description of its classes and its preprocessing{unknown_metadata}: the classes are "
        f"numbered, and the usual preprocessing at {usual.size} pixels is assumed."
    )
    return Description(
        variant=variant,
        classes=tuple(f"class {index}" for index in range(count)),
        preprocessing=usual,
        provenance=replace(UNKNOWN_PROVENANCE, notice=notice),
        preact=preact,
        use_bias="inception_3a.1x1.conv.bias" in state or variant != "batchnorm",
    )


def assemble(name: str, description: Description, state: Mapping[str, Tensor], *, source: str) -> PretrainedModel:
    """Build the network that `description` describes and load `state` into it.

    Raises:
        WeightsError: if the description is not allowed, or the tensors do not fit.
    """
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
    convert.load_state(model, state, source=source)
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
    """Write a safetensors file for `load(path)` atomically.

    `means` holds for each block the mean of each output channel over training photos (C,).
    """
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    named_means = {f"{MEANS_PREFIX}{block}": mean for block, mean in (means or {}).items()}
    tensors = {name: tensor.contiguous() for name, tensor in {**state, **named_means}.items()}
    # Not `save_file`, whose files only the owner may read.
    replace_file(path, save(tensors, metadata={DESCRIPTION_KEY: description.to_json()}))
