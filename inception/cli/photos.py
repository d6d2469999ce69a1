"""Loop of the commands that answer photo by photo."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.files import as_text
from ..runtime.terminal import err, json_line, out, short_path
from .device import load_pretrained, with_cpu_fallback
from .tables import in_terminal, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..prediction import Prediction
    from ..pretrained.pretrained import PretrainedModel

Report = dict[str, Any]
ReportOne = Callable[[Path, "Prediction"], Report]


def each_photo(
    photos: Sequence[Path],
    model: str,
    device: str,
    prepare: Callable[[PretrainedModel], ReportOne],
    *,
    json: bool,
    lines: Callable[[Report], Iterable[str]],
    table: Callable[[Report], RenderableType] | None = None,
) -> int:
    """Print a report of each photo; a photo that is refused is reported on stderr, and the others go on.

    Refused are photos that cannot be opened, and those whose activations overflow.

    Args:
        prepare: checks the options against the loaded network, and returns the function that reports one photo.
        lines: the report as plain text.
        table: the report as a terminal shows it; without it, as plain text there too.

    Returns:
        0, or 1 if a photo was refused.
    """
    from ..errors import PhotoError, quoted
    from ..network.overflow import ActivationOverflowError
    from ..prediction import predict
    from ..vision.photo import open_photo

    remaining, refused = deque(photos), False

    def run(device: str) -> int:
        nonlocal refused
        pretrained = load_pretrained(model, device)
        report = prepare(pretrained)
        while remaining:
            photo = remaining[0]
            name = as_text(photo)
            try:
                result = {"photo": name, **report(photo, predict(pretrained, open_photo(photo)))}
            except (PhotoError, ActivationOverflowError) as error:
                refused = True
                # A file of this folder may be named in the sentence already.
                err(str(error) if quoted(name) in str(error) else f"{short_path(name)}: {error}")
                if json:
                    out(json_line({"photo": name, "model": model, "error": str(error)}))
            else:
                if json:
                    out(json_line(result))
                elif table is not None and in_terminal():
                    show(table(result))
                else:
                    out(name, *lines(result))
            # Once a photo is done, the CPU fallback does not repeat it.
            remaining.popleft()
        return int(refused)

    return with_cpu_fallback(device, run)


def report_ignored(data: Path) -> None:
    """Print to stderr which files of a data set's folders are ignored, if any."""
    from ..training.datasets import ignored_text
    from ..vision.photo import PHOTO_SUFFIXES

    if ignored := ignored_text(data):
        err(f"ignored: {ignored} (photos end in {' '.join(PHOTO_SUFFIXES)})")


class Stems:
    """First parts of file names, one a photo: photos of one name must not overwrite each other's files.

    Upper and lower case do not count, as the usual file systems of macOS and Windows ignore them.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, photo: Path) -> str:
        """Return the photo's own name without its suffix, with a number where it is taken."""
        stem, number = photo.stem, 1
        while stem.casefold() in self._taken:
            number += 1
            stem = f"{photo.stem}-{number}"
        self._taken.add(stem.casefold())
        return stem
