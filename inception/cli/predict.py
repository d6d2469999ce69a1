"""`predict`: the most probable classes of photos, or of a folder's photos into a Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..runtime.files import as_text, is_folder
from ..runtime.terminal import err, json_line, out, short_path
from ..runtime.wording import counted
from .device import load_pretrained, with_cpu_fallback
from .numbers import MAX_CLASSES, whole_option
from .options import Json, Model, OneDevice, path_option
from .photos import Report, each_photo
from .tables import bar, table, text

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..prediction import Prediction
    from ..pretrained.pretrained import PretrainedModel

MAX_BATCH = 1024
MAX_THREADS = 256
MAX_REFUSALS_SHOWN = 10  # of a folder's photos; the file has all


def predict(
    photos: Annotated[list[Path], typer.Argument(parser=Path, metavar="PHOTO", help="Photos, or one folder of them.")],
    top: Annotated[int, whole_option("--top", 1, MAX_CLASSES, "How many classes", metavar="K")] = 5,
    out_file: Annotated[
        Path | None,
        path_option(
            "--out",
            "FILE.parquet",
            "File for the answers of a folder's photos; the same command again resumes where it was interrupted.",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        whole_option("--batch", 1, MAX_BATCH, "Photos of a folder in one batch", default="16, on a GPU 64"),
    ] = None,
    workers: Annotated[
        int | None,
        whole_option("--workers", 1, MAX_THREADS, "Threads for a folder's photos", default="one for each core"),
    ] = None,
    model: Model = "tiny-imagenet",
    device: OneDevice = "auto",
    json: Json = False,
) -> int:
    """Print the most probable classes of each photo, or write those of a folder's photos to a file."""
    if out_file or any(is_folder(photo) for photo in photos):
        return with_cpu_fallback(
            device, lambda device: _predict_folder(photos, out_file, top, batch, workers, model, device, json)
        )
    for option, value in (("--batch", batch), ("--workers", workers)):
        if value is not None:
            raise UserError(
                "options", "{option} is for a folder of photos; please name one, or leave it out.", option=option
            )

    def prepare(_: PretrainedModel) -> Callable[[Path, Prediction], Report]:
        from ..export.report import answer_report

        return lambda _photo, prediction: answer_report(model, prediction, top)

    return each_photo(photos, model, device, prepare, json=json, lines=_lines, table=_table)


def _lines(report: Report) -> Iterator[str]:
    for row in report["top"]:
        yield f"  {100 * row['probability']:5.1f} %  {row['label']}"
    if report["not_sure"]:
        yield f"  {_doubt(report)}"


def _doubt(report: Report) -> str:
    rule = report["rule"]
    return (
        f"not sure: even the best class has less than {100 * rule['threshold']:.1f} % (this is said of "
        f"{100 * rule['doubted']:.0f} % of photos of these classes, and of {100 * rule['caught']:.0f} % of others)"
    )


def _table(report: Report) -> RenderableType:
    shown = table("probability", "", "class", title=report["photo"], right=("probability",))
    for row in report["top"]:
        shown.add_row(text(f"{100 * row['probability']:.1f} %"), bar(row["probability"]), text(row["label"]))
    if report["not_sure"]:
        shown.caption = text(_doubt(report), "yellow")
        shown.caption_justify = "left"
    return shown


def _predict_folder(
    photos: list[Path],
    out_file: Path | None,
    top: int,
    batch: int | None,
    workers: int | None,
    model: str,
    device: str,
    json: bool,
) -> int:
    """Return 0 even where photos were refused, as the file says which, and 1 only where all were.

    Raises:
        KeyboardInterrupt: with what to do next.
    """
    from ..export.folder import predict_folder, single_folder

    folder = single_folder(photos, out_file)
    assert out_file is not None
    try:
        result = predict_folder(load_pretrained(model, device), folder, out_file, top=top, batch=batch, workers=workers)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Interrupted; the same command goes on from here.") from None
    for name in result.unreadable:
        err(f"skipped, cannot be read: {short_path(name)}")
    for name, error in list(result.refused.items())[:MAX_REFUSALS_SHOWN]:
        err(f"{short_path(name)}: {error}")
    refused = len(result.refused)
    if refused > MAX_REFUSALS_SHOWN:
        err(f"and {refused - MAX_REFUSALS_SHOWN} more; the column error has them all")
    counts = {"photos": result.photos, "known_before": result.known, "refused": refused}
    file = as_text(out_file)
    out(
        json_line({"model": model, "file": file, **counts})
        if json
        else f"{file}: {counted(result.photos, 'photo')}, {result.known} known before, {refused} refused"
    )
    return 1 if refused == result.photos else 0
