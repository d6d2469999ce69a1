"""`load`: trained networks by name, or checkpoints by path."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import WeightsError, quoted
from ..network.overflow import check_every_layer
from ..runtime.device import usable_device
from ..runtime.files import is_file, replace_file
from ..runtime.remembered import NoCacheError, cache_dir
from ..runtime.resources import resource
from ..vision import preprocessing
from . import convert
from .checkpoint import (
    CHECKPOINT_SUFFIXES,
    assemble,
    load_checkpoint,
    read_pickle,
    read_safetensors,
    save_checkpoint,
    without_auxiliary,
)
from .description import Description, Provenance
from .hub import HubFile, download, fetched, files_in_weights_dir, sha256_of, unreachable_error
from .names import MODEL_NAMES as MODEL_NAMES
from .pretrained import PretrainedModel

if TYPE_CHECKING:
    from torchvision.models import GoogLeNet_Weights

EMBEDDED_WEIGHTS = resource("weights/tiny-imagenet.safetensors")
DEFAULT_MODEL = MODEL_NAMES[0]
# As torchvision.models.GoogLeNet_Weights names it; importing that takes more than a second.
TORCHVISION_FILE = "googlenet-1378be20.pth"
TRIAL_SIDE = 224  # pixels; of photos with which a checkpoint is tried


def load(name: str | Path = DEFAULT_MODEL, device: str | torch.device = "cpu") -> PretrainedModel:
    """Load a trained network by name, or a checkpoint by path.

    "tiny-imagenet" is embedded; "googlenet" (BVLC's, from the Hugging Face hub) and "torchvision" have ImageNet's 1000
    classes and are downloaded once. The folder in the variable INCEPTION_WEIGHTS_DIR is searched first. A path ends in
    .safetensors, .pth or .pt. `device` is a PyTorch device, or "auto" for a GPU if there is one.

    Raises:
        WeightsError: if the weights are unavailable, damaged or of another network; the message says what to do.
        DeviceError: if there is no such device.
    """
    loaders = {"tiny-imagenet": _tiny_imagenet, "googlenet": _googlenet, "torchvision": _torchvision}
    device = usable_device(device)
    if name in loaders:
        pretrained = replace(loaders[str(name)](), imagenet=True)
    elif Path(str(name)).suffix.lower() in CHECKPOINT_SUFFIXES:
        pretrained = load_checkpoint(Path(name))
        check_every_layer(pretrained.name, pretrained.model, _trial_photos(pretrained))
    else:
        raise WeightsError(
            "weights_unknown",
            "There are no weights called {name}; choose one of {names}, or a path that ends in "
            ".safetensors, .pth or .pt.",
            name=quoted(str(name)),
            names=", ".join(MODEL_NAMES),
        )
    pretrained.model.to(device)
    return pretrained


def _trial_photos(pretrained: PretrainedModel) -> Tensor:
    """Return a grey and a noisy photo as the network's input (2, 3, side, side), of at most `TRIAL_SIDE`."""
    side = min(pretrained.input_size, TRIAL_SIDE)
    noise = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0)) * 255
    return pretrained.preprocessing.normalise(torch.stack([torch.full_like(noise, 127.5), noise]))


def _tiny_imagenet() -> PretrainedModel:
    if not is_file(EMBEDDED_WEIGHTS):
        raise WeightsError(
            "weights_embedded_missing",
            "The embedded weights are missing (weights/{file}); please download the whole project again.",
            file=EMBEDDED_WEIGHTS.name,
        )
    return replace(load_checkpoint(EMBEDDED_WEIGHTS), name="tiny-imagenet")


# ---------------------------------------------------------------- googlenet: BVLC's, from the hub


GOOGLENET_FILES = (
    HubFile(
        "onnxmodelzoo/googlenet-8",
        "googlenet-8.onnx",
        28_020_232,
        "3d343d459199fbcc8cd43d45264180e3e1ef91d4908f3541b5b308995206362c",
    ),
    HubFile(
        "onnxmodelzoo/googlenet-6",
        "googlenet-6.onnx",
        28_020_232,
        "bd979d99d10d9acf84c5a67252bcae4992bf4e1afdab046cb0ea370e6f01ee38",
    ),
)
GOOGLENET_FILE_NAMES = (*(file.name for file in GOOGLENET_FILES), "googlenet-bvlc.onnx")


def _googlenet() -> PretrainedModel:
    local_error: WeightsError | None = None
    for local in files_in_weights_dir(GOOGLENET_FILE_NAMES):
        notice = "" if _is_published(local) else f"Read from {local.name}, a file that differs from the published one."
        try:
            return _from_onnx(local, notice)
        except WeightsError as error:
            local_error = local_error or error
    if local_error is not None:
        raise local_error
    for converted in _conversions():
        # A damaged file in the cache is not the user's error; it is downloaded again.
        with suppress(WeightsError):
            return _from_conversion(converted)
    with TemporaryDirectory(prefix="inception-lens-") as fallback_dir:
        onnx, file = download(GOOGLENET_FILES, Path(fallback_dir))
        pretrained = _from_onnx(onnx, "")
    # Without a writable cache folder, the next start converts the file again, which takes a second.
    with suppress(OSError):
        save_checkpoint(
            _converted(file),
            pretrained.model.state_dict(),
            _googlenet_description(pretrained.provenance.notice),
        )
    return pretrained


def _is_published(path: Path) -> bool:
    try:
        return sha256_of(path) in {file.sha256 for file in GOOGLENET_FILES}
    except OSError:
        return False  # reading the weights reports the error


