"""How pairs were judged, and how far each judge can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.metrics import WIN_RATE
from bench.report import sentences
from bench.report.facts.judge_audits import measure, measure_parts, overall, pair_of, rare, share
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Heading, Pictures, Table, Text, drawn
from bench.report.sections.judge_leanings import leanings
from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.judge_audit import Explained, ExplainedStatus, JudgeAudit, Measure
from bench.results.wording import (
    NONE,
    counted,
    estimate,
    interval,
    listed,
    p_clause,
    percent,
    signed,
)

WHY_NOT: dict[ExplainedStatus, str] = {
    "ok": "",
    "constant control": "always the same side",
    "too few prompts": "too few prompts",
}


def judges_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return what the audit found of every judge: leanings first, then every number; nothing without a judge."""
    audits = inputs.conclusions.judges
    if not audits:
        return []
    orders = "in both presentation orders" if inputs.comparison.evaluation.orders == "both" else "in one order only"
    verdicts = sum(audit.asked for audit in overall(audits))
    lead = (
        f"Judged by {listed(sorted({audit.judge for audit in audits}))}, blind to the methods' names, {orders}; a "
        f"verdict on two orders is their mean. {counted(verdicts, 'verdict')} asked for. Intervals are at the "
        f"{percent(audits[0].level)} level, clustered by prompt and crossed with the training seeds."
    )
    return [
        Heading(2, "How it was judged"),
        Text(lead),
        Bullets(tuple(leanings(audits))),
        *_both_win_rates(inputs),
        *_positions(audits),
        *_imitations(audits),
        *_lengths(audits),
        *_agreements(inputs),
        *_controls(audits),
        *_incomplete(inputs),
        *drawn(pictures, "judge_audit"),
    ]


def _incomplete(inputs: Inputs) -> list[Block]:
    """Return what the audit of judges lacks: it is made of what is there."""
    gone = [cell for cell in inputs.summary.missing if cell.measurement in ("judge_controls", "judge_retest")]
    if not gone:
        return []
    return [Text(f"The audit is incomplete: {counted(len(gone), 'cell')} of control judges or second calls failed.")]


def _both_win_rates(inputs: Inputs) -> list[Block]:
    """Return every win rate averaged over the orders, and with a flip counted as a tie."""
    shown = [
        item
        for item in inputs.conclusions.contrasts
        if item.metric == WIN_RATE.name and item.also.get("conservative_win_rate") is not None
    ]
    if not shown:
        return []
    heading = Heading(3, "Averaged and conservative win rates")
    if all(item.also.get("order_consistency") == 1 for item in shown):
        note = "Both orders agree on every pair, so that the conservative win rates are the averaged ones."
        return [heading, Text(note)]
    rows = tuple(
        (
            item.a, item.b, item.task, sentences.judge(item), estimate(item), interval(item),
            *_conservative(item), percent(item.also.get("order_consistency")),
        )
        for item in shown
    )  # fmt: skip
    columns = (
        "method",
        "versus",
        "task",
        "judge",
        "averaged",
        "interval",
        "conservative",
        "its interval",
        "orders agree",
    )
    note = (
        "Averaged: the mean of both orders. Conservative: a pair whose winner changes with the order counts as a tie, "
        "so that only what both orders agree on moves it from one half. Verdicts rest on the averaged win rate."
    )
    return [heading, Table(columns, "llllrrrrr", rows), Text(note)]


def _conservative(contrast: Contrast) -> tuple[str, str]:
    names = ("conservative_win_rate", "conservative_win_rate_low", "conservative_win_rate_high")
    found, low, high = (contrast.also.get(name) for name in names)
    return measure_parts(Measure(n=contrast.n_prompts, estimate=found, low=low, high=high))


def _positions(audits: Sequence[JudgeAudit]) -> list[Block]:
    """Return what could not be used, what the two orders say about each other, and the second calls."""
    steady = {(audit.judge, audit.task) for audit in overall(audits) if _never_wavers(audit)}
    columns = (
        "judge", "task", "pair", "verdicts", "unparsed", "refused", "failed", "ties", "both orders agree", "flips",
        "flips to the first", "first shown preferred", "same on a second call",
    )  # fmt: skip
    rows = tuple(
        (
            audit.judge, audit.task, pair_of(audit), f"{audit.asked:,}", rare(audit.unparsed), rare(audit.refused),
            rare(audit.error), percent(audit.ties.estimate), share(audit.consistent), share(audit.flips),
            _to_first(audit), measure(audit.first_shown), _second_call(audit),
        )
        for audit in audits
        if audit in overall(audits) or (audit.judge, audit.task) not in steady
    )  # fmt: skip
    note = (
        "Both orders agree when they name the same winner, or are both a tie. A flip: the same position wins in both "
        "orders; p tests whether flips go to the first position half of the time. A judge without a position bias "
        "prefers the first shown half of the time (0.5). A judge that draws noise is asked again with other noise on a "
        "sample of the prompts of every pair, at the first training seed. A judge that never flips and whose verdicts "
        "are all usable has one line for all pairs."
    )
    return [Heading(3, "Positions and noise"), Table(columns, "lll" + "r" * 10, rows), Text(note)]


