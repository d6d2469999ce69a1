"""The answers for many photos: rows of a parquet file, kept in finished parts beside it until it is whole."""

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
PART = 512  # photos in a part: what a power cut costs at most, and a few seconds on a laptop

SCHEMA = pa.schema(
    [
        ("path", pa.string()),  # from the folder on, with forward slashes
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
# By these it is known whether a photo is still the one that was looked at.
Facts = tuple[str, int | None, int | None]


@dataclass(frozen=True)
class Photo:
    """A photo of a folder; its size in bytes and its time of change in nanoseconds are None if they cannot be had."""

    path: str  # as the row tells it
    file: Path
    bytes: int | None
    modified: int | None

    @property
    def facts(self) -> Facts:
        """What its row is found by."""
        return self.path, self.bytes, self.modified


def answer_row(photo: Photo, top: Sequence[ClassScore]) -> dict[str, Any]:
    """The row of a photo with its most probable classes, best first."""
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
    """The row of a photo that was refused; one that could not even be read is to be tried again another time."""
    unread = {"bytes": None, "modified": None} if error.kind == "photo_missing" else {}
    return {**_about(photo), "error": str(error), **unread}


def _about(photo: Photo) -> dict[str, Any]:
    return {"path": photo.path, "bytes": photo.bytes, "modified": photo.modified}


def settings(pretrained: PretrainedModel, top: int) -> dict[str, Any]:
    """What the answers depend on, and where the weights come from; it goes into the file's metadata."""
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
    """Of the tensors and the names of the classes: a checkpoint that was trained on keeps its name."""
    told = hashlib.sha256(json.dumps(pretrained.labels).encode())
    for name, tensor in sorted(pretrained.model.state_dict().items()):
        told.update(name.encode())
        told.update(tensor.cpu().contiguous().numpy().tobytes())
    return told.hexdigest()


def check_name(out: Path) -> None:
    """That a file's name says what it will hold.

    Raises:
        UserError: if it does not end in .parquet.
    """
    if out.suffix.lower() != SUFFIX:
        raise UserError(
            "results_suffix",
            "The answers for a folder go into a parquet file; please let --out end in {suffix}, not as {name} does.",
            suffix=SUFFIX,
            name=quoted(out.name),
        )


class Results:
    """The rows for file `out`: those that are there from before, and those that are added.

    Args:
        out: the file; an interrupted run has left parts in a folder beside it.
        how: the `settings` that all rows come from.

    Raises:
        UserError: if what is there comes from other settings, or from something else altogether.
    """

    def __init__(self, out: Path, how: Mapping[str, Any]) -> None:
        self.out, self.parts = out, out.with_name(out.name + PARTS_SUFFIX)
        self.how = json.loads(strict_json.dumps(how))
        self.schema = SCHEMA.with_metadata({DESCRIPTION_KEY: strict_json.dumps(self.how, ensure_ascii=False)})
        finished = self._finished()
        self.finished_rows = len(finished)
        self.tables = [finished, *self._kept()]
        self.pending: list[dict[str, Any]] = []

    def missing(self, photos: Iterable[Photo]) -> list[Photo]:
        """Those photos that have no row, or have been changed since they got it."""
        places = _places(pa.concat_tables(self.tables))
        return [photo for photo in photos if photo.bytes is None or photo.facts not in places]

    def begin(self) -> None:
        """Make the folder for the parts.

        Raises:
            UserError: if nothing can be written there.
        """
        make_folder(self.parts)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take new rows; now and then they become a part."""
        self.pending += rows
        if len(self.pending) >= PART:
            self.keep()

    def keep(self) -> None:
        """Make a part of what is pending, so that nothing of it is lost."""
        if self.pending:
            table = pa.Table.from_pylist(self.pending, schema=self.schema)
            write_file(self.parts / f"{uuid4().hex}{SUFFIX}", _serialised(table), durable=True)
            self.tables.append(table)
            self.pending = []

    def finish(self, photos: Sequence[Photo]) -> pa.Table:
        """One row for each of the photos, in their order, written as one file; the parts go away."""
        self.keep()
        everything = pa.concat_tables(self.tables)
        places = _places(everything)
        rows = [places.get(photo.facts, places.get((photo.path, None, None))) for photo in photos]
        whole = everything.take(pa.array(rows, pa.int64()))
        # A run that found nothing new leaves the file as it is.
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
                # Its photos are looked at again.
                continue
        return tables

    def _read(self, file: Path) -> pa.Table:
        with parquet.ParquetFile(file) as opened:
            table = opened.read()
        told = (table.schema.metadata or {}).get(DESCRIPTION_KEY.encode())
        if told is None or not table.schema.equals(SCHEMA):
            raise self._foreign(file)
        before = json.loads(told)
        other = [name for name in self.how if name != "provenance" and before.get(name) != self.how[name]]
        if other:
            # Of another model all the rest follows.
            other = [name for name in other if name in ("model", "top")] or other
            raise UserError(
                "results_other",
                "The answers that are there for {name} were given otherwise ({differences}); please give the same "
                "options again, or name another --out, or remove {remove}.",
                name=quoted(self.out.name),
                differences=", ".join(_difference(name, before.get(name), self.how[name]) for name in other),
                remove=" and ".join(quoted(path.name) for path in (self.out, self.parts) if path.exists()),
            )
        return table.replace_schema_metadata(self.schema.metadata)

    def _foreign(self, file: Path) -> UserError:
        return UserError(
            "results_foreign",
            "{name} is there already and holds no answers of this command; please name another --out, or remove it.",
            name=quoted(str(file)),
        )


def _difference(name: str, before: object, now: object) -> str:
    if name == "weights":
        before, now = str(before)[:8], str(now)[:8]
    was, is_now = plain(str(before), QUOTED_CHARACTERS), plain(str(now), QUOTED_CHARACTERS)
    return f"{name} was {was}, is {is_now}"


def _places(table: pa.Table) -> dict[Facts, int]:
    """Where the row of a photo is; the last one, where there are several."""
    columns = (table["path"], table["bytes"], table["modified"].cast(pa.int64()))
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return {facts: place for place, facts in enumerate(rows)}


def _serialised(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()
