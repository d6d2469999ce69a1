"""`load(name)`: a trained network together with all that belongs to it."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import WeightsError
from ..runtime.files import is_full
from .description import Description as Description
from .description import Provenance as Provenance

WEIGHTS_DIR_VARIABLE = "INCEPTION_WEIGHTS_DIR"
# A cache folder to which nothing can be written: another will do.
CACHE_UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOSPC, errno.EDQUOT)


# ---------------------------------------------------------------- googlenet: BVLC's, from the hub


@dataclass(frozen=True)
class HubFile:
    """A published file and how to tell that it is the right one."""

    repository: str
    name: str
    size: int
    sha256: str


def download(files: tuple[HubFile, ...], spare: Path) -> tuple[Path, HubFile]:
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
            raise unreachable_error("googlenet", "Hugging Face", error) from error
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


def in_weights_dir(names: tuple[str, ...]) -> list[Path]:
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


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "inception-lens"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreachable_error(name: str, where: str, why: Exception) -> WeightsError:
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
