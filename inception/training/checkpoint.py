"""Checkpoints of unfinished trainings, as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import UserError, quoted
from ..runtime.files import is_file
from .recipe import Recipe

# Of what `Trainer.save` writes.
CHECKPOINT_TYPES: dict[str, type | tuple[type, ...]] = {
    "recipe": dict,
    "classes": list,
    "photos": int,
    "step": int,
    "seconds": (int, float),
    "log": list,
    "model": dict,
    "averaged": dict,
    "optimizer": dict,
    "best": list,
    "best_state": dict,
}


class CheckpointError(UserError):
    """A training checkpoint that is missing, damaged, of another program or of other photos."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that `Trainer.save` wrote.

    Raises:
        CheckpointError: if it is missing, damaged or of another program.
    """
    if not is_file(path):
        raise CheckpointError(
            "checkpoint_missing",
            "There is no interrupted training in {folder}; leave out --resume to begin one.",
            folder=quoted(str(path.parent)),
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # torch.load lets the errors of its zip reader and its unpickler through.
    except Exception as error:
        raise _damaged(path) from error
    if not isinstance(state, dict) or not all(
        isinstance(state.get(key), kind) for key, kind in CHECKPOINT_TYPES.items()
    ):
        raise _damaged(path)
    try:
        Recipe.from_dict(state["recipe"])
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise _damaged(path) from error
    return state


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        "checkpoint_damaged",
        "{name} is damaged, or is not a training checkpoint; please remove it and begin anew.",
        name=quoted(str(path)),
    )
