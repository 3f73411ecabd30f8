"""Where the uncertainty of the primary contrasts comes from, and what more seeds or prompts would buy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Heading, Table, Text
from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.variance import Decomposition, SampleSize, SeedSpread, VarianceSource
from bench.results.wording import NONE, counted, decimals_for, listed, number, p_clause, percent, signed
from bench.statistics.power.detectable import POWER
from bench.statistics.power.pilot import MOST_PROMPTS

OVER_VERSUS: Final = "preference over versus"
# A spread of seeds is called unlike the others' below this p of Cochran's test.
HETEROGENEOUS = 0.05
NAMES = {"prompts x seeds": "prompts \u00d7 seeds"}


def variance_section(inputs: Inputs) -> list[Block]:
    """Return the variance of the primary contrasts by source, and the designs; nothing where none has variances."""
    found = inputs.conclusions.variance
    if not found:
        return []
    sources = [part.source for part in found[0].parts]
    columns = ("contrast", "effect", "standard error", *(_name(source) for source in sources))
    rows = tuple((*_named(item, found), *(_part(item, part) for part in item.parts)) for item in found)
    return [
        Heading(2, "Where the uncertainty comes from"),
        Table(columns, "lrr" + "r" * len(sources), rows),
        Text(_note(found)),
        Heading(3, "What more seeds or prompts would buy"),
        *_designs(found),
        Bullets(tuple(_needs(item, needed, found) for item in found for needed in item.needed)),
        *_seed_spreads(inputs),
        *_fewer(inputs.primary),
    ]


def _seed_spreads(inputs: Inputs) -> list[Block]:
    """Return how far the means of each arm's seeds lie apart, and a warning where one arm's is unlike the others'."""
    found, level = inputs.conclusions.seed_spreads, inputs.comparison.statistics.level
    if not found:
        return []
    places = {(item.judge, item.task) for item in found}
    rows = tuple(
        (
            item.arm,
            *(() if len(places) == 1 else (item.judge or NONE, item.task)),
            f"preference over {inputs.comparison.evaluation.versus}" if item.of == OVER_VERSUS else item.of,
            ", ".join(number(value, decimals_for(item.sd)) for value in item.per_run) or NONE,
            number(item.sd, decimals_for(item.sd)),
        )
        for item in found
    )
    where = () if len(places) == 1 else ("judge", "task")
    warnings = tuple(
        f"Warning: the seeds of {item.arm} spread more than the other methods' "
        f"({_where(item, len(places))}Cochran's test of the largest variance, {p_clause(item.unlike_p, level)}, below "
        f"{HETEROGENEOUS:g}): look at its runs one by one before you trust its mean"
        for item in found
        if item.unlike_p is not None and item.unlike_p < HETEROGENEOUS
    )
    note = "Standard deviation of the means at the training seeds, on the primary metric."
    if any(item.of == OVER_VERSUS for item in found):
        note += " A win rate is over another method, whose seeds are in all of them, which makes the test cautious."
    return [
        Heading(3, "How far seeds lie apart"),
        Table(("method", *where, "of", "per seed", "standard deviation"), "ll" + "l" * len(where) + "rr", rows),
        Text(note),
        *([Bullets(warnings)] if warnings else []),
    ]


def _where(item: SeedSpread, places: int) -> str:
    return "" if places == 1 else f"{', '.join(filter(None, (item.judge, item.task)))}; "


def _fewer(contrasts: Sequence[Contrast]) -> list[Block]:
    """Return after how many prompts a confidence sequence was sure, for contrasts that have one."""
    found = [item for item in contrasts if "sequence_prompts" in item.also]
    if not found:
        return []
    lines = []
    for item in found:
        needed = item.also["sequence_prompts"]
        after = "not within" if needed is None else f"after {needed:.0f} of"
        lines.append(f"{_contrast(item, found)}: {after} {item.n_prompts:,} prompts")
    note = (
        "A confidence sequence holds at every number of prompts at once, so that judging in a random order may stop "
        "where it excludes no difference. It is wider than an interval for a number fixed before, and speaks about "
        "these trained models. It was sure:"
    )
    return [Heading(3, "What fewer judgements would have told"), Text(note), Bullets(tuple(lines))]


def _name(source: str) -> str:
    return NAMES.get(source, source)


def _contrast(item: Decomposition | Contrast, among: Sequence[Decomposition | Contrast]) -> str:
    """Return the pair, and where it was measured if that is not the same for all of them."""
    if len({(one.judge, one.task) for one in among}) == 1:
        return f"{item.a} vs {item.b}"
    where = ", ".join(filter(None, (item.judge and f"{item.judge} judge", item.task)))
    return f"{item.a} vs {item.b} ({where})"


