"""The HTML of the evidence: a logit split over branches, cells and channels of the last block, and Grad-CAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from math import floor, log10

import numpy as np

from ...explain.attribution import LAST_BLOCK, ChannelEvidence, Evidence, GradCam
from ...network.blocks import BRANCHES
from ...prediction import Prediction
from ...render import maps as render
from ...render.frames import SIDE
from ..text import say
from .block import data_url

MOST_DECIMALS = 9


def evidence_html(evidence: Evidence, prediction: Prediction, names: Mapping[str, str], language: str) -> str:
    """A class's logit as a sum over block 5b: five maps on the photo, the sum written out, the strongest channels.

    `names` are the branches' names as the page shows them.
    """
    label = first_of(evidence.label)
    maps = {branch: evidence.map if branch is None else evidence.maps[branch] for branch in (None, *evidence.maps)}
    bounds = _shared(maps, signed=True)
    decimals = decimals_for((evidence.logit, evidence.rest, *evidence.amounts.values()), 4)
    total = settled(evidence.total, evidence.logit, decimals)
    *amounts, rest = adding_up([*evidence.amounts.values(), evidence.rest], total, decimals)
    shown: dict[str | None, Decimal] = {
        None: sum(amounts, Decimal()),
        **dict(zip(evidence.amounts, amounts, strict=True)),
    }
    articles = "".join(
        _article(
            branch,
            values,
            bounds,
            prediction,
            say(language, "evidence_alt", branch=_name(branch, names, language), label=label),
            _name(branch, names, language),
            say(language, "evidence_amount", amount=number(shown[branch], decimals)),
            say(
                language,
                "evidence_cells",
                lowest=number(values.min(), decimals),
                highest=number(values.max(), decimals),
            ),
        )
        for branch, values in maps.items()
    )
    height, width = evidence.map.shape
    title = say(language, "evidence_title", label=label, block=LAST_BLOCK)
    lead = say(language, "evidence_lead", block=LAST_BLOCK, height=height, width=width)
    terms = [
        *((names[branch], number(shown[branch], decimals), f" il-{branch}") for branch in evidence.amounts),
        (say(language, "evidence_rest"), number(rest, decimals), ""),
    ]
    notes = joined(language, say(language, "evidence_rounded"), say(language, "evidence_rough", block=LAST_BLOCK))
    check = say(language, "evidence_check", total=number(total, decimals), logit=number(evidence.logit, decimals))
    return (
        f'<section class="il-evidence" aria-label="{escape(title)}"><div class="il-head"><h2>{escape(title)}</h2></div>'
        f"<p>{escape(lead)}</p>"
        f"<p>{escape(say(language, 'evidence_linear' if evidence.linear else 'evidence_piece'))}</p>"
        f"{legend_html(bounds, say(language, 'evidence_legend'))}"
        f'<div class="il-evidence-panels">{articles}</div>'
        f"<h3>{escape(say(language, 'evidence_sum'))}</h3>"
        f'<p class="il-evidence-sum">{_written_out(terms)} <strong>{escape(check)}</strong></p>'
        f"<p>{escape(notes)}</p>"
        f"{_channels(evidence, prediction, names, label, language)}</section>"
    )


def cams_html(
    cams: Mapping[str | None, GradCam],
    prediction: Prediction,
    block: str,
    names: Mapping[str, str],
    language: str,
    *,
    rectified: bool = False,
) -> str:
    """Grad-CAM of a block (under None) and of its branches, on one scale, signed or rectified as in the paper."""
    label = first_of(cams[None].label)
    # The whole block first, then the branches in the order in which they are concatenated.
    maps = {branch: cams[branch].rectified if rectified else cams[branch].signed for branch in (None, *BRANCHES)}
    bounds = _shared(maps, signed=not rectified)
    decimals = decimals_for((bounds.high,))
    articles = "".join(
        _article(
            branch,
            values,
            bounds,
            prediction,
            say(language, "cam_alt", branch=_name(branch, names, language), block=block, label=label),
            _name(branch, names, language),
            "",
            say(
                language,
                "cam_numbers",
                lowest=number(values.min(), decimals),
                highest=number(values.max(), decimals),
                mean=number(values.mean(), decimals),
            ),
        )
        for branch, values in maps.items()
    )
    title = say(language, "cam_title", label=label, block=block)
    kind = "rectified" if rectified else "signed"
    lead = joined(language, say(language, "cam_lead"), say(language, f"cam_{kind}"))
    notes = joined(language, say(language, "cam_no_check"), say(language, "cam_rough"))
    return (
        f'<section class="il-cam" aria-label="{escape(title)}"><div class="il-head"><h2>{escape(title)}</h2></div>'
        f"<p>{escape(lead)}</p>"
        f"{legend_html(bounds, say(language, f'cam_legend_{kind}'))}"
        f'<div class="il-evidence-panels">{articles}</div>'
        f"<p>{escape(notes)}</p></section>"
    )


def adding_up(parts: Sequence[float], total: float, decimals: int) -> list[Decimal]:
    """The parts rounded so that, as shown, they add up to the total as shown.

    Each is rounded to the nearest; where that leaves a unit or a few over, they go where they are the
    least wrong. So none is off by more than one unit in the last place.

    Raises:
        ValueError: if the parts do not come to the total.
    """
    exact = [float(part) * 10**decimals for part in parts]
    units = [round(part) for part in exact]
    missing = round(float(total) * 10**decimals) - sum(units)
    if abs(missing) > len(parts):
        raise ValueError(f"The parts come to {sum(parts)} and not to {total}.")
    step = 1 if missing > 0 else -1
    order = sorted(range(len(parts)), key=lambda place: step * (units[place] - exact[place]))
    for place in order[: abs(missing)]:
        units[place] += step
    return [Decimal(unit).scaleb(-decimals) for unit in units]


def settled(computed: float, observed: float, decimals: int) -> float:
    """The observed number where the computed one agrees with it to half a unit of the last place, else the computed.

    The two come in different precision, and a tie between two roundings should not look like a difference.
    """
    return observed if abs(computed - observed) < 0.5 * 10**-decimals else computed


def decimals_for(values: Sequence[float], figures: int = 3) -> int:
    """How many places after the point give the largest of the values so many significant figures."""
    largest = max(abs(float(value)) for value in values)
    return figures - 1 if largest == 0 else min(max(figures - 1 - floor(log10(largest)), 0), MOST_DECIMALS)


def number(value: float | Decimal, decimals: int) -> str:
    """With a true minus sign, and none before a zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def plus(shown: str) -> str:
    """A number from `number` as a further term of a sum: "+ 1.2", or "− 1.2" where it is negative."""
    return f"− {shown[1:]}" if shown.startswith("−") else f"+ {shown}"


