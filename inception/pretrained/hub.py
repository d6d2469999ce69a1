"""Published weights: verified downloads from the Hugging Face hub, the operator's folder and the cache."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from ..errors import WeightsError
from ..runtime.files import is_file, is_folder, is_full

WEIGHTS_DIR_VARIABLE = "INCEPTION_WEIGHTS_DIR"
STALLED_SECONDS = 30.0  # without any data, after which a download is given up
MAX_BYTES = 128 * 2**20  # of a file that `fetched` keeps in memory
# Errors of a cache folder that cannot be written; another folder is used then.
CACHE_UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class HubFile:
    """A published file and its checksum."""

    repository: str
    name: str
    size: int
    sha256: str


def download(files: tuple[HubFile, ...], fallback_dir: Path) -> tuple[Path, HubFile]:
    """Return the path of the first of `files` that the hub's cache has, or else the hub, and which file it is.

    A downloaded file goes into the hub's cache, or into `fallback_dir` if the cache cannot be written. All are
    verified: a file with a wrong size or checksum is deleted.

    Raises:
        WeightsError: if the hub is unreachable, has none of the files, or sends a wrong one.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

    # All of them are looked for in the cache first, so that any one is enough without a network.
    for file in files:
        if (cached := _from_cache(file)) is not None:
            return cached, file
    for file in files:
        try:
            path = _from_hub(file, fallback_dir)
            published = _is_published(path, file)
        except (RepositoryNotFoundError, RemoteEntryNotFoundError):
            continue
        # Network, disk and protocol raise many types of errors; none leaves a file under the final name.
        except Exception as error:
            raise unreachable_error("googlenet", "Hugging Face", file.name, error) from error
        if published:
            return path, file
        _delete(path)
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


def _from_cache(file: HubFile) -> Path | None:
    """Return a file from the hub's cache, which a Space fills when it is built; a damaged one is deleted."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(file.repository, file.name)
    if not isinstance(cached, str):
        return None
    path = Path(cached)
    with suppress(OSError):
        if _is_published(path, file):
            return path
    _delete(path)
    return None


def _is_published(path: Path, file: HubFile) -> bool:
    return path.stat().st_size == file.size and sha256_of(path) == file.sha256


def _delete(path: Path) -> None:
    """Delete a file of the hub's cache, and what it links to, if this user may."""
    with suppress(OSError):
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _from_hub(file: HubFile, fallback_dir: Path) -> Path:
    """Download a file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    # Read at each call and not at import, so that a mirror can be named at run time.
    endpoint = os.environ.get("HF_ENDPOINT")
    # With a short timeout, because the download would retry an unreachable hub for most of a minute.
    get_hf_file_metadata(hf_hub_url(file.repository, file.name, endpoint=endpoint), timeout=10, endpoint=endpoint)
    try:
        return Path(hf_hub_download(file.repository, file.name, endpoint=endpoint))
    except OSError as error:
        # Network errors are OSErrors too, but have none of these numbers.
        if error.errno not in CACHE_UNUSABLE:
            raise
        return Path(hf_hub_download(file.repository, file.name, endpoint=endpoint, cache_dir=fallback_dir))


def fetched(url: str, sha256: str) -> bytes:
    """Download a file of at most `MAX_BYTES` bytes whose checksum begins with `sha256`.

    Raises:
        OSError: if the server cannot be reached, or sends nothing for `STALLED_SECONDS`.
        ValueError: if the file is incomplete, larger or another one.
    """
    with urlopen(url, timeout=STALLED_SECONDS) as response:
        data = response.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    if not hashlib.sha256(data).hexdigest().startswith(sha256):
        raise ValueError("it is not the published file")
    return data


def files_in_weights_dir(names: tuple[str, ...]) -> list[Path]:
    """Return the existing files called `names` in the folder that INCEPTION_WEIGHTS_DIR names.

    Raises:
        WeightsError: if it names a folder that does not exist.
    """
    folder = os.environ.get(WEIGHTS_DIR_VARIABLE)
    if not folder:
        return []
    if not is_folder(Path(folder)):
        raise WeightsError(
            "weights_folder",
            "{variable} names a folder that does not exist; please correct it, or leave it unset.",
            variable=WEIGHTS_DIR_VARIABLE,
        )
    return [path for name in names if is_file(path := Path(folder) / name)]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 checksum of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreachable_error(name: str, where: str, file: str, cause: Exception) -> WeightsError:
    """Return the error for weights `name` whose `file` could not be fetched from `where`, or stored on a full disk."""
    if is_full(cause):
        return WeightsError(
            "weights_no_room",
            "There is no room left on the disk for the weights of {name}; please make some and try again. Until then, "
            "another model can be used.",
            name=name,
        )
    return WeightsError(
        "weights_unreachable",
        "The weights of {name} could not be fetched from {where}; please check the network and try again, or put the "
        "file {file} into a folder and name that folder in {variable}.",
        name=name,
        where=where,
        file=file,
        variable=WEIGHTS_DIR_VARIABLE,
    )