def _converted(file: HubFile) -> Path:
    """Return the path in the cache of a hub file's weights as safetensors."""
    return cache_dir() / f"googlenet-{file.sha256[:12]}.safetensors"


def _conversions() -> list[Path]:
    """Return the converted weights that the cache has."""
    with suppress(NoCacheError):
        return [path for file in GOOGLENET_FILES if is_file(path := _converted(file))]
    return []


def _from_conversion(path: Path) -> PretrainedModel:
    """Read converted weights; the description beside them may be that of an earlier version."""
    state, _ = read_safetensors(path)
    return assemble("googlenet", _googlenet_description(""), state, source=path.name)


def _googlenet_description(notice: str) -> Description:
    return Description(
        variant="googlenet",
        classes=_imagenet_labels(),
        preprocessing=preprocessing.CAFFE,
        provenance=Provenance(
            source="BVLC GoogLeNet from the Caffe and ONNX model zoos (Szegedy et al. 2014)",
            licence="released for unrestricted use",
            training_data="ImageNet (ILSVRC 2012), 1000 classes",
            accuracy="68.7 % top-1 and 88.9 % top-5 on ImageNet's validation photos (published)",
            notice=notice,
        ),
    )


def _from_onnx(path: Path, notice: str) -> PretrainedModel:
    state = convert.rename_tensors(convert.read_onnx(path), convert.caffe_names(), source=path.name)
    return assemble("googlenet", _googlenet_description(notice), state, source=path.name)


# ---------------------------------------------------------------- torchvision's


def _torchvision() -> PretrainedModel:
    from torchvision.models import GoogLeNet_Weights

    published = GoogLeNet_Weights.IMAGENET1K_V1
    source = Path(published.url).name
    local = files_in_weights_dir((source,))
    state = read_pickle(local[0]) if local else _from_torch_hub(published)
    convert.check_finite(state, source=source)
    state = convert.rename_tensors(without_auxiliary(state), convert.torchvision_names(), source=source)
    accuracy = published.meta["_metrics"]["ImageNet-1K"]
    description = Description(
        variant="torchvision",
        classes=_imagenet_labels(),
        preprocessing=preprocessing.TORCHVISION,
        provenance=Provenance(
            source="torchvision's googlenet, ported from TensorFlow; its third branch runs 3x3 "
            "(pytorch/vision issue 906)",
            licence="BSD-3-Clause (torchvision)",
            training_data="ImageNet (ILSVRC 2012), 1000 classes",
            accuracy=f"{accuracy['acc@1']:.1f} % top-1 and {accuracy['acc@5']:.1f} % top-5 on ImageNet's "
            "validation photos (torchvision)",
        ),
    )
    return assemble("torchvision", description, state, source=source)


def _from_torch_hub(published: GoogLeNet_Weights) -> dict[str, Tensor]:
    """Return the weights from torch hub's cache, or download them, and keep them in the cache if it can be written.

    Raises:
        WeightsError: if they cannot be downloaded, stored anywhere or read.
    """
    file = _torch_hub_file(Path(published.url).name)
    if is_file(file):
        try:
            return read_pickle(file)
        except WeightsError as damaged:
            # Not the user's error; it is downloaded again.
            try:
                file.unlink()
            except OSError:
                raise damaged from None
    try:
        # Not by torch.hub, which waits for ever for a server that stalls. The name has the checksum's first digits.
        data = fetched(published.url, file.stem.rpartition("-")[2])
    # urllib raises many types of errors.
    except Exception as error:
        raise unreachable_error("torchvision", "torchvision", file.name, error) from error
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, data)
    # The cache is read-only or full, or something else is in its place.
    except OSError:
        return _read_from_temporary(file.name, data)
    return read_pickle(file)


def _read_from_temporary(name: str, data: bytes) -> dict[str, Tensor]:
    """Read torchvision's weights from a temporary file called `name`, as errors name the file."""
    try:
        with TemporaryDirectory(prefix="inception-lens-") as folder:
            file = Path(folder) / name
            file.write_bytes(data)
            return read_pickle(file)
    except OSError as error:
        raise unreachable_error("torchvision", "torchvision", name, error) from error


def _torch_hub_file(name: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / name


# ---------------------------------------------------------------- both


def _imagenet_labels() -> tuple[str, ...]:
    from torchvision.models import GoogLeNet_Weights

    return tuple(GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"])


def describe(name: str) -> dict[str, Any]:
    """Return the source of the weights `name`, and whether they are on this machine."""
    # Functions, so that a folder that cannot be read or does not exist concerns only the weights that it may hold.
    sources: dict[str, tuple[str, Callable[[], bool]]] = {
        "tiny-imagenet": ("embedded", lambda: is_file(EMBEDDED_WEIGHTS)),
        "googlenet": (GOOGLENET_FILES[0].repository, _has_googlenet),
        "torchvision": ("torchvision", _has_torchvision),
    }
    source, is_at_hand = sources[name]
    return {"model": name, "source": source, "at_hand": is_at_hand()}


def _has_googlenet() -> bool:
    from huggingface_hub import try_to_load_from_cache

    downloaded = (try_to_load_from_cache(file.repository, file.name) for file in GOOGLENET_FILES)
    cached = bool(_conversions()) or any(isinstance(path, str) for path in downloaded)
    return cached or _in_weights_dir(GOOGLENET_FILE_NAMES)


def _has_torchvision() -> bool:
    return is_file(_torch_hub_file(TORCHVISION_FILE)) or _in_weights_dir((TORCHVISION_FILE,))


def _in_weights_dir(names: tuple[str, ...]) -> bool:
    with suppress(WeightsError):
        return bool(files_in_weights_dir(names))
    return False  # a folder that does not exist is reported by `load`
