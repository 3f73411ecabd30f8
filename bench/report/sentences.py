"""Verdicts as sentences, every number in them taken from a contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.metrics import LENGTH_CONTROLLED, WIN_RATE
from bench.report.facts.win_rates import cell_of
from bench.report.page.content import Tone, VerdictLine, Whisker
from bench.results.conclusions.contrast import Contrast, VerdictOnPair, shown_interval
from bench.results.wording import (
    NONE,
    counted,
    decisive_p,
    describe_metric,
    describe_verdict,
    estimate,
    interval,
    listed,
    p_clause,
    p_value,
    percent,
    smallest_detectable,
)
from bench.statistics.power.detectable import POWER

TONES: dict[VerdictOnPair, Tone] = {
    "undecided": "undecided", "a better": "decided", "b better": "reversed", "a higher": "higher", "b higher": "higher"
}  # fmt: skip
OWN_REWARD = (
    "Where a judge is marked as an arm's own reward, the arm learnt from that very judge: such a verdict says how well "
    "the arm learnt to please it, and not that its responses are better."
)


@dataclass(frozen=True)
class Context:
    """What the reader knows when a sentence begins.

    ``shared``: what all sentences have in common stands above them, so none repeats where it was measured and what it
    speaks about. ``beside``: contrasts whose estimates belong in the sentence of the same pair.
    """

    shared: bool = False
    beside: tuple[Contrast, ...] = ()


NO_CONTEXT = Context()


def context_of(contrasts: Sequence[Contrast], beside: Sequence[Contrast]) -> Context:
    """Return what is known before the sentences on these contrasts: that all measure the same, if they do."""
    same = {(item.metric, item.judge, item.task, item.speaks_about) for item in contrasts}
    return Context(len(same) == 1, tuple(beside))


def measured(contrast: Contrast) -> str:
    """Return what was measured: ``win rate (gold judge, atlas_questions)``; marked where it is secondary."""
    own = f", own reward of {listed(list(contrast.own_reward))}" if contrast.own_reward else ""
    by = f"{contrast.judge} judge{own}, {contrast.task}" if contrast.judge else contrast.task
    direction = ", lower is better" if contrast.higher_is_better is False else ""
    role = ", secondary" if contrast.role == "secondary" else ""
    return f"{describe_metric(contrast.metric)} ({by}{direction}{role})"


def judge(contrast: Contrast) -> str:
    """Return the judge's name, marked where a method of the contrast learnt from it; a dash for no judge."""
    if not contrast.own_reward:
        return contrast.judge or NONE
    return f"{contrast.judge} (own reward of {listed(list(contrast.own_reward))})"


def headline(contrast: Contrast, context: Context = NO_CONTEXT) -> str:
    """Return the conclusion without its numbers: who beats whom on what, or that it is undecided."""
    on = f"on {_short(contrast) if context.shared else measured(contrast)}"
    if contrast.verdict == "undecided":
        return f"{contrast.a} against {contrast.b} {on} is undecided"
    if contrast.verdict in {"a higher", "b higher"}:
        return f"{contrast.a} is {'higher' if contrast.verdict == 'a higher' else 'lower'} than {contrast.b} {on}"
    return f"{contrast.a} {'beats' if contrast.verdict == 'a better' else 'loses to'} {contrast.b} {on}"


def _short(contrast: Contrast) -> str:
    """Return what was measured where the reader knows by whom and on which task; an own reward is always named."""
    words = describe_metric(contrast.metric)
    return f"{words} (own reward of {listed(list(contrast.own_reward))})" if contrast.own_reward else words


def p_text(contrast: Contrast) -> str:
    """Return ``adjusted p < 0.001``, ``p = 0.43`` where nothing was adjusted, or that there was no test."""
    p = decisive_p(contrast)
    if p is None:
        return "no test possible"
    return f"{'p' if contrast.p_adjusted is None else 'adjusted p'}{p_clause(p, contrast.level)[1:]}"


