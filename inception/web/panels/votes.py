"""The HTML of what branches are worth: their votes for a class, the answer without them, the network at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from html import escape
from itertools import groupby
from math import factorial

from ...explain.ablation import AblationResult, AblationTable, ClassChange
from ...explain.shapley import BRANCH_NAMES, BranchVotes
from ..text import say
from .block import short

DIGITS = (2, 3, 4)  # that the check may be shown with
SMALLEST = 0.5 * 10 ** -DIGITS[0]  # what is smaller is shown as zero
TOLERANCE = 1e-3  # of float32 through the rest of the network, for logits of order 10
CLEARLY = 1.5  # times the next vote: from here on one branch carries the class
HEAT = 60  # percent of a cell's colour at most: more would leave its number hard to read
MINUS = "\u2212"


def votes_html(votes: BranchVotes, names: Mapping[str, str], language: str) -> str:
    """The four votes of a block's branches as bars beside the baseline, with their sum checked against the logit.

    `names` says what the page calls each branch, for instance "5×5 (runs 3×3)".
    """
    title = say(language, "votes_title", block=votes.block, label=votes.label)
    answer = say(language, "votes_answer", logit=_number(votes.logit), probability=votes.probability)
    runs = len(votes.subsets)
    what = say(language, "votes_what", orders=factorial(len(votes.votes)), runs=runs)
    off = say(language, f"votes_off_{votes.ablation}")
    return (
        f'<section class="il-votes" aria-label="{escape(title)}"><div class="il-head"><h2>{escape(title)}</h2>'
        f"<p>{escape(answer)}</p></div>"
        f'<p class="il-votes-verdict"><strong>{escape(_verdict(votes, names, language))}</strong></p>'
        f"{_bars(votes, names, language)}"
        f'<p class="il-votes-check">{escape(_check(votes, language))}</p>'
        f"<p>{escape(what)}</p>"
        f"<p>{escape(_joined([off, say(language, 'votes_bright')], language))}</p>"
        f"<details><summary>{escape(say(language, 'votes_table', runs=runs))}</summary>"
        f"{_subsets(votes, names, language)}</details></section>"
    )


def _verdict(votes: BranchVotes, names: Mapping[str, str], language: str) -> str:
    """Which branch carries the class, or that none does; then which speak against it."""
    worth = votes.votes
    first, second, *_, last = sorted(worth, key=worth.__getitem__, reverse=True)
    if max(map(abs, worth.values())) < SMALLEST:
        return say(language, "votes_nothing", label=votes.label)
    if worth[first] < SMALLEST:
        return say(language, "votes_none", label=votes.label, branch=names[last], vote=_signed(worth[last]))
    told: dict[str, object] = {"label": votes.label, "branch": names[first], "vote": _signed(worth[first])}
    if worth[second] < SMALLEST:
        sentences = [say(language, "votes_only", **told)]
    else:
        times = worth[first] / worth[second]
        told |= {"times": short(times), "second": names[second], "second_vote": _signed(worth[second])}
        sentences = [say(language, "votes_carries" if times >= CLEARLY else "votes_shared", **told)]
    against = [branch for branch in sorted(worth, key=worth.__getitem__) if worth[branch] <= -SMALLEST]
    if against:
        named = (say(language, "votes_named", branch=names[name], vote=_signed(worth[name])) for name in against)
        sentences.append(say(language, "votes_against", branches=_listed(named, language)))
    return _joined(sentences, language)


def _bars(votes: BranchVotes, names: Mapping[str, str], language: str) -> str:
    ends = (0.0, votes.baseline, *votes.votes.values())
    low, high = min(ends), max(ends)
    span = high - low or 1.0

    def bar(name: str, kind: str, value: float, number: str) -> str:
        return (
            f'<li class="{kind}"><span class="il-votes-name">{escape(name)}</span>'
            f'<span class="il-votes-track" aria-hidden="true"><span class="il-votes-bar" '
            f'style="left: {(min(value, 0.0) - low) / span:.2%}; width: {abs(value) / span:.2%}"></span></span>'
            f'<span class="il-votes-number">{number}</span></li>'
        )

    rows = [bar(say(language, "votes_baseline"), "il-votes-baseline", votes.baseline, _number(votes.baseline))]
    rows += [bar(names[branch], f"il-{branch}", vote, _signed(vote)) for branch, vote in votes.votes.items()]
    return (
        f'<ul class="il-votes-bars" aria-label="{escape(say(language, "votes_bars"))}" '
        f'style="--zero: {-low / span:.2%}">{"".join(rows)}</ul>'
        f'<p class="il-votes-sides">{escape(say(language, "votes_sides"))}</p>'
    )


def _check(votes: BranchVotes, language: str) -> str:
    """The sum written out so that a reader who adds up the numbers shown gets the number shown."""
    digits, adds_up = _adding_up(votes)
    terms = _number(votes.baseline, digits)
    for vote in votes.votes.values():
        sign, amount = f"{vote:+z.{digits}f}"[0], f"{abs(vote):.{digits}f}"
        terms += f" {sign.replace('-', MINUS)} {amount}"
    sentences = [
        say(
            language,
            "votes_check",
            terms=terms,
            equals="=" if adds_up else "≈",
            total=_number(votes.total, digits),
            logit=_number(votes.logit, digits),
        )
    ]
    if not adds_up:
        sentences.append(say(language, "votes_check_rounded"))
    if votes.error > TOLERANCE:
        sentences.append(say(language, "votes_check_off", error=f"{votes.error:.{DIGITS[-1]}f}"))
    return _joined(sentences, language)


def _adding_up(votes: BranchVotes) -> tuple[int, bool]:
    """The fewest digits at which the numbers add up as they are shown and the logit looks as right as it is.

    Where there are none, the fewest of all, and False.
    """
    for digits in DIGITS:
        terms = sum(_rounded(term, digits) for term in (votes.baseline, *votes.votes.values()))
        total, logit = _rounded(votes.total, digits), _rounded(votes.logit, digits)
        if terms == total and (total == logit) == (votes.error <= TOLERANCE):
            return digits, True
    return DIGITS[0], False


def _subsets(votes: BranchVotes, names: Mapping[str, str], language: str) -> str:
    """A table of all sets of branches, from none to all, with the class's logit and probability."""
    branches = tuple(votes.votes)
    order = sorted(votes.subsets, key=lambda on: (len(on), [branch not in on for branch in branches]))
    words = {held: escape(say(language, "votes_on" if held else "votes_off")) for held in (True, False)}
    rows = []
    for on in order:
        cells = "".join(
            f'<td class="il-{branch} {"il-votes-on" if branch in on else "il-votes-off"}">{words[branch in on]}</td>'
            for branch in branches
        )
        rows.append(f"<tr>{cells}<td>{_number(votes.subsets[on])}</td><td>{votes.probabilities[on]:.1%}</td></tr>")
    heads = (*(names[branch] for branch in branches), say(language, "votes_logit"), say(language, "votes_probability"))
    columns = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    name = say(language, "votes_table", runs=len(order))
    return (
        # What scrolls must be reachable with the keyboard, and then have a name.
        f'<div class="il-votes-scroll" role="region" tabindex="0" aria-label="{escape(name)}">'
        f"<table><thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def switched_html(
    switched: AblationResult, slices: Mapping[str, slice], names: Mapping[str, str], language: str
) -> str:
    """The answer with parts of a block off beside the answer before; as `nothing_off_html` where nothing is off.

    `slices` says which channels of the block's output are whose, as `InceptionBlock.slices` does.
    """
    if not switched.branches and not switched.channels:
        return nothing_off_html(switched.block, language)
    title = say(language, "switch_title", block=switched.block)
    off = say(language, f"votes_off_{switched.ablation}")
    rows = "".join(_change(change, language) for change in switched.top)
    return (
        f'<section class="il-switch" aria-label="{escape(title)}"><div class="il-head"><h3>{escape(title)}</h3></div>'
        f"<p>{escape(_joined([*_what_is_off(switched, slices, names, language), off], language))}</p>"
        f'<p class="il-switch-verdict" role="status"><strong>{escape(_new_answer(switched, language))}</strong></p>'
        f'<ol class="il-switch-bars" aria-label="{escape(say(language, "switch_list"))}">{rows}</ol>'
        f'<p class="il-switch-legend">{escape(say(language, "switch_legend"))}</p>'
        f"{_moved(switched, language)}</section>"
    )