def _imitations(audits: Sequence[JudgeAudit]) -> list[Block]:
    """Return how many pairs of responses imitate a judge's question; nothing where none does."""
    return [
        Text(
            f"{counted(audit.imitations, 'pair')} of responses shown to {audit.judge} on {audit.task} "
            f"{'holds' if audit.imitations == 1 else 'hold'} a line of its question, or one that begins as its answer "
            "does. They stood within a fence made of their digest, where the judge's prompt has lines."
        )
        for audit in overall(audits)
        if audit.imitations
    ]


def _never_wavers(audit: JudgeAudit) -> bool:
    """Return whether there is nothing to say of single pairs: no flip, and no verdict that could not be used."""
    bad = (audit.unparsed, audit.refused, audit.error, audit.flips)
    return audit.retest != "asked" and audit.flips.n > 0 and all(one.estimate == 0 for one in bad)


def _to_first(audit: JudgeAudit) -> str:
    found = audit.flips_to_first
    return NONE if not found.n else f"{share(found)} of {found.n:,}, {p_clause(audit.position_p, audit.level)}"


def _second_call(audit: JudgeAudit) -> str:
    return share(audit.retested) if audit.retest == "asked" else audit.retest


def _lengths(audits: Sequence[JudgeAudit]) -> list[Block]:
    """Return how the judges depend on the length of the responses."""
    rows = tuple(
        (
            audit.judge, audit.task, pair_of(audit), f"{audit.longer_wins.n:,}", measure(audit.longer_wins),
            measure(audit.length_slope, signed) if audit.length_status == "ok" else audit.length_status,
        )
        for audit in audits
        if audit.length_status != "no lengths"
    )  # fmt: skip
    if not rows:
        return []
    columns = ("judge", "task", "pair", "pairs of unequal length", "longer one preferred", "slope")
    note = (
        "The slope is that of a logistic regression on tanh of the standardised difference in characters, with an "
        "intercept for each pair of methods; 0 is no dependence. Neither number says that length is the cause: longer "
        "responses may be better."
    )
    return [Heading(3, "Length"), Table(columns, "lllrrr", rows), Text(note)]


def _agreements(inputs: Inputs) -> list[Block]:
    """Return agreement with gold and human judges, and of all judges of a task."""
    rows = tuple(
        (
            audit.judge,
            audit.task,
            pair_of(audit),
            one.judge,
            f"{one.agreement.n:,}",
            share(one.agreement),
            measure(one.kappa),
        )
        for audit in inputs.conclusions.judges
        for one in audit.references
    )
    blocks: list[Block] = []
    if rows:
        columns = ("judge", "task", "pair", "against", "pairs", "same winner", "Cohen's kappa")
        blocks.append(Table(columns, "llllrrr", rows))
    blocks += [
        Text(
            f"All judges of {one.task} ({listed(list(one.judges))}): Krippendorff's alpha {measure(one.alpha)} over "
            f"{counted(one.alpha.n, 'pair')} of responses (ordinal: loss, tie, win)."
        )
        for one in inputs.conclusions.judges_together
    ]
    blocks += [
        Text(
            f"The {counted(one.annotators, 'person', 'people')} behind {one.judge} on {one.task}: Krippendorff's alpha "
            f"{measure(one.alpha)} over {counted(one.alpha.n, 'pair')} of responses that two or more have answered."
        )
        for one in inputs.conclusions.annotators_together
    ]
    return [Heading(3, "Agreement of judges"), *blocks] if blocks else []


def _controls(audits: Sequence[JudgeAudit]) -> list[Block]:
    """Return what each control judge explains of each win rate."""
    shown = [audit for audit in audits if audit.controls]
    if not shown:
        return []
    all_names = list(dict.fromkeys(one.control for audit in shown for one in audit.controls))
    varying = {one.control for audit in shown for one in audit.controls if one.status == "ok"}
    names = [name for name in all_names if name in varying]
    silent = [name for name in all_names if name not in varying]
    rows = []
    for audit in shown:
        found = {one.control: one for one in audit.controls}
        cells = [_control_cell(found[name]) if name in found else "itself" for name in names]
        rows.append((audit.judge, audit.task, pair_of(audit), measure(audit.controls[0].excess, signed), *cells))
    columns = ("judge", "task", "pair", "win rate \u2212 0.5", *names)
    note = (
        "Control judges read two texts and nothing else: longer_wins counts characters, first_wins takes the one shown "
        "first, word_overlap counts words shared with the prompt, random throws a coin. Each column: the part of the "
        "excess over one half that goes with the control's verdicts (least squares); its share of the excess, where "
        "that is told from 0; and in how many single verdicts both name the same winner. What remains is what the "
        "judge would be expected to say were the control to prefer nobody. It is an association: a control explains "
        "much, too, where better responses happen to be longer."
    )
    if silent:
        note += (
            f" Nothing can be explained by {listed(silent)}: the same side always, or nobody, on every pair of methods."
        )
    return [Heading(3, "What simple rules explain"), Table(columns, "lllr" + "r" * len(names), tuple(rows)), Text(note)]


def _control_cell(one: Explained) -> str:
    """Return how much of a win rate's excess one control explains, and how often both name the same winner."""
    same = f"same verdict {percent(one.agreement.estimate, 0)}"
    if one.status != "ok":
        return f"{WHY_NOT[one.status]}; {same}"
    parts = [measure(one.explained, signed)]
    if one.share.estimate is not None:
        parts.append(percent(round(one.share.estimate, 2) or 0.0, 0))
    return "; ".join([*parts, same])
