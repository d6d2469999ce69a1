"""JSON as in RFC 8259, without the NaN and Infinity that Python's `json` reads and writes."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from math import isfinite
from typing import Any, TypeVar

from ..errors import WeightsError, quoted

Kind = TypeVar("Kind")


def dumps(value: Any, *, ensure_ascii: bool = True, indent: int | None = None) -> str:
    """Return a value as JSON, as `json.dumps` does.

    Raises:
        WeightsError: if a number in it is NaN or infinite.
    """
    try:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, allow_nan=False)
    except ValueError as error:
        raise WeightsError(
            "weights_result",
            "What was computed is not finite (NaN or infinite), so it is not written; please choose another network.",
        ) from error


def loads(text: str) -> Any:
    """Parse JSON as `json.loads` does; NaN, infinities and numbers too large for a float become None.

    Raises:
        ValueError, RecursionError: if it is not JSON.
    """
    return json.loads(text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole)


def built(kind: type[Kind], values: object) -> Kind:
    """Build a dataclass from its JSON object.

    Raises:
        TypeError: if `values` is not an object, or a field is missing or unknown.
        ValueError: as the dataclass raises it.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{quoted(values)} is not a JSON object")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise TypeError(f"{quoted(name)} is not a field; the fields are {', '.join(known)}")
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise TypeError(f"{name} is missing")
    return kind(**values)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if isfinite(value) else None


def _whole(text: str) -> int | None:
    return None if _finite(text) is None else int(text)
