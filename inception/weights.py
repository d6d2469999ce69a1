"""`load(name)`: a trained network together with all that belongs to it."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from . import convert, preprocessing
from .description import MAX_CLASSES, UNKNOWN
from .description import Description as Description
from .description import Provenance as Provenance
from .device import DEVICES, choose_device, unknown_device
from .engine import engine_of, fast_engine_of
from .errors import QUOTED_CHARACTERS, ChoiceError, WeightsError, quoted
from .files import is_file, is_full, replace_file
from .model import BLOCKS, InceptionV1
from .plain_text import plain
from .preprocessing import Preprocessing
from .resources import resource
from .unknown import Doubt

EMBEDDED = resource("weights/tiny-imagenet.safetensors")
NAMES = ("tiny-imagenet", "googlenet", "torchvision")
DEFAULT_NAME = NAMES[0]
WEIGHTS_DIR_VARIABLE = "INCEPTION_WEIGHTS_DIR"
CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pt")
# A cache folder to which nothing can be written: another will do.
CACHE_UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOSPC, errno.EDQUOT)
DESCRIPTION_KEY = "inception"  # of our safetensors metadata
MEANS_PREFIX = "means."  # of the tensors that are no weights
LONGEST_WHY = 200  # characters of a reason, within a sentence
MAX_DESCRIPTION_BYTES = 32 * 2**20
MAX_RULE_BYTES = 2**16
# Beside the weights and not in them: it is measured when training is over, with photos that training never had,
# and may be measured anew without another file of weights.
DOUBT_SUFFIX = ".unknown.json"


PRECISIONS = ("exact", "fast")


@dataclass(frozen=True)
class Pretrained:
    """A network in evaluation mode with its preprocessing, its labels and its provenance.

    `labels` gives the class names in the order of the logits. `means` gives for each block, for
    instance "4c", the mean of each channel of its output over training photos (C,), or is empty
    where the weights bring none. `training` tells how the weights came about, as far as they say.
    `doubt` says when a photo is probably of none of the classes, or is None where nobody measured that.
    `imagenet` tells that the labels are ImageNet's, so that they can be said in another language.
    """

    name: str
    model: InceptionV1 = field(repr=False)
    preprocessing: Preprocessing
    labels: tuple[str, ...] = field(repr=False)
    provenance: Provenance
    temperature: float = 1.0
    means: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    training: Mapping[str, Any] = field(default_factory=dict, repr=False)
    doubt: Doubt | None = None
    imagenet: bool = False

    @cached_property
    def engine(self) -> InceptionV1:
        """The network as it runs fastest, made at its first use; `model` is the oracle that it agrees with."""
        return engine_of(self.model)

    @cached_property
    def fast_engine(self) -> InceptionV1:
        """For many photos: right to about 0.05 in a logit where this machine is faster so, else `engine` itself."""
        return fast_engine_of(self.model, self.engine)

    def engine_for(self, precision: str) -> InceptionV1:
        """The engine that computes "exact" or "fast".

        Raises:
            ChoiceError: if `precision` is none of `PRECISIONS`.
        """
        if precision not in PRECISIONS:
            raise ChoiceError("precision", precision, PRECISIONS)
        return self.engine if precision == PRECISIONS[0] else self.fast_engine

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def input_size(self) -> int:
        """Side of the square photo that the network sees, in pixels."""
        return self.preprocessing.size

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities, (N, classes) to (N, classes)."""
        return torch.softmax(logits / self.temperature, dim=1)


def load(name: str | Path = DEFAULT_NAME, device: str | torch.device = "cpu") -> Pretrained:
    """Load a trained network by name, or a checkpoint of your own by its path.

    `tiny-imagenet` is embedded; `googlenet` (BVLC's, from the Hugging Face hub) and `torchvision`
    know ImageNet's 1000 classes and are fetched once. A path ends in .safetensors, .pth or .pt.
    `device` is a PyTorch device, or "auto" for a GPU where there is one.
    The folder that INCEPTION_WEIGHTS_DIR names is looked into before any download.

    Raises:
        WeightsError: if the weights cannot be had or do not fit; the message says what to do.
        DeviceError: if there is no such device.
    """
    loaders = {"tiny-imagenet": _tiny_imagenet, "googlenet": _googlenet, "torchvision": _torchvision}
    if isinstance(device, str) and device in DEVICES:
        device = choose_device(device).torch_device
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise unknown_device(device) from error
    if name in loaders:
        pretrained = replace(loaders[str(name)](), imagenet=True)
    elif Path(name).suffix.lower() in CHECKPOINT_SUFFIXES:
        pretrained = _checkpoint(Path(name))
    else:
        raise WeightsError(
            "weights_unknown",
            "There are no weights called {name}; choose one of {names}, or a path that ends in {suffixes}.",
            name=quoted(str(name)),
            names=", ".join(NAMES),
            suffixes=" or ".join(CHECKPOINT_SUFFIXES),
        )
    pretrained.model.to(device)
    return pretrained


