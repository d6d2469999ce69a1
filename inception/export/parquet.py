"""The Parquet table of a folder's predictions, written in parts beside it until it is complete."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import torch
from pyarrow import parquet

from ..errors import QUOTED_CHARACTERS, UserError, quoted
from ..prediction import ClassScore
from ..pretrained.checkpoint import DESCRIPTION_KEY
from ..pretrained.pretrained import PretrainedModel
from ..runtime import strict_json
from ..runtime.files import make_folder, write_file
from ..runtime.plain_text import plain

SUFFIX = ".parquet"
PARTS_SUFFIX = ".parts"
PART = 512  # photos of a part: the most that a power cut can lose, and a few seconds' work on a laptop

SCHEMA = pa.schema(
    [
        ("path", pa.string()),  # relative to the folder, with forward slashes
        ("label", pa.string()),
        ("index", pa.int32()),
        ("probability", pa.float32()),
        ("labels", pa.list_(pa.string())),  # the most probable classes, best first
        ("indices", pa.list_(pa.int32())),
        ("probabilities", pa.list_(pa.float32())),
        ("error", pa.string()),  # why the photo was refused, else null
        ("bytes", pa.int64()),
        ("modified", pa.timestamp("ns", tz="UTC")),
    ]
)
# Path, size and modification time: a photo with the same facts is not predicted again.
Facts = tuple[str, int | None, int | None]


@dataclass(frozen=True)
class Photo:
    """A photo of a folder; size (bytes) and modification time (ns since 1970) are None if they cannot be read."""

    path: str  # as in the table
    file: Path
    bytes: int | None
    modified: int | None

    @property
    def facts(self) -> Facts:
        """The key of its row."""
        return self.path, self.bytes, self.modified


def answer_row(photo: Photo, top: Sequence[ClassScore]) -> dict[str, Any]:
    """Return the row of a photo with its most probable classes, best first."""
    return {
        **_about(photo),
        "label": top[0].label,
        "index": top[0].index,
        "probability": top[0].probability,
        "labels": [guess.label for guess in top],
        "indices": [guess.index for guess in top],
        "probabilities": [guess.probability for guess in top],
    }


def refusal_row(photo: Photo, error: UserError) -> dict[str, Any]:
    """Return the row of a refused photo; an unreadable one has no size and time, so that the next run retries it."""
    unread = {"bytes": None, "modified": None} if error.kind == "photo_missing" else {}
    return {**_about(photo), "error": str(error), **unread}


def _about(photo: Photo) -> dict[str, Any]:
    return {"path": photo.path, "bytes": photo.bytes, "modified": photo.modified}


def settings(pretrained: PretrainedModel, top: int) -> dict[str, Any]:
    """Return what the rows depend on, and the provenance of the weights, for the file's metadata."""
    return {
        "model": pretrained.name,
        "weights": _fingerprint(pretrained),
        "top": top,
        "classes": len(pretrained.labels),
        "temperature": pretrained.temperature,
        "preprocessing": pretrained.preprocessing.to_dict(),
        "provenance": asdict(pretrained.provenance),
    }


def _fingerprint(pretrained: PretrainedModel) -> str:
    # Of tensors and labels: a checkpoint may keep its name when it is trained further.
    digest = hashlib.sha256(json.dumps(pretrained.labels).encode())
    for name, tensor in sorted(pretrained.model.state_dict().items()):
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.float()  # NumPy has no bfloat16
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_name(out: Path) -> None:
    """Check the name of a results file.

    Raises:
        UserError: if it does not end in .parquet.
    """
    if out.suffix.lower() != SUFFIX:
        raise UserError(
            "results_suffix",
            "The results for a folder are a Parquet file; please let --out end in {suffix}, not as {name} does.",
            suffix=SUFFIX,
            name=quoted(out.name),
        )


