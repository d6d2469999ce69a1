"""Reading of labelled photos from Parquet files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import quoted
from ..pretrained.description import MAX_CLASSES
from ..runtime.wording import counted
from .class_names import names_and_wnids
from .photos import DataError, LabelledPhotos


def read_parquet(files: Sequence[Path], names_file: Path) -> LabelledPhotos:
    """Read the photos of Parquet files in the layout of the Hugging Face hub.

    Rows have `image: {bytes, path}` and `label`; class names are in the metadata, readable ones may be in `names_file`.

    Raises:
        DataError: if a file cannot be read, or has other columns, labels or names.
    """
    import pyarrow.parquet as parquet
    from pyarrow import ArrowException

    sources: list[bytes] = []
    targets: list[int] = []
    metadata: dict[bytes, bytes] = {}
    try:
        for file in files:
            table = parquet.read_table(file, columns=["image", "label"])
            metadata = table.schema.metadata or metadata
            sources += [data or b"" for data in table.column("image").combine_chunks().field("bytes").to_pylist()]
            targets += table.column("label").to_pylist()
        if not all(isinstance(data, bytes) for data in sources) or not all(isinstance(label, int) for label in targets):
            raise TypeError("bytes and whole numbers are needed")
    # pyarrow raises KeyError for a missing column and ValueError for a file that is not Parquet.
    except (ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            "data_parquet",
            "{file} cannot be read as photos; parquet files need the columns image {{bytes, path}} and label, a whole "
            "number for each photo.",
            file=quoted(file.name),
        ) from error
    low, high = min(targets, default=0), max(targets, default=-1)
    names = _class_names(metadata, files[-1].name) or [
        f"class {number}" for number in range(min(high + 1, MAX_CLASSES))
    ]
    if targets and not 0 <= low <= high < len(names):
        raise DataError(
            "data_label",
            "The labels go from {low} to {high}, but there are names for {count}; please check the data.",
            low=low,
            high=high,
            count=counted(len(names), "class", "classes"),
        )
    classes, wnids = names_and_wnids(names, names_file)
    return LabelledPhotos(classes, sources, targets, wnids=wnids)


def _class_names(metadata: Mapping[bytes, bytes], file: str) -> list[str]:
    """Return the class names in the metadata that Hugging Face `datasets` writes into Parquet files, or none."""
    try:
        info: Any = json.loads(metadata.get(b"huggingface", b"{}"))
        names = info.get("info", {}).get("features", {}).get("label", {}).get("names") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("names are a list of strings")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            "data_metadata",
            "The metadata of {file} (huggingface) has no valid class names; please write it again.",
            file=quoted(file),
        ) from error
    return names