# ---------------------------------------------------------------- the embedded weights


def _tiny_imagenet() -> Pretrained:
    if not EMBEDDED.is_file():
        raise WeightsError(
            "weights_embedded_missing",
            "The embedded weights are missing (weights/{file}); please fetch this project again, whole.",
            file=EMBEDDED.name,
        )
    return replace(_checkpoint(EMBEDDED), name="tiny-imagenet")


# ---------------------------------------------------------------- a user's own checkpoint


def _checkpoint(path: Path) -> Pretrained:
    if not is_file(path):
        raise WeightsError("weights_missing", "There is no file {name}; please check the path.", name=quoted(path.name))
    source = _called(path)
    state, metadata = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else (_read_pickle(path), {})
    # Also of what is taken out below: means, and auxiliary classifiers.
    convert.check_finite(state, source=source)
    means = _taken_means(state, source)
    state = _our_names(state, source)
    description = _description(path, metadata, _guessed(state, source, bool(metadata)))
    assembled = _assembled(plain(path.stem, QUOTED_CHARACTERS), description, state, source=source)
    return replace(assembled, means=means, doubt=_doubt(doubt_file(path)))


def _called(path: Path) -> str:
    """A file as sentences call it."""
    return plain(path.name, QUOTED_CHARACTERS)


def _text_of(path: Path, most: int) -> str:
    """The text of a file of at most so many bytes.

    Raises:
        ValueError, OSError: if it has more, or cannot be read.
    """
    if path.stat().st_size > most:
        raise ValueError(f"it has more than {most // 1024} kB")
    return path.read_text(encoding="utf-8")


def doubt_file(path: Path) -> Path:
    """Where the rule of the checkpoint at `path` lies, if there is one; `evaluate --unknown DIR --keep` writes it."""
    return path.with_suffix(DOUBT_SUFFIX)


def _doubt(path: Path) -> Doubt | None:
    if not path.is_file():
        return None
    try:
        return Doubt.from_json(_text_of(path, MAX_RULE_BYTES))
    except (ValueError, TypeError, RecursionError, OSError) as error:
        raise WeightsError(
            "weights_doubt",
            "{source} cannot be used ({why}); please measure it again with evaluate --unknown, or remove it.",
            source=_called(path),
            why=_in_short(error),
        ) from error


def _taken_means(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
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
            if not all(_is_plain(name, tensor) for name, tensor in state.items()):
                raise ValueError("it holds complex numbers")
            return state, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path) from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
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
            source=_called(path),
        ) from error
    # torch.load raises what its zip reader, its unpickler and its storages raise.
    except Exception as error:
        raise _unreadable(path) from error
    if not isinstance(state, Mapping) or not all(_is_plain(name, tensor) for name, tensor in state.items()):
        raise WeightsError(
            "weights_no_state_dict",
            "{source} holds no state dict; save it with torch.save(model.state_dict(), path).",
            source=_called(path),
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


def _is_plain(name: object, tensor: object) -> bool:
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
        source=_called(path),
    )


