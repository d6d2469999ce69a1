"""The HTML of one cell: where it is, what it sees of the photo, and its convolution by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10

import numpy as np

from ...explain.convolution import Affine, ConvolutionTrace
from ...explain.receptive_field import EffectiveField, Square
from ...network.blocks import BRANCHES
from ...prediction import Prediction
from ...render import frames as render_photo
from ...render import maps as render
from ..text import say
from .block import data_url, message_html
from .evidence import MOST_DECIMALS, adding_up, decimals_for, joined, legend_html, number, plus, settled

SHARE = 0.9  # of the influence, that the core square holds
GRIDS = 3  # input channels whose patch and kernel are shown cell by cell
FIGURES = 4  # significant, of the largest number in a sum


def cell_html(
    by_hand: ConvolutionTrace,
    field: EffectiveField,
    square: Square,
    prediction: Prediction,
    names: Mapping[str, str],
    language: str,
) -> str:
    """A cell of a channel: in its map, on the photo with all that it can see and what counts, and computed by hand.

    `field` and `square` belong to the same cell of the branch, that is of its last layer. For a
    reduction no map is shown, for the observation has none.
    """
    branch = names[by_hand.branch]
    is_last = by_hand.layer == BRANCHES[by_hand.branch][-1]
    title = say(
        language,
        "cell_title" if is_last else "cell_title_reduction",
        row=by_hand.row,
        column=by_hand.column,
        channel=by_hand.channel,
        branch=branch,
        block=by_hand.block,
    )
    note = "" if is_last else f"<p>{escape(say(language, 'cell_reduction_note'))}</p>"
    figures = (_map(by_hand, prediction, branch, language) if is_last else "") + _sight(
        field, square, prediction, branch, language
    )
    return (
        f'<section class="il-cell" aria-label="{escape(title)}"><div class="il-head"><h2>{escape(title)}</h2>'
        f"<p>{escape(say(language, 'cell_counted'))}</p></div>"
        f'{note}<div class="il-cell-figures">{figures}</div>{_by_hand(by_hand, language)}</section>'
    )


# ---------------------------------------------------------------- where it is and what it sees


def _map(by_hand: ConvolutionTrace, prediction: Prediction, branch: str, language: str) -> str:
    maps = prediction.branch(by_hand.block, by_hand.branch)
    values = maps[by_hand.channel]
    # Zero is white in all channels of a branch or in none.
    bounds = render.limits(values, signed=bool(maps.min() < 0))
    image = render_photo.marked_map(values, bounds, (by_hand.row, by_hand.column))
    decimals = decimals_for((bounds.high,))
    height, width = values.shape
    words = say(
        language,
        "cell_map_note",
        height=height,
        width=width,
        value=number(by_hand.value, decimals),
        lowest=number(values.min(), decimals),
        highest=number(values.max(), decimals),
    )
    alt = say(
        language,
        "cell_map_alt",
        channel=by_hand.channel,
        branch=branch,
        block=by_hand.block,
        row=by_hand.row,
        column=by_hand.column,
    )
    legend = legend_html(bounds, say(language, "legend_signed") if bounds.signed else "")
    return _figure("map", say(language, "cell_map_title"), data_url(image), image.size, alt, [words], legend)


def _sight(field: EffectiveField, square: Square, prediction: Prediction, branch: str, language: str) -> str:
    seen = prediction.image
    box, core = _box(square), field.core(SHARE)
    photo = render_photo.dimmed(render_photo.enlarged(seen), seen.size, box)
    exact = render_photo.framed(photo, seen.size, [box])
    words = [say(language, "cell_exact", width=square.width, height=square.height)]
    if square.left == 0 or square.top == 0 or square.right == seen.width or square.bottom == seen.height:
        words.append(say(language, "cell_exact_border"))
    first = _figure(
        "exact",
        say(language, "cell_exact_title"),
        data_url(exact),
        exact.size,
        say(language, "cell_exact_alt", width=square.width, height=square.height),
        words,
    )
    heading = say(language, "cell_field_title")
    if core.width == 0:
        return (
            f"{first}<div><h3>{escape(heading)}</h3>{message_html(say(language, 'cell_no_field', branch=branch))}</div>"
        )
    # The root: energies differ by so many powers of ten that all but a few pixels would be black.
    strength = np.sqrt(field.energy)
    heat = render.overlay(seen, strength / strength.max(), render.Limits(0.0, 1.0), size=render_photo.SIDE)
    effective = render_photo.framed(heat, seen.size, [box], [_box(core)])
    told = {"share": SHARE, "width": core.width, "height": core.height}
    return first + _figure(
        "field",
        heading,
        data_url(effective),
        effective.size,
        say(language, "cell_field_alt", **told),
        [say(language, "cell_core", **told), say(language, "cell_field_note", branch=branch)],
        legend_html(render.Limits(0.0, 1.0), say(language, "cell_field_legend")),
    )


def _box(square: Square) -> render_photo.Box:
    return square.left, square.top, square.right, square.bottom


def _figure(
    kind: str, heading: str, url: str, size: tuple[int, int], alt: str, words: Sequence[str], legend: str = ""
) -> str:
    return (
        f'<figure data-figure="{kind}"><h3>{escape(heading)}</h3>'
        f'<img src="{url}" width="{size[0]}" height="{size[1]}" alt="{escape(alt)}">{legend}'
        f"<figcaption>{'<br>'.join(escape(sentence) for sentence in words)}</figcaption></figure>"
    )


# ---------------------------------------------------------------- by hand


@dataclass(frozen=True)
class _Sums:
    """The numbers of a convolution by hand as they are shown; strings, for they were rounded to add up."""

    decimals: int  # of the value in the map and of what leads from the sum to it
    places: int  # decimals of the products and their sum
    products: tuple[str, ...]
    others: str  # empty where all products are told one by one
    bias: str  # empty where the layer has none
    sum: str
    scaled: str  # scale times sum; these two empty without a BatchNorm
    shift: str
    before: str  # what the ReLU takes, or a `preact` layer gives
    value: str


def _sums(told: ConvolutionTrace) -> _Sums:
    """Choose how many decimals to show, and round from the value in the map back to the products."""
    before = told.sum if told.normalised is None else told.normalised
    terms = {str(place): product.product for place, product in enumerate(told.products)}
    if told.count > len(told.products):
        terms["others"] = told.others
    if told.bias:
        terms["bias"] = told.bias
    places = decimals_for((*terms.values(), told.sum), FIGURES)
    decimals = places
    if told.affine is not None:
        affine = told.affine
        decimals = decimals_for((before, affine.scale * told.sum, affine.shift), FIGURES)
        # A large scale multiplies what rounding left out of the sum.
        places = max(places, decimals + ceil(log10(max(abs(affine.scale) / 2, 1))))
    # Where the ReLU stopped the number, the map's zero says nothing about it.
    passed = told.relu is None or told.value > 0
    end = settled(before, told.value, decimals) if passed else before
    scaled = shift = ""
    total = end
    if told.affine is not None:
        parts = adding_up([told.affine.scale * told.sum, told.affine.shift], end, decimals)
        scaled, shift = (number(part, decimals) for part in parts)
        total = told.sum
    rounded = adding_up(list(terms.values()), total, places)
    shown = {name: number(term, places) for name, term in zip(terms, rounded, strict=True)}
    return _Sums(
        decimals=decimals,
        places=places,
        products=tuple(shown[str(place)] for place in range(len(told.products))),
        others=shown.get("others", ""),
        bias=shown.get("bias", ""),
        sum=number(total, places),
        scaled=scaled,
        shift=shift,
        before=number(end, decimals),
        value=number(told.value, decimals),
    )


def _by_hand(told: ConvolutionTrace, language: str) -> str:
    sums = _sums(told)
    return (
        f"<h3>{escape(say(language, 'cell_hand_title'))}</h3>{_introduction(told, language)}"
        f"{_grids(told, language) if told.kernel_side > 1 else ''}"
        f"{_products(told, sums, language)}{_steps(told, sums, language)}"
    )


def _introduction(told: ConvolutionTrace, language: str) -> str:
    side, layers = told.kernel_side, BRANCHES[told.branch]
    details = {
        "side": side,
        "places": int(told.inside.sum()),
        "channels": len(told.kernel),
        "count": f"{told.count:,}",
    }
    source = "pool" if told.branch == "pool" else "block" if told.layer == layers[0] else "reduction"
    words = [
        say(language, "cell_lead_one" if side == 1 else "cell_lead", **details),
        say(language, f"cell_from_{source}"),
    ]
    if not told.inside.all():
        words.append(say(language, "cell_border"))
    if told.preact:
        words.append(say(language, "cell_preact"))
    if told.layer == told.branch != f"{side}x{side}":
        words.append(say(language, "cell_other_kernel", branch=told.branch.replace("x", "×"), side=side))
    return f"<p>{escape(joined(language, *words))}</p>"


def _grids(told: ConvolutionTrace, language: str) -> str:
    """Patch, kernel and products of the input channels that weigh most in the sum, cell by cell."""
    products = told.patch * told.kernel
    weight = products.sum(axis=(1, 2))
    strongest = [int(channel) for channel in np.argsort(-np.abs(weight), kind="stable")[:GRIDS]]
    decimals = decimals_for((*products[strongest].ravel(), *weight[strongest]))
    values_shown, weights_shown = (_shown(array, strongest) for array in (told.patch, told.kernel))
    rows = []
    for channel in strongest:
        shown = [number(part, decimals) for part in adding_up(products[channel].ravel(), weight[channel], decimals)]
        grids = "".join(
            _grid(say(language, f"cell_{name}"), values, texts, told.inside, sign)
            for name, values, texts, sign in (
                ("values", told.patch[channel], values_shown[channel], ""),
                ("weights", told.kernel[channel], weights_shown[channel], "×"),
                ("products", products[channel], shown, "="),
            )
        )
        total = say(language, "cell_channel_sum", channel=channel, sum=number(weight[channel], decimals))
        rows.append(f'<div class="il-cell-grids" data-channel="{channel}"><p>{escape(total)}</p>{grids}</div>')
    title = say(language, "cell_grids_title", count=len(strongest))
    return f"<h4>{escape(title)}</h4><p>{escape(say(language, 'cell_grids_note'))}</p>{''.join(rows)}"


def _shown(arrays: np.ndarray, channels: Sequence[int]) -> dict[int, list[str]]:
    """The numbers of some channels of (C, k, k), all with as many decimals."""
    decimals = decimals_for(tuple(arrays[channels].ravel()))
    return {channel: [number(value, decimals) for value in arrays[channel].ravel()] for channel in channels}


def _grid(name: str, values: np.ndarray, texts: Sequence[str], inside: np.ndarray, sign: str) -> str:
    """A small table: the larger a number by its absolute value, the stronger its colour."""
    largest = float(np.abs(values).max()) or 1.0

    def cell(place: int) -> str:
        value, on_map = values.flat[place], inside.flat[place]
        kinds = ("il-cell-plus" if value > 0 else "il-cell-minus") + ("" if on_map else " il-cell-beside")
        return f'<td class="{kinds}" style="--share: {abs(value) / largest:.0%}">{texts[place]}</td>'

    side = values.shape[-1]
    body = "".join(
        f"<tr>{''.join(cell(place) for place in range(row * side, (row + 1) * side))}</tr>" for row in range(side)
    )
    before = f'<span class="il-cell-sign" aria-hidden="true">{sign}</span>' if sign else ""
    return (
        f'<div class="il-cell-step">{before}<table class="il-cell-grid"><caption>{escape(name)}</caption>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _products(told: ConvolutionTrace, sums: _Sums, language: str) -> str:
    """The largest products one by one, and under them what makes them up to the sum."""
    wide = told.kernel_side > 1
    times, equals = ('<span class="il-cell-operator">' + sign + " </span>" for sign in "×=")
    plain_values = [product.value for product in told.products]
    plain_weights = [product.weight for product in told.products]
    values = _column(plain_values, plain_weights, sums.places)
    weights = _column(plain_weights, plain_values, sums.places)
    rows = []
    for place, product in enumerate(told.products):
        where = f"<td>{product.row}</td><td>{product.column}</td>" if wide else ""
        rows.append(
            f'<tr><th scope="row">{product.input_channel}</th>{where}<td>{values[place]}</td>'
            f"<td>{times}{weights[place]}</td><td>{equals}{sums.products[place]}</td></tr>"
        )
    rest = told.count - len(told.products)
    span = 5 if wide else 3

    def line(words: str, amount: str, kind: str = "") -> str:
        heading = f'<th scope="row" colspan="{span}">{escape(words)}</th>'
        return f'<tr class="il-cell-line{kind}">{heading}<td>{amount}</td></tr>'

    if sums.others:
        rows.append(line(say(language, "cell_others", count=f"{rest:,}"), plus(sums.others)))
    if sums.bias:
        rows.append(line(say(language, "cell_bias"), plus(sums.bias)))
    rows.append(line(say(language, "cell_sum"), f"= {sums.sum}", " il-cell-total"))
    columns = (
        ("input", "row", "column", "value", "weight", "product") if wide else ("input", "value", "weight", "product")
    )
    heads = "".join(f'<th scope="col">{escape(say(language, f"cell_head_{head}"))}</th>' for head in columns)
    title = say(language, "cell_products_title", most=len(told.products), count=f"{told.count:,}")
    return (
        f'<h4>{escape(title)}</h4><div class="il-cell-scroll" role="region" tabindex="0" aria-label="{escape(title)}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _column(values: Sequence[float], others: Sequence[float], places: int) -> list[str]:
    """One side of the products, with so many decimals that multiplying what is shown gives `places` right decimals."""
    largest = max((abs(other) for other in others), default=0.0)
    decimals = places + ceil(log10(largest)) if largest else places
    return [number(value, min(max(decimals, 0), MOST_DECIMALS)) for value in values]


def _steps(told: ConvolutionTrace, sums: _Sums, language: str) -> str:
    """BatchNorm and ReLU where the layer has them, and the number in the map."""
    steps = []
    if told.affine is not None:
        steps.append(_batchnorm(told.affine, sums, language))
    if told.relu is not None:
        key = "cell_relu_passes" if told.relu > 0 else "cell_relu_stops"
        steps.append((say(language, key), f"max(0, {sums.before}) = <b>{_after_relu(told, sums)}</b>"))
    result = sums.before if told.relu is None else _after_relu(told, sums)
    steps.append((say(language, "cell_in_map", decimals=sums.decimals), f"<b>{sums.value}</b>"))
    note = say(language, "cell_rounded") if result == sums.value else say(language, "cell_float32")
    items = "".join(f"<dt>{escape(words)}</dt><dd>{arithmetic}</dd>" for words, arithmetic in steps)
    return (
        f"<h4>{escape(say(language, 'cell_steps_title'))}</h4>"
        f'<dl class="il-cell-steps">{items}</dl><p>{escape(note)}</p>'
    )


def _batchnorm(affine: Affine, sums: _Sums, language: str) -> tuple[str, str]:
    scale = number(affine.scale, decimals_for((affine.scale,), FIGURES + 1))
    shift = plus(sums.shift)
    arithmetic = f"{sums.sum} × {scale} {shift} = {sums.scaled} {shift} = <b>{sums.before}</b>"
    return say(language, "cell_batchnorm"), arithmetic


def _after_relu(told: ConvolutionTrace, sums: _Sums) -> str:
    return sums.before if (told.relu or 0) > 0 else number(0, sums.decimals)