def legend_html(bounds: render.Limits, words: str) -> str:
    """A colour bar with its two ends as numbers, and what it stands for."""
    decimals = decimals_for((bounds.high,))
    url = data_url(render.colour_bar(render.COLOURS[0], signed=bounds.signed))
    return (
        f'<div class="il-legend"><div class="il-bar"><span>{number(bounds.low, decimals)}</span>'
        f'<img src="{url}" alt=""><span>{number(bounds.high, decimals)}</span></div><p>{escape(words)}</p></div>'
    )


def joined(language: str, *sentences: str) -> str:
    """Sentences one after the other, with a space between them where the language has one."""
    return say(language, "evidence_between").join(sentences)


def first_of(label: str) -> str:
    """The first of a class's names: of "goldfish, Carassius auratus" it is "goldfish"."""
    return label.split(",")[0].strip()


def _shared(maps: Mapping[str | None, np.ndarray], *, signed: bool) -> render.Limits:
    ends = np.array([end for values in maps.values() for end in (values.min(), values.max())])
    return render.limits(ends, signed=signed)


def _name(branch: str | None, names: Mapping[str, str], language: str) -> str:
    return say(language, "evidence_all") if branch is None else names[branch]


def _article(
    branch: str | None,
    values: np.ndarray,
    bounds: render.Limits,
    prediction: Prediction,
    alt: str,
    name: str,
    amount: str,
    numbers: str,
) -> str:
    image = render.overlay(prediction.image, values, bounds, size=SIDE)
    kind = branch or "all"
    strong = f"<strong>{escape(amount)}</strong><br>" if amount else ""
    return (
        f'<article class="il-panel il-{kind}" data-branch="{kind}"><h3>{escape(name)}</h3>'
        f'<img src="{data_url(image)}" width="{image.width}" height="{image.height}" alt="{escape(alt)}">'
        f"<p>{strong}{escape(numbers)}</p></article>"
    )


def _written_out(terms: Sequence[tuple[str, str, str]]) -> str:
    """Names and numbers as a sum; a number below zero is taken away."""
    parts = []
    for place, (name, amount, kind) in enumerate(terms):
        shown = plus(amount) if place else amount
        parts.append(f'<span class="il-evidence-term{kind}">{shown} <small>{escape(name)}</small></span>')
    return " ".join(parts)


def _channels(evidence: Evidence, prediction: Prediction, names: Mapping[str, str], label: str, language: str) -> str:
    both = (*evidence.strongest_for, *evidence.strongest_against)
    if not both:
        return ""
    widest = max(abs(one.amount) for one in both)
    decimals = decimals_for((widest,))
    starts = {branch: where.start for branch, where in prediction.slices[LAST_BLOCK].items()}

    def row(one: ChannelEvidence) -> str:
        return (
            f'<tr><th scope="row">{one.channel - starts[one.branch]}</th>'
            f'<td><span class="il-evidence-branch il-{one.branch}">{escape(names[one.branch])}</span></td>'
            f"<td>{number(one.amount, decimals)}</td>"
            f'<td aria-hidden="true"><span class="il-evidence-bar il-{one.branch}" '
            f'style="width: {abs(one.amount) / widest:.1%}"></span></td></tr>'
        )

    def table(side: str, rows: Sequence[ChannelEvidence]) -> str:
        title = escape(say(language, f"evidence_{side}", label=label))
        if not rows:
            return f"<div><h3>{title}</h3><p>{escape(say(language, 'evidence_none'))}</p></div>"
        heads = "".join(
            f'<th scope="col">{escape(say(language, head))}</th>'
            for head in ("evidence_channel", "evidence_branch", "evidence_gives")
        )
        return (
            f'<div><h3>{title}</h3><table data-side="{side}"><thead><tr>{heads}<td></td></tr></thead>'
            f"<tbody>{''.join(row(one) for one in rows)}</tbody></table></div>"
        )

    return (
        f'<div class="il-evidence-channels">{table("for", evidence.strongest_for)}'
        f"{table('against', evidence.strongest_against)}</div><p>{escape(say(language, 'evidence_counted'))}</p>"
    )