def _our_names(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Recognise the design document's and torchvision's names by one layer that only they have."""
    if "conv3.0.conv1.0.weight" in state:
        return convert.renamed(state, convert.design_names(), source=source, may_lack_biases=True)
    if "inception3a.branch1.conv.weight" in state:
        return convert.renamed(_without_auxiliary(state), convert.torchvision_names(), source=source)
    return {name: tensor for name, tensor in state.items() if not name.startswith("aux.")}


def _without_auxiliary(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(("aux1.", "aux2."))}


def _description(path: Path, metadata: dict[str, str], guessed: Description) -> Description:
    """What stands beside the checkpoint or in it; of what is not said, the tensors tell."""
    beside = path.with_suffix(".json")
    try:
        if beside.is_file():
            return Description.from_json(_text_of(beside, MAX_DESCRIPTION_BYTES), guessed)
        if DESCRIPTION_KEY in metadata:
            return Description.from_json(metadata[DESCRIPTION_KEY], guessed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise _bad_description(_called(path), error) from error
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
    return plain(f"missing {error}" if isinstance(error, KeyError) else str(error), LONGEST_WHY).rstrip(".")


def _guessed(state: Mapping[str, Tensor], source: str, has_metadata: bool) -> Description:
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
        provenance=replace(UNKNOWN, notice=notice),
        preact=preact,
        use_bias="inception_3a.1x1.conv.bias" in state or variant != "batchnorm",
    )


def _assembled(name: str, description: Description, state: Mapping[str, Tensor], *, source: str) -> Pretrained:
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
    return Pretrained(
        name=name,
        model=model,
        preprocessing=description.preprocessing,
        labels=description.classes,
        provenance=description.provenance,
        temperature=description.temperature,
        training=description.training,
    )


def save(
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


# ---------------------------------------------------------------- googlenet: BVLC's, from the hub


@dataclass(frozen=True)
class HubFile:
    """A published file and how to tell that it is the right one."""

    repository: str
    name: str
    size: int
    sha256: str


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
GOOGLENET_LOCAL = (*(file.name for file in GOOGLENET_FILES), "googlenet-bvlc.onnx")


def _googlenet() -> Pretrained:
    unfit: WeightsError | None = None
    for local in _in_weights_dir(GOOGLENET_LOCAL):
        published = {file.sha256 for file in GOOGLENET_FILES}
        notice = "" if _sha256(local) in published else f"{local.name} is not byte-identical to the published file."
        try:
            return _from_onnx(local, notice)
        except WeightsError as error:
            unfit = unfit or error
    if unfit is not None:
        raise unfit
    cached = [_cache_dir() / f"googlenet-{file.sha256[:12]}.safetensors" for file in GOOGLENET_FILES]
    for path in cached:
        # A cached file that went bad is fetched anew; it is never shown to the user as an error.
        with suppress(WeightsError):
            if path.is_file():
                return replace(_checkpoint(path), name="googlenet")
    with TemporaryDirectory(prefix="inception-lens-") as spare:
        onnx, file = _download(GOOGLENET_FILES, Path(spare))
        pretrained = _from_onnx(onnx, "")
    # A cache folder that cannot be written costs a second at the next start, and nothing else.
    with suppress(OSError):
        save(
            cached[GOOGLENET_FILES.index(file)],
            pretrained.model.state_dict(),
            _googlenet_description(pretrained.provenance.notice),
        )
    return pretrained


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


def _from_onnx(path: Path, notice: str) -> Pretrained:
    state = convert.renamed(convert.read_onnx(path), convert.caffe_names(), source=path.name)
    return _assembled("googlenet", _googlenet_description(notice), state, source=path.name)


def _download(files: tuple[HubFile, ...], spare: Path) -> tuple[Path, HubFile]:
    """The first of `files` that the hub has, verified. A wrong file is deleted, not kept.

    It lies in the hub's cache, or in the folder `spare` where nothing can be written there.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

    for file in files:
        try:
            path = _from_hub(file, spare)
        except (RepositoryNotFoundError, RemoteEntryNotFoundError):
            continue
        # Network, disk and protocol each raise errors of their own; none leaves a file under the final name.
        except Exception as error:
            raise _unreachable("googlenet", "Hugging Face", error) from error
        if path.stat().st_size == file.size and _sha256(path) == file.sha256:
            return path, file
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise WeightsError(
            "weights_checksum",
            "{file} from the Hugging Face hub is not the published file (wrong size or checksum), so it was deleted. "
            "Please try again later; until then, another model can be used.",
            file=file.name,
        )
    raise WeightsError(
        "weights_gone",
        "The Hugging Face hub has none of {files} any more; please put one of them into a folder and name that folder "
        "in {variable}.",
        files=", ".join(file.name for file in files),
        variable=WEIGHTS_DIR_VARIABLE,
    )


def _from_hub(file: HubFile, spare: Path) -> Path:
    """From the hub's own cache (a Space fills it when it is built), else over the network."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError

    with suppress(LocalEntryNotFoundError):
        return Path(hf_hub_download(file.repository, file.name, local_files_only=True))
    # Read at each call and not at import, so that a mirror can be named at run time.
    endpoint = os.environ.get("HF_ENDPOINT")
    # Asked once: the download itself would try a hub that is out of reach for the better part of a minute.
    get_hf_file_metadata(hf_hub_url(file.repository, file.name, endpoint=endpoint), timeout=10, endpoint=endpoint)
    try:
        return Path(hf_hub_download(file.repository, file.name, endpoint=endpoint))
    except OSError as error:
        # What the network raises is an OSError too, but none of these.
        if error.errno not in CACHE_UNUSABLE:
            raise
        return Path(hf_hub_download(file.repository, file.name, endpoint=endpoint, cache_dir=spare))


# ---------------------------------------------------------------- torchvision's


def _torchvision() -> Pretrained:
    from torchvision.models import GoogLeNet_Weights

    published = GoogLeNet_Weights.IMAGENET1K_V1
    local = _in_weights_dir((Path(published.url).name,))
    if local:
        state = _read_pickle(local[0])
    else:
        try:
            if not (Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name).is_file():
                # torch.hub waits for ever on a network that swallows what is sent to it.
                urlopen(Request(published.url, method="HEAD"), timeout=10).close()
            state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
        # urllib, the disk and the unpickler each raise errors of their own; torch.hub keeps no unfinished file.
        except Exception as error:
            raise _unreachable("torchvision", "torchvision", error) from error
    source = Path(published.url).name
    convert.check_finite(state, source=source)
    state = convert.renamed(_without_auxiliary(state), convert.torchvision_names(), source=source)
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
    return _assembled("torchvision", description, state, source=source)


# ---------------------------------------------------------------- shared by the two


def _imagenet_labels() -> tuple[str, ...]:
    from torchvision.models import GoogLeNet_Weights

    return tuple(GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"])


def _in_weights_dir(names: tuple[str, ...]) -> list[Path]:
    """Those of the files called `names` that lie in the folder that the operator named."""
    folder = os.environ.get(WEIGHTS_DIR_VARIABLE)
    if not folder:
        return []
    if not Path(folder).is_dir():
        raise WeightsError(
            "weights_folder",
            "{variable} names a folder that is not there; please correct it, or leave it unset.",
            variable=WEIGHTS_DIR_VARIABLE,
        )
    return [path for name in names if (path := Path(folder) / name).is_file()]


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "inception-lens"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreachable(name: str, where: str, why: Exception) -> WeightsError:
    if is_full(why):
        return WeightsError(
            "weights_no_room",
            "There is no room left on the disk for the weights of {name}; please make some and try again. Until then, "
            "another model can be used.",
            name=name,
        )
    return WeightsError(
        "weights_unreachable",
        "The weights of {name} could not be fetched from {where}; please check the network and try again, or put the "
        "file into a folder and name that folder in {variable}.",
        name=name,
        where=where,
        variable=WEIGHTS_DIR_VARIABLE,
    )


def describe(name: str) -> dict[str, Any]:
    """Whether the weights called `name` lie on this machine, and where they would come from."""
    where = {
        "tiny-imagenet": ("embedded", EMBEDDED.is_file()),
        "googlenet": (GOOGLENET_FILES[0].repository, _googlenet_at_hand()),
        "torchvision": ("torchvision", _torchvision_at_hand()),
    }
    source, at_hand = where[name]
    return {"model": name, "source": source, "at_hand": at_hand}


def _googlenet_at_hand() -> bool:
    from huggingface_hub import try_to_load_from_cache

    cached = any(
        (_cache_dir() / f"googlenet-{file.sha256[:12]}.safetensors").is_file()
        or isinstance(try_to_load_from_cache(file.repository, file.name), str)
        for file in GOOGLENET_FILES
    )
    return cached or bool(_in_weights_dir(GOOGLENET_LOCAL))


def _torchvision_at_hand() -> bool:
    from torchvision.models import GoogLeNet_Weights

    name = Path(GoogLeNet_Weights.IMAGENET1K_V1.url).name
    return (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file() or bool(_in_weights_dir((name,)))
