"""`census`: what the four branches of each block respond to, of up to three networks side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import PhotoError, UserError
from ..explain.registry import BRANCH_NAMES as BRANCHES
from ..runtime.files import as_text, check_writable, make_folder, write_file
from ..runtime.terminal import err, out, short_path
from ..runtime.wording import counted
from .device import load_pretrained, with_cpu_fallback
from .numbers import whole_option
from .options import BLOCKS, MODELS, SPLITS, OneDevice, choice_option, path_option, text_option
from .progress import progress
from .tables import in_terminal, show, table, text

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from PIL import Image
    from rich.console import RenderableType

    from ..pretrained.pretrained import PretrainedModel
    from ..training.photos import LabelledPhotos
    from ..units.census import Census

MAX_NETWORKS = 3
MAX_LIMIT = 10_000


def census(
    models: Annotated[
        list[str],
        typer.Argument(
            parser=str,
            metavar="WEIGHTS",
            help=f"Up to {MAX_NETWORKS} names that `models` lists, or paths of checkpoints; 15 to 45 seconds each.",
            autocompletion=lambda: list(MODELS),
        ),
    ],
    data: Annotated[
        str | None,
        text_option(
            "--data",
            "Labelled photos, as for `evaluate`: selectivity is then for classes.",
            metavar="DATA",
            default="the example photos",
        ),
    ] = None,
    split: Annotated[str, choice_option("--split", SPLITS, "Part of the data.")] = "val",
    limit: Annotated[
        int,
        whole_option("--limit", 2, MAX_LIMIT, "Use no more than N photos of the data, taken evenly"),
    ] = 200,
    file: Annotated[
        Path | None,
        path_option("--out", "FILE", "Also write the results to this file as JSON, with the tests' p values."),
    ] = None,
    device: OneDevice = "auto",
) -> int:
    """Measure what the branches of each block respond to, and test whether they differ."""
    if len(models) > MAX_NETWORKS:
        raise UserError(
            "census_networks",
            "There are {count} networks; please name at most {most}.",
            count=len(models),
            most=MAX_NETWORKS,
        )
    if file is not None:
        make_folder(file.parent)
        check_writable(file)
    return with_cpu_fallback(device, lambda device: _census(models, data, split, limit, file, device))


def _census(models: Sequence[str], data: str | None, split: str, limit: int, file: Path | None, device: str) -> int:
    from ..runtime import strict_json
    from ..units.census import census as take_census

    networks = [load_pretrained(model, device) for model in models]
    photos = _photos(data, split, limit)
    results = []
    for pretrained in networks:
        images, groups = _images(pretrained, photos)
        results.append(take_census(pretrained, images, groups if data else None, progress=progress))
    if file is not None:
        write_file(file, strict_json.dumps([result.to_dict() for result in results], indent=1).encode())
    for shown in _tables(results):
        if in_terminal():
            show(_rich(shown))
        else:
            out(*_plain(shown), "")
    for result in results:
        out(*_conclusion(result))
    if file is not None:
        err(f"written: {short_path(as_text(file))}")
    return 0


def _photos(data: str | None, split: str, limit: int) -> LabelledPhotos:
    """Return the photos of the data, or the example photos, which have no classes."""
    from ..runtime.resources import resource
    from ..training.datasets import labelled_photos, locate_data, unlabelled_photos

    if data is None:
        return unlabelled_photos(resource("examples"))
    return labelled_photos(locate_data(data), split).evenly(limit)


def _images(pretrained: PretrainedModel, photos: LabelledPhotos) -> tuple[list[Image.Image], list[int]]:
    """Return the network's inputs and their classes; photos that cannot be read are reported on stderr and skipped."""
    images, classes = [], []
    for number in range(len(photos)):
        try:
            images.append(pretrained.preprocessing.apply(photos.photo(number)))
            classes.append(photos.targets[number])
        except PhotoError:
            err(f"skipped, cannot be read: {short_path(photos.name(number))}")
    return images, classes


@dataclass(frozen=True)
class Shown:
    """A table of one number: rows are blocks, columns the branches of each network."""

    title: str
    networks: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # the block, then a number for each network and branch


def _tables(results: Sequence[Census]) -> Iterator[Shown]:
    from ..units.census import MEASURES

    titles = {name: (measure.title, measure.digits) for name, measure in MEASURES.items()}
    others = {"worth": ("worth: mean vote of the branch, regardless of its sign", 2), "silent": ("silent channels", 2)}
    for name, (title, digits) in {**titles, **others}.items():
        rows = (
            (
                block,
                *(_number(getattr(one, name), digits) for result in results for one in result.blocks[block].values()),
            )
            for block in BLOCKS
        )
        yield Shown(title, tuple(result.model for result in results), tuple(rows))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _plain(shown: Shown) -> Iterator[str]:
    yield shown.title
    if len(shown.networks) > 1:
        yield "".join((f"{'':5}", *(f"  {name[:24]:26}" for name in shown.networks))).rstrip()
    yield "".join((f"{'block':5}", *(f"{branch:>7}" for _ in shown.networks for branch in BRANCHES)))
    yield from ("".join((f"{block:5}", *(f"{number:>7}" for number in numbers))) for block, *numbers in shown.rows)


def _rich(shown: Shown) -> RenderableType:
    names = [
        f"{name[:24]}\n{branch}" if len(shown.networks) > 1 else branch
        for name in shown.networks
        for branch in BRANCHES
    ]
    made = table("block", *names, title=shown.title, right=tuple(names))
    for row in shown.rows:
        made.add_row(*map(text, row))
    return made


def _conclusion(result: Census) -> Iterator[str]:
    yield f"{result.model}, {counted(result.photos, 'photo')}, {result.permutations:,} permutations a test:"
    yield from (f"  {sentence}" for sentence in result.sentences)