def nothing_off_html(block: str, language: str) -> str:
    """An invitation to switch something off."""
    title, invitation = (say(language, key, block=block) for key in ("switch_title", "switch_nothing"))
    return f'<section class="il-switch" aria-label="{escape(title)}"><p>{escape(invitation)}</p></section>'


def _what_is_off(
    switched: AblationResult, slices: Mapping[str, slice], names: Mapping[str, str], language: str
) -> list[str]:
    """Branches by name and channels by their number within a branch; those of a branch that is off go without."""
    parts = [say(language, "switch_branch", branch=names[branch]) for branch in switched.branches]
    single = False
    for branch, part in slices.items():
        lost = [channel - part.start for channel in switched.channels if part.start <= channel < part.stop]
        if lost and branch not in switched.branches:
            key = "switch_channel" if len(lost) == 1 else "switch_channels"
            parts.append(say(language, key, branch=names[branch], numbers=_listed(_runs(lost), language)))
            single = True
    told = say(language, "switch_off", parts=say(language, "votes_semicolon").join(parts))
    return [told, say(language, "switch_counted")] if single else [told]


def _runs(numbers: Iterable[int]) -> list[str]:
    """Rising numbers, neighbours joined: 3, 4, 5, 9 as "3–5" and "9"."""
    groups = (
        [number for _, number in group]
        for _, group in groupby(enumerate(numbers), key=lambda counted: counted[1] - counted[0])
    )
    return [f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in groups]


