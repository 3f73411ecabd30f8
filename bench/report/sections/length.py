"""Win rates at equal length beside the plain ones, and how much of a judge's bias each length control leaves."""

from __future__ import annotations

from bench.core.metrics import LENGTH_CONTROLLED
from bench.report import sentences
from bench.report.facts.win_rates import cell_of, plain_win_rates
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Heading, Pictures, Table, Text, drawn
from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.length_recovery import LengthRecovery, Recovered
from bench.results.wording import (
    NONE,
    counted,
    decimals_of,
    describe_verdict,
    estimate,
    interval,
    number,
    p_value,
    percent,
    signed,
)
from bench.statistics.length.difference import DIFFERENCE


def length_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return the win rates at equal length with what they rest on, and the trial against gold; nothing without."""
    contrasts, trials = inputs.conclusions.contrasts, inputs.conclusions.length_recovery
    controlled = [item for item in contrasts if item.metric == LENGTH_CONTROLLED.name]
    if not controlled and not trials:
        return []
    blocks: list[Block] = [Heading(2, "Win rates at equal length")]
    if controlled:
        blocks += _controlled(inputs, controlled)
    blocks += drawn(pictures, "length_control", "length_effect")
    for trial in trials:
        blocks += _trial(trial)
    return blocks


def _controlled(inputs: Inputs, controlled: list[Contrast]) -> list[Block]:
    model = inputs.comparison.evaluation.length_control.model
    plain = plain_win_rates(inputs.conclusions.contrasts)
    alike = len({item.note for item in controlled}) == 1
    columns = ("method", "versus", "task", "judge", "interval", "at equal length", "verdict", "plain win rate",
               "longer / shorter", *(() if alike else ("rests on",)))  # fmt: skip
    rows = tuple(
        (
            item.a,
            item.b,
            item.task,
            sentences.judge(item),
            interval(item),
            estimate(item),
            describe_verdict(item),
            estimate(plain[cell_of(item)]) if cell_of(item) in plain else NONE,
            _overlap(item),
            *(() if alike else (item.note or NONE,)),
        )
        for item in controlled
    )
    note = (
        f"Estimated by the model {model} (docs/statistics.md). What it expects at equal length is an extrapolation "
        "where few pairs are longer or few are shorter, and it takes a true difference that goes with length for a "
        "liking for length."
    )
    if alike and controlled[0].note:
        note += f" Of every pair: {controlled[0].note}."
    return [Table(columns, "llllrrlrr" + ("" if alike else "l"), rows), Text(note), *_differences(controlled)]


def _differences(controlled: list[Contrast]) -> list[Block]:
    """Return the paired differences of two methods over the one that both were judged against."""
    found = [item for item in controlled if item.also.get(DIFFERENCE) is not None]
    if not found:
        return []
    rows = tuple(
        (
            item.a,
            item.b,
            item.task,
            sentences.judge(item),
            f"[{_signed(item, f'{DIFFERENCE}_low')}, {_signed(item, f'{DIFFERENCE}_high')}]",
            _signed(item, DIFFERENCE),
            p_value(item.also.get(f"{DIFFERENCE}_p"), item.level),
        )
        for item in found
    )
    columns = ("method", "minus", "task", "judge", "interval", "difference", "p (not adjusted)")
    text = "Both win rates at equal length over the common baseline, paired by prompt and seed, subtracted:"
    return [Text(text), Table(columns, "llllrrr", rows)]


def _trial(trial: LengthRecovery) -> list[Block]:
    """Return what every estimate makes of one judge's verdicts, gold's own numbers first."""
    columns = ("estimate", "labelled prompts", *trial.arms, "mean error", "largest error", "Kendall's tau",
               f"reversed of {trial.pairs}")  # fmt: skip
    gold = (f"{trial.gold} judge", NONE, *(number(value, 3) for value in trial.truth), NONE, NONE, NONE, NONE)
    longer = ("characters longer", NONE, *(signed(value, 0) for value in trial.longer), NONE, NONE, NONE, NONE)
    rows = (gold, longer, *(_row(item) for item in trial.estimates))
    spread = "the range over seeds" if trial.runs > 1 else "one seed has no range"
    note = (
        f"Win rates over {trial.versus} on {counted(trial.prompts, 'prompt')}; in brackets {spread}, for estimates "
        f"with labels the middle 90% of {counted(trial.draws, 'draw')} of the labelled prompts, over which their "
        f"errors are averaged. Each labelled prompt stands for {counted(trial.verdicts, 'gold verdict')}. Tau and "
        f"reversed pairs count {trial.versus} at one half; only pairs that gold tells apart at {percent(trial.level)} "
        "can be reversed."
    )
    return [
        Heading(3, f"How much bias is left: {trial.judge} judge, {trial.task}"),
        Bullets(_findings(trial)),
        Table(columns, "lr" + "r" * (len(trial.arms) + 4), rows),
        Text(note),
    ]


def _row(item: Recovered) -> tuple[str, ...]:
    cells = (
        f"{number(value, 2)} [{number(low, 2)}, {number(high, 2)}]"
        for value, low, high in zip(item.values, item.low, item.high, strict=True)
    )
    wrong = number(item.reversed, 0 if item.labels is None else 2)
    labels = NONE if item.labels is None else str(item.labels)
    return (
        item.estimator, labels, *cells, number(item.mean_error, 3), number(item.max_error, 3), number(item.tau, 2),
        wrong,
    )  # fmt: skip


def _findings(trial: LengthRecovery) -> tuple[str, ...]:
    """Return in words what the plain win rate errs by, what the best estimate without labels does, and with labels."""
    raw, *others = (item for item in trial.estimates if item.labels is None)
    worst = max(range(len(trial.arms)), key=lambda place: abs(raw.values[place] - trial.truth[place]))
    best = min(others, key=lambda item: (item.reversed, item.mean_error))
    lines = [
        f"The plain win rate errs by {number(raw.mean_error, 3)} on average, most on {trial.arms[worst]} "
        f"({number(raw.values[worst], 2)} for {number(trial.truth[worst], 2)}), and {_reversed(raw, trial)}.",
        f"Of the estimates without labels {best.estimator} does best: {number(best.mean_error, 3)} on average, "
        f"{number(best.max_error, 3)} at most, and it {_reversed(best, trial)}.",
    ]
    powered = [item for item in trial.estimates if item.whole is not None and item.estimator != "labels alone"]
    enough = next((item for item in powered if item.whole is not None and item.whole >= trial.level), None)
    if enough is not None:
        lines.append(
            f"With gold verdicts on {counted(enough.labels or 0, 'prompt')} the {enough.estimator} estimate errs by "
            f"{number(enough.mean_error, 3)} on average and reverses no pair in {percent(enough.whole)} of the draws."
        )
    elif powered:
        most = powered[-1]
        lines.append(
            f"Even with gold verdicts on {counted(most.labels or 0, 'prompt')} the {most.estimator} estimate reverses "
            f"no pair in only {percent(most.whole)} of the draws."
        )
    return tuple(lines)


def _reversed(item: Recovered, trial: LengthRecovery) -> str:
    count = round(item.reversed)
    pairs = f"the {counted(trial.pairs, 'pair')} that gold tells apart"
    return f"reverses none of {pairs}" if count == 0 else f"reverses {count} of {pairs}"


def _overlap(item: Contrast) -> str:
    longer, shorter = item.also.get("share_longer"), item.also.get("share_shorter")
    if longer is not None and shorter is not None:
        return f"{percent(longer, 0)} / {percent(shorter, 0)}"
    matched = item.also.get("share_matched")
    return NONE if matched is None else f"{percent(matched, 0)} matched"


def _signed(item: Contrast, name: str) -> str:
    value = item.also.get(name)
    return NONE if value is None else signed(value, decimals_of(item))
