"""The HTML of the bottleneck: maps before and after the 1x1 reductions, what they save, and the network's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from weakref import WeakKeyDictionary

import numpy as np

from ...network.anatomy import Bottleneck, Cost, bottleneck, branch_kernel
from ...network.cost import (
    ALEXNET_CLAIM,
    PUBLISHED_SHAPE,
    TABLE_1,
    TABLE_1_UNIT,
    BlockCost,
    NetworkSize,
    ParameterCount,
    break_even,
    module_costs,
    nearest_count,
    network_size,
    parameter_counts,
    published_network,
    published_size,
    vgg16_size,
)
from ...network.inception_v1 import InceptionV1
from ...prediction import REDUCED_BRANCHES, Prediction, bottleneck_maps, statistics
from ...pretrained.pretrained import PretrainedModel
from ...render import maps as render
from ..text import say
from .block import bar_html, data_url, message_html, short

COLUMNS = 24  # of a mosaic: a block's input has up to 832 channels
DARK = 0.2  # of the scale: maps that reach no further are hard to see on it
CALCULATOR_KERNELS = (3, 5)
MOST_CHANNELS, MOST_KERNEL, MOST_CELLS = 4096, 11, 224 * 224  # that the calculator takes

# The ways of counting parameters that are told, as `ParameterCount` has them: auxiliary, classifier, biases.
COUNTED = {
    "all": (True, True, True),
    "answer": (False, True, True),
    "answer_weights": (False, True, False),
    "convolutions": (False, False, True),
    "convolutions_weights": (False, False, False),
}


@dataclass(frozen=True)
class _Facts:
    """What does not depend on the photo."""

    blocks: tuple[BlockCost, ...]
    own: NetworkSize  # at the model's own input shape
    beside: NetworkSize  # at the shape at which VGG-16 is counted
    counts: tuple[ParameterCount, ...]


_FACTS: WeakKeyDictionary[InceptionV1, _Facts] = WeakKeyDictionary()  # a loaded network does not change


def _facts(model: InceptionV1) -> _Facts:
    known = _FACTS.get(model)
    if known is None:
        known = _FACTS[model] = _Facts(
            module_costs(model),
            network_size(model, model.input_shape),
            network_size(model, PUBLISHED_SHAPE),
            parameter_counts(model),
        )
    return known


def bottleneck_html(
    pretrained: PretrainedModel,
    prediction: Prediction,
    block: str,
    language: str,
    scale: str = render.SCALES[0],
    colours: str = render.COLOURS[0],
) -> str:
    """The maps of `block` before and after its two reductions, and what reductions save in block and network.

    `scale` is one of `render.SCALES`: one for all three pictures, one for each picture, or one for each channel.

    Raises:
        ChoiceError: if there is no such block, scale or colour map.
    """
    model = pretrained.model
    module = model.block(block)
    maps = bottleneck_maps(pretrained, prediction, block)
    before = maps["before"]
    bounds = render.scale_limits(maps, scale)
    given, height, width = before.shape

    articles = [
        _article(
            "before",
            say(language, "bottleneck_before"),
            say(language, "bottleneck_alt_before", channels=given, block=block),
            before,
            bounds["before"],
            colours,
            language,
            own_scale=scale == "branch",
        )
    ]
    for branch in REDUCED_BRANCHES:
        kernel, reduced = branch_kernel(module, branch), len(maps[branch])
        name = _branch_name(branch, kernel, language)
        cost = bottleneck(given, reduced, module.branch_channels[branch], kernel, cells=height * width, bias=False)
        articles.append(
            _article(
                branch,
                say(language, "bottleneck_after", branch=name),
                say(language, "bottleneck_alt_after", channels=reduced, block=block, branch=name),
                maps[branch],
                bounds[branch],
                colours,
                language,
                own_scale=scale == "branch",
                table=_branch_table(cost, name, (given, reduced, module.branch_channels[branch], kernel), language),
            )
        )

    facts = _facts(model)
    title = say(language, "bottleneck_title", block=block)
    lead = say(language, "bottleneck_lead", given=given, height=height, width=width)
    return (
        f'<section class="il-bottleneck" aria-label="{escape(title)}"><div class="il-head"><h2>{escape(title)}</h2>'
        f"<p>{escape(lead)}</p></div>{_legend(maps, bounds, scale, colours, language)}"
        f'<div class="il-bn-panels">{"".join(articles)}</div>'
        f"{_paragraph('bottleneck_same_factor', language)}"
        f"{_blocks(facts, block, language)}{_network(facts, pretrained, language)}{_depth(facts, language)}"
        f"{_millions(facts, pretrained, language)}</section>"
    )


def _branch_name(branch: str, kernel: int, language: str) -> str:
    """ "5×5", or "5×5 (runs 3×3)" where the layer is not what its name says."""
    name = branch.replace("x", "×")
    return name if branch == f"{kernel}x{kernel}" else say(language, "runs", branch=name, kernel=kernel)


def _article(
    kind: str,
    heading: str,
    alt: str,
    maps: np.ndarray,
    bounds: list[render.Limits],
    colours: str,
    language: str,
    *,
    own_scale: bool,
    table: str = "",
) -> str:
    bar = bar_html(bounds[0], colours) if own_scale else ""
    image = render.mosaic(maps, bounds, colours, COLUMNS)
    numbers = statistics(maps)
    told = say(
        language,
        "numbers_signed" if numbers.lowest < 0 else "numbers",
        lowest=short(numbers.lowest),
        highest=short(numbers.highest),
        mean=short(numbers.mean),
        silent=numbers.silent,
        channels=numbers.channels,
    )
    return (
        f'<article class="il-panel il-{kind}" data-step="{kind}"><h3>{escape(heading)} '
        f"<small>{escape(say(language, 'channels', channels=len(maps)))}</small></h3>"
        f'<img src="{data_url(image)}" width="{image.width}" height="{image.height}" alt="{escape(alt)}">'
        f"{bar}<p>{escape(told)}</p>{table}</article>"
    )


def _legend(
    maps: dict[str, np.ndarray], bounds: dict[str, list[render.Limits]], scale: str, colours: str, language: str
) -> str:
    words = [say(language, f"bottleneck_legend_{scale}")]
    bar, widest = "", bounds["before"][0]
    if scale == "shared":
        bar = bar_html(widest, colours)
        if any(np.abs(values).max() < widest.high * DARK for values in maps.values()):
            words.append(say(language, "bottleneck_legend_dark"))
    if any(bound.signed for bound in bounds["before"]):
        words.append(say(language, "legend_signed"))
    if any(statistics(values).silent for values in maps.values()):
        words.append(say(language, "legend_silent"))
    return f'<div class="il-legend">{bar}<p>{escape(" · ".join(words))}</p></div>'


def _branch_table(cost: Bottleneck, name: str, widths: tuple[int, int, int, int], language: str) -> str:
    given, reduced, channels, kernel = widths
    direct, through = say(language, "bottleneck_direct"), say(language, "bottleneck_through", reduced=reduced)
    window = f"{kernel}×{kernel}"
    rows = [
        _cost_row(direct, f"{window}: {given} → {channels}", cost.direct),
        _cost_row(through, "", cost.reduced),
        _cost_row("", f"1×1: {given} → {reduced}", cost.reduction, "il-bn-part"),
        _cost_row("", f"{window}: {reduced} → {channels}", cost.convolution, "il-bn-part"),
    ]
    heads = ("bottleneck_way", "bottleneck_weights", "bottleneck_multiplications")
    return _table(heads, rows, say(language, "bottleneck_branch_caption", branch=name), language) + _verdict(
        cost, language
    )


def _cost_row(name: str, detail: str, cost: Cost, kind: str = "") -> str:
    small = f"<small>{escape(detail)}</small>" if detail else ""
    return (
        f'<tr class="{kind}"><th scope="row">{escape(name)}{small}</th><td>{cost.weights:,}</td>'
        f"<td>{_in_millions(cost.multiplications)}</td></tr>"
    )


def _verdict(cost: Bottleneck, language: str) -> str:
    """How many times fewer, or the truth where a reduction saves nothing."""
    direct, reduced = cost.direct.weights, cost.reduced.weights
    if direct == reduced:
        words = say(language, "bottleneck_equal")
    elif direct > reduced:
        words = say(language, "bottleneck_fewer", times=short(direct / reduced))
    else:
        words = say(language, "bottleneck_more", times=short(reduced / direct))
    return f'<p class="il-bn-verdict"><strong>{escape(words)}</strong></p>'


def _blocks(facts: _Facts, chosen: str, language: str) -> str:
    rows = facts.blocks
    widest = max(row.naive.weights for row in rows)
    body = [_block_rows(row, row.block == chosen, widest, language) for row in rows]
    naive, reduced = (sum(getattr(row, form).weights for row in rows) for form in ("naive", "reduced"))
    naive_work, reduced_work = (
        sum(getattr(row, form).multiplications for row in rows) for form in ("naive", "reduced")
    )
    total = say(language, "bottleneck_all_blocks")
    body.append(
        f'<tbody class="il-bn-total" data-block="all"><tr><th scope="rowgroup" rowspan="2">{escape(total)}</th>'
        f"{_form('naive', naive, naive_work, None, None, language)}"
        f'<td rowspan="2">{short(naive / reduced)}</td></tr>'
        f"<tr>{_form('reduced', reduced, reduced_work, None, None, language)}</tr></tbody>"
    )
    heads = (
        "bottleneck_block",
        "bottleneck_form",
        "bottleneck_weights",
        "bottleneck_multiplications",
        "bottleneck_times",
    )
    stacked = sum(row.stacked.weights for row in rows)
    _, height, width = facts.own.input_shape
    last = rows[-1]
    return (
        f"<h3>{escape(say(language, 'bottleneck_blocks_title'))}</h3>"
        f"{_paragraph('bottleneck_blocks_lead', language, height=height, width=width)}"
        f"{_table(heads, body, say(language, 'bottleneck_blocks_title'), language, grouped=True)}"
        + _paragraph(
            "bottleneck_stacked",
            language,
            channels=f"{last.stacked_channels:,}",
            reduced_channels=f"{last.reduced_channels:,}",
            weights=f"{stacked:,}",
            reduced_weights=f"{reduced:,}",
            times=short(stacked / reduced),
        )
    )


def _block_rows(row: BlockCost, chosen: bool, widest: int, language: str) -> str:
    mark = ' class="il-bn-chosen"' if chosen else ""
    naive = _form("naive", row.naive.weights, row.naive.multiplications, row.naive_channels, widest, language)
    reduced = _form("reduced", row.reduced.weights, row.reduced.multiplications, row.reduced_channels, widest, language)
    return (
        f'<tbody{mark} data-block="{row.block}"><tr><th scope="rowgroup" rowspan="2">{row.block}</th>{naive}'
        f'<td rowspan="2">{short(row.saving)}</td></tr><tr>{reduced}</tr></tbody>'
    )


def _form(
    form: str, weights: int, multiplications: int, channels: int | None, widest: int | None, language: str
) -> str:
    out = "" if channels is None else f"<small>{escape(say(language, 'channels', channels=f'{channels:,}'))}</small>"
    return (
        f'<th scope="row">{escape(say(language, f"bottleneck_{form}"))}{out}</th>'
        f"<td>{weights:,}{_share_bar(form, weights, widest)}</td><td>{_in_millions(multiplications)}</td>"
    )


def _share_bar(form: str, value: int, whole: int | None) -> str:
    if not whole:
        return ""
    return f'<span class="il-bn-bar il-bn-{form}" style="width: {value / whole:.1%}" aria-hidden="true"></span>'


def _network(facts: _Facts, pretrained: PretrainedModel, language: str) -> str:
    vgg, published = vgg16_size(), published_size()
    this = say(language, "bottleneck_this", classes=f"{len(pretrained.labels):,}")
    sizes = [(this, facts.own)]
    if facts.beside != facts.own:
        sizes.append((this, facts.beside))
    if facts.beside != published:
        sizes.append((say(language, "bottleneck_published"), published))
    sizes.append(("VGG-16", vgg))
    rows = [
        f'<tr><th scope="row">{escape(name)}'
        f"<small>{size.input_shape[1]}×{size.input_shape[2]}</small></th>"
        f"<td>{size.parameters:,}</td><td>{size.parameters_without_classifier:,}</td>"
        f"<td>{_in_millions(size.multiplications)}</td><td>{size.depth}</td></tr>"
        for name, size in sizes
    ]
    heads = (
        "bottleneck_network",
        "bottleneck_parameters",
        "bottleneck_without_classifier",
        "bottleneck_multiplications",
        "bottleneck_depth",
    )
    title = say(language, "bottleneck_network_title")
    beside = facts.beside
    return f"<h3>{escape(title)}</h3>{_table(heads, rows, title, language)}" + _paragraph(
        "bottleneck_network_note",
        language,
        side=PUBLISHED_SHAPE[1],
        multiplications=short(vgg.multiplications / beside.multiplications),
        parameters=short(vgg.parameters / beside.parameters),
        share=vgg.classifier_parameters / vgg.parameters,
        without=short(vgg.parameters_without_classifier / beside.parameters_without_classifier),
    )


def _depth(facts: _Facts, language: str) -> str:
    published = published_size()
    words = _paragraph(
        "bottleneck_depth_note",
        language,
        **_depth_parts(published),
        convolutions=published.convolutions,
        linears=published.linears,
    )
    if facts.own.depth != published.depth:
        words += _paragraph("bottleneck_depth_this", language, **_depth_parts(facts.own))
    return f"<h3>{escape(say(language, 'bottleneck_depth_title'))}</h3>{words}"


def _depth_parts(size: NetworkSize) -> dict[str, int]:
    return {
        "stem": size.path_length("stem"),
        "blocks": size.path_length("inception"),
        "linear": size.path_length("head"),
        "depth": size.depth,
        "pools": size.depth_with_pools,
    }


def _millions(facts: _Facts, pretrained: PretrainedModel, language: str) -> str:
    published = parameter_counts(published_network())
    columns = [(say(language, "bottleneck_published"), published)]
    if _by_way(facts.counts)[COUNTED["answer"]] != _by_way(published)[COUNTED["answer"]]:
        this = say(language, "bottleneck_this", classes=f"{len(pretrained.labels):,}")
        columns.append((this, facts.counts))
    nearest = nearest_count(published)
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name, _ in columns)
    rows = []
    for way, key in COUNTED.items():
        cells = "".join(f"<td>{_count_cell(counts, key)}</td>" for _, counts in columns)
        is_nearest = key == (nearest.auxiliary, nearest.classifier, nearest.biases)
        mark = f" <small>{escape(say(language, 'bottleneck_nearest'))}</small>" if is_nearest else ""
        chosen = ' class="il-bn-chosen"' if is_nearest else ""
        rows.append(
            f'<tr{chosen}><th scope="row">{escape(say(language, f"bottleneck_count_{way}"))}{mark}</th>{cells}</tr>'
        )
    title = say(language, "bottleneck_millions_title")
    answer = published_size().parameters
    return (
        f"<h3>{escape(title)}</h3>{_paragraph('bottleneck_millions_note', language)}"
        f'{_box(title)}<table><thead><tr><th scope="col">{escape(say(language, "bottleneck_counted"))}</th>{heads}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        + _paragraph(
            "bottleneck_millions_end",
            language,
            nearest=f"{nearest.parameters:,}",
            table=f"{round(sum(TABLE_1.values()) * TABLE_1_UNIT, -4):,.0f}",
            answer=f"{answer:,}",
            times=short(ALEXNET_CLAIM / answer),
        )
    )


def _by_way(counts: Sequence[ParameterCount]) -> dict[tuple[bool, bool, bool], int]:
    return {(count.auxiliary, count.classifier, count.biases): count.parameters for count in counts}


def _count_cell(counts: Sequence[ParameterCount], key: tuple[bool, bool, bool]) -> str:
    """The number, or a dash where auxiliary classifiers are asked for and the network has none."""
    by_way = _by_way(counts)
    missing = key[0] and by_way[key] == by_way[(False, *key[1:])]
    return "–" if missing else f"{by_way[key]:,}"


def calculator_html(
    in_channels: float | None,
    reduced: float | None,
    out_channels: float | None,
    kernel: float | None,
    cells: float | None,
    language: str,
) -> str:
    """A kernel x kernel convolution directly and through a 1x1 reduction, worked out; or what may be entered.

    Numbers come from a visitor's fields, which may be empty or fractions. The table compares other windows.
    """
    fields = (
        (in_channels, MOST_CHANNELS),
        (reduced, MOST_CHANNELS),
        (out_channels, MOST_CHANNELS),
        (kernel, MOST_KERNEL),
        (cells, MOST_CELLS),
    )
    whole = [int(value) for value, most in fields if value is not None and value in range(1, most + 1)]
    if len(whole) != len(fields):
        limits = {"channels": f"{MOST_CHANNELS:,}", "kernel": MOST_KERNEL, "cells": f"{MOST_CELLS:,}"}
        return message_html(say(language, "bottleneck_calc_refused", **limits), alarm=True)
    given, between, channels, side, area = whole
    cost = bottleneck(given, between, channels, side, cells=area, bias=False)
    most = max(cost.direct.weights, cost.reduced.weights)
    direct, through = say(language, "bottleneck_direct"), say(language, "bottleneck_through", reduced=f"{between:,}")
    window = f"{side}×{side}"
    work = say(
        language,
        "bottleneck_calc_multiplications",
        cells=f"{area:,}",
        direct=_in_millions(cost.direct.multiplications),
        reduced=_in_millions(cost.reduced.multiplications),
    )
    sums = (
        f"<dt>{escape(direct)}</dt><dd>{window}×{given}×{channels} = <strong>{cost.direct.weights:,}</strong>"
        f"{_share_bar('naive', cost.direct.weights, most)}</dd>"
        f"<dt>{escape(through)}</dt><dd>1×1×{given}×{between} + {window}×{between}×{channels} = "
        f"{cost.reduction.weights:,} + {cost.convolution.weights:,} = <strong>{cost.reduced.weights:,}</strong>"
        f"{_share_bar('reduced', cost.reduced.weights, most)}</dd>"
    )
    rows = [
        _window_row(kernel, kernel == side, (given, between, channels), language)
        for kernel in sorted({*CALCULATOR_KERNELS, side})
    ]
    heads = (
        "bottleneck_calc_window",
        "bottleneck_direct",
        "bottleneck_reduced",
        "bottleneck_times",
        "bottleneck_calc_limit",
    )
    caption = say(language, "bottleneck_calc_caption", given=given, reduced=between, channels=channels)
    return (
        f'<section class="il-bn-calc" aria-label="{escape(say(language, "bottleneck_calc_title"))}">'
        f"<dl>{sums}</dl>{_verdict(cost, language)}<p>{escape(work)}</p>"
        f"<p>{escape(caption)}</p>{_table(heads, rows, caption, language)}</section>"
    )


def _window_row(kernel: int, chosen: bool, widths: tuple[int, int, int], language: str) -> str:
    given, between, channels = widths
    cost = bottleneck(given, between, channels, kernel, bias=False)
    limit = break_even(given, channels, kernel)
    mark = ' class="il-bn-chosen"' if chosen else ""
    return (
        f'<tr{mark} data-kernel="{kernel}"><th scope="row">{kernel}×{kernel}</th>'
        f"<td>{cost.direct.weights:,}</td><td>{cost.reduced.weights:,}</td>"
        f"<td>{short(cost.direct.weights / cost.reduced.weights)}</td>"
        f"<td>{f'{limit:,}' if limit else escape(say(language, 'bottleneck_calc_never'))}</td></tr>"
    )


def _table(heads: Sequence[str], rows: Sequence[str], name: str, language: str, *, grouped: bool = False) -> str:
    """A table that scrolls in its own box where the screen is narrow; `grouped` rows bring their own bodies."""
    columns = "".join(f'<th scope="col" data-head="{head}">{escape(say(language, head))}</th>' for head in heads)
    body = "".join(rows) if grouped else f"<tbody>{''.join(rows)}</tbody>"
    return f"{_box(name)}<table><thead><tr>{columns}</tr></thead>{body}</table></div>"


def _box(name: str) -> str:
    """What scrolls must be reachable with the keyboard, and then have a name."""
    return f'<div class="il-bn-scroll" role="region" tabindex="0" aria-label="{escape(name)}">'


def _paragraph(key: str, language: str, **details: object) -> str:
    return f"<p>{escape(say(language, key, **details))}</p>"


def _in_millions(number: int) -> str:
    return f"{number / 1e6:,.1f}"