def _new_answer(switched: AblationResult, language: str) -> str:
    """Whether another class is first now."""
    first, was = switched.top[0], switched.first_before
    told: dict[str, object] = {
        "label": first.label,
        "now": _percent(first.probability),
        "before": _percent(first.probability_before),
    }
    if was.index == first.index:
        return say(language, "switch_first", **told)
    return say(
        language,
        "switch_changed",
        **told,
        was=was.label,
        was_before=_percent(was.probability_before),
        was_now=_percent(was.probability),
    )


def _change(change: ClassChange, language: str) -> str:
    # The difference of the numbers shown, which is what a reader would check.
    points = _points(change.probability) - _points(change.probability_before)
    before = say(language, "switch_before", before=_percent(change.probability_before), points=_signed(points, 1))
    return (
        f'<li><span class="il-switch-name">{escape(change.label)}</span>'
        f'<span class="il-switch-track" aria-hidden="true">'
        f'<span class="il-switch-now" style="width: {change.probability:.2%}"></span>'
        f'<span class="il-switch-mark" style="left: {change.probability_before:.2%}"></span></span>'
        f'<span class="il-switch-number"><strong>{_percent(change.probability)}</strong> '
        f"<small>{escape(before)}</small></span></li>"
    )


def _moved(switched: AblationResult, language: str) -> str:
    sentences = []
    for kind, changes in (("risen", switched.risen), ("fallen", switched.fallen)):
        told = [
            f"{change.label} {_percent(change.probability_before)} → {_percent(change.probability)}"
            for change in changes
            if _points(change.probability_before) != _points(change.probability)
        ]
        if told:
            sentences.append(say(language, f"switch_{kind}", classes=_listed(told, language)))
    return "".join(f"<p>{escape(told)}</p>" for told in sentences or [say(language, "switch_unmoved")])


