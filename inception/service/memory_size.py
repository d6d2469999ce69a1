"""Memory of results, as a cache counts it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

ARRAY_OBJECT_BYTES = 128  # of an array beside its numbers


def memory_size(result: object) -> int:
    """Return about how many bytes a result takes, with all that its dataclasses, mappings and sequences hold.

    Arrays, tensors and whatever else has `nbytes` count by that. What results share, such as class names, is counted in
    each of them.
    """
    numbers = getattr(result, "nbytes", None)
    if isinstance(numbers, int):
        return ARRAY_OBJECT_BYTES + numbers
    parts: list[object] = []
    if is_dataclass(result):
        parts = [getattr(result, field.name) for field in fields(result)]
    elif isinstance(result, Mapping):
        parts = [*result.keys(), *result.values()]
    elif isinstance(result, Sequence) and not isinstance(result, str | bytes):
        parts = list(result)
    return sys.getsizeof(result) + sum(map(memory_size, parts))
