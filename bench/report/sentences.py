"""Verdicts as sentences, every number in them taken from a contrast."""

from __future__ import annotations

from bench.core.contrast import Contrast
from bench.core.wording import (
    NONE,
    counted,
    decisive_p,
    estimate,
    interval,
    listed,
    metric_words,
    p_clause,
    percent,
    smallest_detectable,
    verdict_words,
)
from bench.gating.judging import POWER
from bench.report.page import Tone, Verdict

OWN_REWARD = (
    "Where a judge is marked as an arm's own reward, the arm learnt from that very judge: such a verdict says how well "
    "the arm learnt to please it, and not that its responses are better."
)


def measured(contrast: Contrast) -> str:
    """Return what was measured: ``win rate (gold judge, atlas_questions)``."""
    own = f", own reward of {listed(list(contrast.own_reward))}" if contrast.own_reward else ""
    by = f"{contrast.judge} judge{own}, {contrast.task}" if contrast.judge else contrast.task
    direction = ", lower is better" if contrast.higher_is_better is False else ""
    return f"{metric_words(contrast.metric)} ({by}{direction})"


def judge(contrast: Contrast) -> str:
    """Return the judge's name, marked where a method of the contrast learnt from it; a dash for no judge."""
    if not contrast.own_reward:
        return contrast.judge or NONE
    return f"{contrast.judge} (own reward of {listed(list(contrast.own_reward))})"


def headline(contrast: Contrast) -> str:
    """Return the conclusion without its numbers: who beats whom on what, or that it is undecided."""
    on = f"on {measured(contrast)}"
    if contrast.verdict == "undecided":
        return f"{contrast.a} against {contrast.b} {on} is undecided"
    if contrast.higher_is_better is None:
        above = contrast.estimate is not None and contrast.estimate > contrast.null_value
        return f"{contrast.a} is {'higher' if above else 'lower'} than {contrast.b} {on}"
    return f"{contrast.a} {'beats' if contrast.verdict == 'a better' else 'loses to'} {contrast.b} {on}"


def p_words(contrast: Contrast) -> str:
    """Return ``adjusted p < 0.001``, ``p = 0.43`` where nothing was adjusted, or that there was no test."""
    p = decisive_p(contrast)
    if p is None:
        return "no test possible"
    return f"{'p' if contrast.p_adjusted is None else 'adjusted p'}{p_clause(p, contrast.level)[1:]}"


def numbers(contrast: Contrast) -> str:
    """Return the estimate, its interval, the p-value, how many seeds, what it speaks about, and any note."""
    parts = [f"{estimate(contrast)} {interval(contrast)}"] if contrast.estimate is not None else []
    parts += [p_words(contrast), f"over {counted(contrast.n_runs, 'training seed')}"]
    tail = []
    if contrast.verdict == "undecided" and smallest_detectable(contrast) != NONE:
        tail.append(
            f"the smallest difference it could detect is {smallest_detectable(contrast)} ({percent(POWER)} power)"
        )
    tail.append(f"speaks about {contrast.speaks_about}")
    if contrast.n_missing:
        tail.append(f"{counted(contrast.n_missing, 'value')} missing")
    if contrast.note:
        tail.append(contrast.note)
    return "; ".join([", ".join(parts), *tail])


def verdict(contrast: Contrast) -> Verdict:
    """Return the verdict on a pair of treatments."""
    tone: Tone = "undecided" if contrast.verdict == "undecided" else "decided"
    return Verdict(headline(contrast), numbers(contrast), tone)


def control(contrast: Contrast) -> Verdict:
    """Return the verdict on an A/A control, where the truth is known to be no difference."""
    same = f"{contrast.a} and {contrast.b} are the same treatment trained twice"
    on = measured(contrast)
    if contrast.verdict == "undecided":
        return Verdict(f"{same}, and {on} finds no difference, as it should", numbers(contrast), "control")
    alarm = f"{same}, yet {on} says {verdict_words(contrast)}: a false alarm"
    rate = percent(1 - contrast.level)
    return Verdict(alarm, f"{numbers(contrast)}; chance alone does this to {rate} of such controls", "alarm")