def glance_html(glance: AblationTable, chosen_block: str, names: Mapping[str, str], language: str) -> str:
    """Blocks by branches: how much the class's logit falls when one branch is off. Each cell is a button."""
    title = say(language, "glance_title", label=glance.label)
    reach = max(abs(fall) for row in glance.falls.values() for fall in row.values())
    heads = "".join(f'<th scope="col" class="il-{name}">{escape(names[name])}</th>' for name in BRANCH_NAMES)
    rows = []
    for block, falls in glance.falls.items():
        cells = "".join(f"<td>{_cell(block, name, falls[name], reach, names, language)}</td>" for name in BRANCH_NAMES)
        mark = ' aria-current="true"' if block == chosen_block else ""
        rows.append(f'<tr{mark}><th scope="row">{block}</th>{cells}</tr>')
    notes = _joined([say(language, f"votes_off_{glance.ablation}"), say(language, "glance_limits")], language)
    return (
        f'<section class="il-glance" aria-label="{escape(title)}"><div class="il-head"><h2>{escape(title)}</h2></div>'
        f"<p>{escape(say(language, 'glance_lead', logit=_number(glance.logit)))}</p>"
        f'<p class="il-glance-verdict"><strong>{escape(_strongest(glance, names, language))}</strong></p>'
        f'<div class="il-glance-scroll"><table aria-label="{escape(title)}"><thead><tr>'
        f'<th scope="col">{escape(say(language, "glance_block"))}</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{_heat_legend(reach, language)}"
        f"<p>{escape(notes)}</p></section>"
    )


def _cell(block: str, branch: str, fall: float, reach: float, names: Mapping[str, str], language: str) -> str:
    name = say(language, f"glance_cell_{_way(fall)}", block=block, branch=names[branch], fall=_number(fall))
    side = "il-glance-against" if fall < 0 else "il-glance-for"
    heat = HEAT * abs(fall) / reach if reach else 0.0
    return (
        f'<button type="button" class="{side}" data-block="{block}" data-branch="{branch}" '
        f'style="--heat: {heat:.0f}%" aria-label="{escape(name)}">{_number(fall)}</button>'
    )


def _strongest(glance: AblationTable, names: Mapping[str, str], language: str) -> str:
    cells = [(block, branch, fall) for block, row in glance.falls.items() for branch, fall in row.items()]
    block, branch, fall = max(cells, key=lambda cell: abs(cell[2]))
    return say(
        language,
        f"glance_strongest_{_way(fall)}",
        block=block,
        branch=names[branch],
        label=glance.label,
        amount=_number(abs(fall)),
    )


def _way(fall: float) -> str:
    """What the logit does, as far as the number shown tells: "falls", "rises" or "same"."""
    if abs(fall) < SMALLEST:
        return "same"
    return "falls" if fall > 0 else "rises"


def _heat_legend(reach: float, language: str) -> str:
    against, speaks_for = (escape(say(language, f"glance_{side}")) for side in ("against", "for"))
    return (
        f'<div class="il-glance-legend"><span>{_number(-reach)}<small>{against}</small></span>'
        f'<span class="il-glance-scale" style="--heat: {HEAT}%" aria-hidden="true"></span>'
        f"<span>{_number(reach)}<small>{speaks_for}</small></span></div>"
    )


def _joined(sentences: Iterable[str], language: str) -> str:
    return say(language, "votes_space").join(sentences)


def _listed(parts: Iterable[str], language: str) -> str:
    return say(language, "votes_comma").join(parts)


def _number(value: float | Decimal, digits: int = DIGITS[0]) -> str:
    """With a true minus, and without one where nothing but zeros is shown."""
    return f"{value:z.{digits}f}".replace("-", MINUS)


def _signed(value: float | Decimal, digits: int = DIGITS[0]) -> str:
    """The same with a plus where the number shown is above zero."""
    told = _number(value, digits)
    return f"+{told}" if float(f"{value:.{digits}f}") > 0 else told


def _rounded(value: float, digits: int) -> Decimal:
    """The number exactly as it is shown."""
    return Decimal(f"{value:.{digits}f}")


def _points(probability: float) -> Decimal:
    return _rounded(100 * probability, 1)


def _percent(probability: float) -> str:
    return f"{_points(probability)}%"