def numbers(contrast: Contrast, context: Context = NO_CONTEXT) -> str:
    """Return the estimate, its interval, the p-value, how many seeds, what it speaks about, and any note."""
    parts = [f"{estimate(contrast)} {interval(contrast)}"] if contrast.estimate is not None else []
    parts += [p_text(contrast), f"over {counted(contrast.n_runs, 'training seed')}"]
    equal = _at_equal_length(contrast, context.beside)
    tail = [f"length-controlled {estimate(item)} {interval(item)}" for item in equal]
    if contrast.verdict == "undecided" and smallest_detectable(contrast) != NONE:
        step = f", as the first of {contrast.tests_in_family} tests" if contrast.tests_in_family > 1 else ""
        tail.append(
            f"the smallest difference it could detect is {smallest_detectable(contrast)} ({percent(POWER)} power{step})"
        )
    if not context.shared:
        tail.append(f"speaks about {contrast.speaks_about}")
    if contrast.n_missing:
        tail.append(f"{counted(contrast.n_missing, 'value')} missing")
    if contrast.note:
        tail.append(contrast.note)
    return "; ".join([", ".join(parts), *tail])


def _at_equal_length(contrast: Contrast, beside: Sequence[Contrast]) -> list[Contrast]:
    """Return the length-controlled win rate of the same pair by the same judge, as far as there is an estimate."""
    if contrast.metric != WIN_RATE.name:
        return []
    return [
        item
        for item in beside
        if item.metric == LENGTH_CONTROLLED.name and item.estimate is not None and cell_of(item) == cell_of(contrast)
    ]


def p_cell(contrast: Contrast) -> str:
    """Return the adjusted p-value, or one that is not adjusted, marked as such."""
    if contrast.p_adjusted is None and contrast.p is not None:
        return f"{p_value(contrast.p, contrast.level)} (not adjusted)"
    return p_value(contrast.p_adjusted, contrast.level)


def verdict_cell(contrast: Contrast) -> str:
    """Return the verdict in words, marked for an A/A control."""
    return f"{describe_verdict(contrast)} (A/A control)" if contrast.is_control else describe_verdict(contrast)


def whisker(contrast: Contrast) -> Whisker | None:
    """Return the interval as it is drawn, None without one."""
    bounds = shown_interval(contrast)
    if contrast.estimate is None or bounds is None:
        return None
    return Whisker(*bounds, contrast.estimate, contrast.null_value)


def scale_of(contrasts: Sequence[Contrast]) -> tuple[float, float] | None:
    """Return lowest and highest value of an axis for the intervals of contrasts on one metric, None without any."""
    drawn = [found for item in contrasts if (found := whisker(item)) is not None]
    if not drawn or len({item.metric for item in contrasts}) > 1:
        return None
    return min(min(one.low, one.null) for one in drawn), max(max(one.high, one.null) for one in drawn)


def verdict(contrast: Contrast, context: Context = NO_CONTEXT) -> VerdictLine:
    """Return the verdict on a pair of treatments."""
    return VerdictLine(
        headline(contrast, context), numbers(contrast, context), TONES[contrast.verdict], whisker(contrast)
    )


def control(contrast: Contrast, context: Context = NO_CONTEXT) -> VerdictLine:
    """Return the verdict on an A/A control, where the truth is known to be no difference."""
    same = f"{contrast.a} against {contrast.b}, the same treatment trained twice"
    on = _short(contrast) if context.shared else measured(contrast)
    if contrast.p is None:
        return VerdictLine(f"{same}: not tested on {on}", numbers(contrast, context), "control", whisker(contrast))
    if contrast.verdict == "undecided":
        quiet = f"{same}: no difference on {on}, as it should be"
        return VerdictLine(quiet, numbers(contrast, context), "control", whisker(contrast))
    alarm = f"{same}: {describe_verdict(contrast)} on {on}, a false alarm"
    rate = percent(1 - contrast.level)
    chance = f"{numbers(contrast, context)}; chance alone does this to {rate} of such controls"
    return VerdictLine(alarm, chance, "alarm", whisker(contrast))
