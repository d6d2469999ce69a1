"""All maps of a prediction as a zip, all its numbers as CSV and JSON; equal predictions give equal bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from ..network.blocks import BLOCKS
from ..prediction import BranchStatistics, ClassScore, Prediction, statistics
from ..pretrained.labels import chinese_names
from ..render.branches import ViewOptions, render_branches
from ..render.maps import encode, scale_limits
from ..runtime import strict_json
from .report import rejection_report

# GoogLeNet's maps are 5 MB, half of them zeros, and more precise than the pictures with their 253 levels. A user's
# network for larger photos may have too many to wait for.
RAW_BYTES = 20 * 2**20
ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date of the zip format: file dates would make the bytes differ
STATISTICS = tuple(field.name for field in fields(BranchStatistics))
COLUMNS = ("kind", "class", "label", "label_zh", "logit", "probability", "block", "branch", *STATISTICS)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # beginnings of a spreadsheet's formulas


def maps_zip(prediction: Prediction, about: dict[str, Any], readme: str, options: ViewOptions) -> bytes:
    """Return a zip of all channels of every branch and block: pictures (`4c/3x3.png`) and values (`4c/3x3.npy`).

    Args:
        prediction: whose maps are stored.
        about: JSON object at the beginning of `limits.json`, which also has the statistics of each branch and the
            values at the ends of its colours: one pair, or one for each channel.
        readme: text of `README.txt`.
        options: scale and colours of the pictures; block and view are ignored.

    Above `RAW_BYTES` the values are left out.
    """
    maps = {block: prediction.branches(block) for block in BLOCKS}
    raw = sum(values.nbytes for branches in maps.values() for values in branches.values()) <= RAW_BYTES
    limits: dict[str, Any] = {**about, "scale": options.scale, "colours": options.colours, "blocks": {}}
    out = io.BytesIO()
    with ZipFile(out, "w") as file:
        _add(file, "README.txt", readme.encode())
        for block, branches in maps.items():
            panels = render_branches(prediction, ViewOptions(block, "channels", options.scale, options.colours))
            bounds = scale_limits(branches, options.scale)
            limits["blocks"][block] = {}
            for branch, values in branches.items():
                name = f"{block}/{branch}"
                _add(file, f"{name}.png", encode(panels[branch].image), stored=True)
                if raw:
                    _add(file, f"{name}.npy", _npy(values))
                ends = [[bound.low, bound.high] for bound in bounds[branch]]
                limits["blocks"][block][branch] = {
                    "picture": f"{name}.png",
                    "numbers": f"{name}.npy" if raw else None,
                    "limits": ends if options.scale == "channel" else ends[0],
                    **asdict(panels[branch].numbers),
                }
        _add(file, "limits.json", _json(limits))
    return out.getvalue()


def table_csv(prediction: Prediction, *, imagenet: bool) -> bytes:
    """Return one table: a row of kind "class" for each class, most probable first, and one of kind "branch" for each.

    Columns of the other kind are empty, and so is `label_zh` unless the labels are ImageNet's (`imagenet`): those of a
    user's checkpoint may mean something else. UTF-8 with a byte-order mark, without which Excel guesses another
    encoding.
    """
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(_rows(prediction, chinese_names() if imagenet else {}))
    return out.getvalue().encode("utf-8-sig")


def table_json(prediction: Prediction, about: dict[str, Any]) -> bytes:
    """Return the numbers of `table_csv` as one JSON object that begins with `about`.

    What the page downloads has the same keys (`web/stage/static/js/downloads.js`).
    """
    return _json(
        {
            **about,
            **rejection_report(prediction),
            "classes": [_class_row(guess) for guess in prediction.top(len(prediction.labels))],
            "blocks": {
                block: {branch: asdict(statistics(values)) for branch, values in prediction.branches(block).items()}
                for block in BLOCKS
            },
        }
    )


def escape_formula(name: str) -> str:
    """Return a name with an apostrophe before it if a spreadsheet would take it for a formula (CSV injection)."""
    return f"'{name}" if name.lstrip(" ").startswith(FORMULA) else name


def _rows(prediction: Prediction, chinese: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
    for guess in prediction.top(len(prediction.labels)):
        names = {"label": escape_formula(guess.label), "label_zh": chinese.get(guess.label) or ""}
        yield {"kind": "class", **_class_row(guess), **names}
    for block in BLOCKS:
        for branch, values in prediction.branches(block).items():
            yield {"kind": "branch", "block": block, "branch": branch, **asdict(statistics(values))}


def _class_row(guess: ClassScore) -> dict[str, Any]:
    return {"class": guess.index, "label": guess.label, "logit": guess.logit, "probability": guess.probability}


def _json(value: dict[str, Any]) -> bytes:
    return strict_json.dumps(value, ensure_ascii=False, indent=1).encode()


def _npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(values), allow_pickle=False)
    return out.getvalue()


def _add(file: ZipFile, name: str, data: bytes, *, stored: bool = False) -> None:
    """Add a file to the zip, compressed unless it is only to be `stored`."""
    info = ZipInfo(name, ZIP_DATE)
    info.create_system, info.external_attr = (
        3,
        0o644 << 16,
    )  # Unix, mode 644, on every system
    info.compress_type = ZIP_STORED if stored else ZIP_DEFLATED
    file.writestr(info, data)