class Results:
    """The rows of file `out`: those of earlier runs, and new ones.

    Args:
        out: the file; an interrupted run has left parts in a folder beside it.
        settings: of all rows, as `settings` returns them.

    Raises:
        UserError: if the existing files have other settings, or are no results at all.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self.out, self.parts = out, out.with_name(out.name + PARTS_SUFFIX)
        self.settings = json.loads(strict_json.dumps(settings))
        self.schema = SCHEMA.with_metadata({DESCRIPTION_KEY: strict_json.dumps(self.settings, ensure_ascii=False)})
        finished = self._finished()
        self.finished_rows = len(finished)
        self.tables = [finished, *self._kept()]
        self.pending: list[dict[str, Any]] = []

    def missing(self, photos: Iterable[Photo]) -> list[Photo]:
        """Return the photos without a row, or changed since it was written."""
        places = _places(pa.concat_tables(self.tables))
        return [photo for photo in photos if photo.bytes is None or photo.facts not in places]

    def begin(self) -> None:
        """Create the folder for the parts.

        Raises:
            UserError: if nothing can be written there.
        """
        make_folder(self.parts)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows; every `PART` of them are written as a part."""
        self.pending += rows
        if len(self.pending) >= PART:
            self.flush()

    def flush(self) -> None:
        """Write the pending rows as a part."""
        if self.pending:
            table = pa.Table.from_pylist(self.pending, schema=self.schema)
            write_file(self.parts / f"{uuid4().hex}{SUFFIX}", _serialised(table), durable=True)
            self.tables.append(table)
            self.pending = []

    def finish(self, photos: Sequence[Photo]) -> pa.Table:
        """Write one row for each photo, in their order, as one file; remove the parts, and return the table."""
        self.flush()
        everything = pa.concat_tables(self.tables)
        places = _places(everything)
        rows = [places.get(photo.facts, places.get((photo.path, None, None))) for photo in photos]
        whole = everything.take(pa.array(rows, pa.int64()))
        # Without new rows the file stays untouched.
        if not self.out.exists() or rows != list(range(self.finished_rows)):
            write_file(self.out, _serialised(whole), durable=True)
        shutil.rmtree(self.parts, ignore_errors=True)
        return whole

    def _finished(self) -> pa.Table:
        if not self.out.exists():
            return self.schema.empty_table()
        try:
            return self._read(self.out)
        except (pa.ArrowException, OSError) as error:
            raise self._foreign(self.out) from error

    def _kept(self) -> list[pa.Table]:
        tables = []
        for part in sorted(self.parts.glob(f"*{SUFFIX}")):
            try:
                tables.append(self._read(part))
            except (pa.ArrowException, OSError):
                # A damaged part: its photos are predicted again.
                continue
        return tables

    def _read(self, file: Path) -> pa.Table:
        with parquet.ParquetFile(file) as opened:
            table = opened.read()
        metadata = (table.schema.metadata or {}).get(DESCRIPTION_KEY.encode())
        if metadata is None or not table.schema.equals(SCHEMA):
            raise self._foreign(file)
        try:
            before = strict_json.loads(metadata.decode())
        except (ValueError, RecursionError) as error:
            raise self._foreign(file) from error
        if not isinstance(before, dict):
            raise self._foreign(file)
        other = [name for name in self.settings if name != "provenance" and before.get(name) != self.settings[name]]
        if other:
            # Another model explains all other differences.
            other = [name for name in other if name in ("model", "top")] or other
            raise UserError(
                "results_other",
                "The existing results for {name} have other settings ({differences}); please give the same options "
                "again, or name another --out, or remove {remove}.",
                name=quoted(self.out.name),
                differences=", ".join(_difference(name, before.get(name), self.settings[name]) for name in other),
                remove=" and ".join(quoted(path.name) for path in (self.out, self.parts) if path.exists()),
            )
        return table.replace_schema_metadata(self.schema.metadata)

    def _foreign(self, file: Path) -> UserError:
        return UserError(
            "results_foreign",
            "{name} exists and holds no results of this command; please name another --out, or remove it.",
            name=quoted(str(file)),
        )


def _difference(name: str, before: object, now: object) -> str:
    if name == "weights":
        before, now = str(before)[:8], str(now)[:8]
    was, is_now = plain(str(before), QUOTED_CHARACTERS), plain(str(now), QUOTED_CHARACTERS)
    return f"{name} was {was}, is {is_now}"


def _places(table: pa.Table) -> dict[Facts, int]:
    """Return the row number of each photo; of several rows the last."""
    columns = (table["path"], table["bytes"], table["modified"].cast(pa.int64()))
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return {facts: place for place, facts in enumerate(rows)}


def _serialised(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()