def _named(item: Decomposition, among: Sequence[Decomposition]) -> tuple[str, str, str]:
    decimals = decimals_for(item.standard_error)
    return _contrast(item, among), signed(item.effect, decimals), number(item.standard_error, decimals + 1)


def _part(item: Decomposition, part: VarianceSource) -> str:
    """Return a source's standard deviation and its share of the estimate's variance."""
    if part.sd is None:
        return f"in {_name(part.within)}" if part.within else NONE
    return f"{number(part.sd, decimals_for(item.standard_error))} ({percent(part.share)})"


def _note(found: tuple[Decomposition, ...]) -> str:
    """Return how to read the table."""
    note = [
        "Each source has the standard deviation of a single value and, in brackets, its share of the variance of the "
        "estimate. Seeds are training runs, prompts are common to both methods, and prompts \u00d7 seeds is what one "
        "seed changes on single prompts."
    ]
    if any(part.source == "judge" and part.sd is not None for item in found for part in item.parts):
        note.append("The judge's is that of one call, from the disagreement of its two presentation orders.")
    if any(item.n_units < item.n_prompts for item in found):
        note.append("Prompts come in clusters, so the prompts' standard deviation is that of a cluster's mean.")
    if any(item.n_runs == 1 for item in found):
        note.append(f"One seed shows no variance between seeds ({NONE}): nothing here is about the training procedure.")
    else:
        note.append(
            "Variances are estimates truncated at 0; that of seeds rests on few degrees of freedom, and where it is "
            "moderated over the family it is the moderated one."
        )
    return " ".join(note)


def _designs(found: tuple[Decomposition, ...]) -> list[Block]:
    """Return the minimum detectable difference of each design, one line per contrast."""
    shown = [item for item in found if item.designs]
    if not shown:
        return []
    times = [(design.n_prompts // shown[0].n_prompts, design.n_runs // shown[0].n_runs) for design in shown[0].designs]
    columns = ("contrast", "seeds", "prompts", *(_times(prompts, seeds) for prompts, seeds in times))
    rows = tuple(
        (
            _contrast(item, shown),
            str(item.n_runs),
            f"{item.n_prompts:,}",
            *(number(design.smallest_detectable, decimals_for(item.standard_error)) for design in item.designs),
        )
        for item in shown
    )
    note = (
        f"Smallest difference that is found with {percent(POWER)} power, expected from the variances above taken as "
        "known, for this many times the prompts and the seeds, at the first step of the correction for many tests. "
        "Numbers in brackets below are those at the limits of the seeds' variance (80%, chi-square)."
    )
    return [Table(columns, "lrr" + "r" * len(times), rows), Text(note)]


def _times(prompts: int, seeds: int) -> str:
    if (prompts, seeds) == (1, 1):
        return "now"
    parts = [f"{count} \u00d7 {what}" for count, what in ((prompts, "prompts"), (seeds, "seeds")) if count > 1]
    return listed(parts)


def _needs(item: Decomposition, needed: SampleSize, among: Sequence[Decomposition]) -> str:
    """Return what it takes to find an effect, in one sentence."""
    effect = number(needed.effect, decimals_for(item.standard_error))
    head = f"{_contrast(item, among)}: to find a difference of {effect} with {percent(POWER)} power takes"
    if item.n_runs == 1:
        found = counted(needed.n_prompts, "prompt") if needed.n_prompts is not None else f"more than {MOST_PROMPTS:,}"
        return f"{head} {found} with this seed"
    seeds, prompts = counted(item.n_runs, "seed"), counted(item.n_prompts, "prompt")
    runs = _range("seed", needed.n_runs, needed.n_runs_low, needed.n_runs_high)
    more = _range("prompt", needed.n_prompts, needed.n_prompts_low, needed.n_prompts_high)
    if needed.n_runs is None and needed.n_prompts is None:
        return f"{head} more seeds and more prompts: {runs} with these {prompts}, and {more} with these {seeds}"
    if needed.n_runs is None:
        return f"{head} {more} with these {seeds}; {runs} without more prompts"
    if needed.n_prompts is None:
        return f"{head} {runs} with these {prompts}; {more} without more seeds"
    return f"{head} {runs} with these {prompts}, or {more} with these {seeds}"


def _range(what: str, seen: int | None, low: int | None, high: int | None) -> str:
    """Return a number needed with its range over what the variance of seeds may be, or that none may be enough."""
    if seen is None:
        least = "" if low is None else f" ({low:,} would be at the lower limit of the seeds' variance)"
        return f"no number of {what}s is enough{least}"
    if low == seen == high:
        return counted(seen, what)
    least = "none" if low is None else f"{low:,}"
    if high is None:
        return (
            f"perhaps {counted(seen, what)} (from {least} on, but no number of {what}s may be enough: none is at the "
            "upper limit of the seeds' variance)"
        )
    return f"{counted(seen, what)} ({least} to {high:,})"
