"""`maps`: pictures of what the four branches of a block computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ..runtime.files import as_text, make_folder, write_file
from .options import COLOURS, SCALES, VIEWS, Block, Json, Model, OneDevice, Photos, choice_option, listed, path_option
from .photos import Report, Stems, each_photo
from .tables import table, text

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..prediction import Prediction
    from ..pretrained.pretrained import PretrainedModel


def maps(
    photos: Photos,
    block: Block,
    out: Annotated[Path, path_option("--out", "DIR", "Folder for the pictures; made if need be.")],
    view: Annotated[str, choice_option("--view", VIEWS, f"{listed(VIEWS)}.", metavar="VIEW")] = "channels",
    scale: Annotated[str, choice_option("--scale", SCALES, f"{listed(SCALES)}.", metavar="SCALE")] = "shared",
    colours: Annotated[str, choice_option("--colours", COLOURS, f"{listed(COLOURS)}.", metavar="COLOURS")] = "magma",
    model: Model = "tiny-imagenet",
    device: OneDevice = "auto",
    json: Json = False,
) -> int:
    """Write a picture of each branch of a block for each photo."""
    from ..render.branches import ViewOptions

    options = ViewOptions(block, view, scale, colours)
    stems = Stems()

    def prepare(_: PretrainedModel) -> Callable[[Path, Prediction], Report]:
        from ..export.report import maps_report
        from ..render.branches import render_branches
        from ..render.maps import encode

        make_folder(out)

        def write(photo: Path, prediction: Prediction) -> Report:
            panels = render_branches(prediction, options)
            stem = stems.take(photo)
            report = maps_report(model, block, panels)
            for branch, panel in panels.items():
                suffix = "png" if panel.image.mode == "P" else "jpg"
                file = out / f"{stem}-{block}-{branch}-{view}.{suffix}"
                write_file(file, encode(panel.image))
                report["branches"][branch]["file"] = as_text(file)
            return report

        return write

    return each_photo(photos, model, device, prepare, json=json, lines=_lines, table=_table)


def _lines(report: Report) -> Iterator[str]:
    for branch, row in report["branches"].items():
        yield (
            f"  {branch:5} {row['channels']:4} channels of {row['height']}x{row['width']}  "
            f"highest {row['highest']:.3g}  mean {row['mean']:.3g}  {row['silent']} silent  {row['file']}"
        )


def _table(report: Report) -> RenderableType:
    numbers = ("channels", "size", "highest", "mean", "silent")
    shown = table("branch", *numbers, "file", title=report["photo"], right=numbers)
    for branch, row in report["branches"].items():
        size, highest, mean = f"{row['height']}x{row['width']}", f"{row['highest']:.3g}", f"{row['mean']:.3g}"
        cells = (branch, row["channels"], size, highest, mean, row["silent"], row["file"])
        shown.add_row(*map(text, cells))
    return shown
