"""Files that somebody takes away: all maps as a zip, all numbers as CSV and JSON. The same bytes for the same photo."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from ..network.blocks import BLOCKS
from ..prediction import BranchStatistics, Prediction, statistics
from ..render import maps as render
from ..render.branches import ViewOptions, render_branches
from ..runtime import strict_json
from .report import answer_report

# All blocks of GoogLeNet are 5 MB of numbers, and half of them zeros: worth having, for the pictures have 253
# levels. A network of one's own, for larger photos, may have more than anybody wants to wait for.
RAW_BYTES = 20 * 2**20
ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say; the caption has the real one
STATISTICS = tuple(field.name for field in fields(BranchStatistics))
COLUMNS = ("kind", "class", "label", "logit", "probability", "block", "branch", *STATISTICS)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what a spreadsheet computes


def maps_zip(prediction: Prediction, about: dict[str, Any], readme: str, picture: ViewOptions) -> bytes:
    """Every channel of every branch of every block: `4c/3x3.png`, and the numbers themselves in `4c/3x3.npy`.

    Scale and colours are those of `picture`. `limits.json` has `about` and, for each picture, the values at
    the ends of its colours: one pair, or one for each channel. The numbers are left out above `RAW_BYTES`.
    """
    maps = {block: prediction.branches(block) for block in BLOCKS}
    raw = sum(values.nbytes for branches in maps.values() for values in branches.values()) <= RAW_BYTES
    told: dict[str, Any] = {**about, "scale": picture.scale, "colours": picture.colours, "blocks": {}}
    out = io.BytesIO()
    with ZipFile(out, "w") as file:
        _add(file, "README.txt", readme.encode())
        for block, branches in maps.items():
            panels = render_branches(prediction, ViewOptions(block, "channels", picture.scale, picture.colours))
            bounds = render.scale_limits(branches, picture.scale)
            told["blocks"][block] = {}
            for branch, values in branches.items():
                name = f"{block}/{branch}"
                _add(file, f"{name}.png", render.encode(panels[branch].image), packed=True)
                if raw:
                    _add(file, f"{name}.npy", _npy(values))
                ends = [[bound.low, bound.high] for bound in bounds[branch]]
                told["blocks"][block][branch] = {
                    "picture": f"{name}.png",
                    "numbers": f"{name}.npy" if raw else None,
                    "limits": ends if picture.scale == "channel" else ends[0],
                    **asdict(panels[branch].numbers),
                }
        _add(file, "limits.json", _json(told))
    return out.getvalue()


def table_csv(prediction: Prediction) -> bytes:
    """One table: a row of kind "class" for each class, most probable first, and one of kind "branch" for each branch.

    What does not belong to a row's kind is empty. It begins with a byte-order mark, without which Excel
    takes names that are not English for those of another alphabet.
    """
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(_rows(prediction))
    return out.getvalue().encode("utf-8-sig")


def table_json(prediction: Prediction, about: dict[str, Any]) -> bytes:
    """The same as `table_csv` as one object, after `about`, which has the `model`."""
    answer = answer_report(about["model"], prediction, 0)
    return _json(
        {
            **about,
            "probably_none": answer["probably_none"],
            "rule": answer["rule"],
            "classes": [_class_row(guess) for guess in prediction.top(len(prediction.labels))],
            "blocks": {
                block: {branch: asdict(statistics(values)) for branch, values in prediction.branches(block).items()}
                for block in BLOCKS
            },
        }
    )


def harmless(name: str) -> str:
    """A name that no spreadsheet takes for a formula: one that looks like one gets an apostrophe before it."""
    return f"'{name}" if name.lstrip(" ").startswith(FORMULA) else name


def _rows(prediction: Prediction) -> Iterator[dict[str, Any]]:
    for guess in prediction.top(len(prediction.labels)):
        row = _class_row(guess)
        yield {"kind": "class", **row, "label": harmless(row["label"])}
    for block in BLOCKS:
        for branch, values in prediction.branches(block).items():
            yield {"kind": "branch", "block": block, "branch": branch, **asdict(statistics(values))}


def _class_row(guess: Any) -> dict[str, Any]:
    return {"class": guess.index, "label": guess.label, "logit": guess.logit, "probability": guess.probability}


def _json(told: dict[str, Any]) -> bytes:
    return strict_json.dumps(told, ensure_ascii=False, indent=1).encode()


def _npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(values), allow_pickle=False)
    return out.getvalue()


def _add(file: ZipFile, name: str, data: bytes, *, packed: bool = False) -> None:
    """A file of the zip; one that is `packed` already is taken as it is."""
    info = ZipInfo(name, ZIP_DATE)
    info.create_system, info.external_attr = 3, 0o644 << 16  # else they would tell the machine that made it
    info.compress_type = ZIP_STORED if packed else ZIP_DEFLATED
    file.writestr(info, data)
