"""Every metric beside the first: an overview of all contrasts, then each metric's contrasts in full."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import sentences
from bench.report.inputs import Inputs
from bench.report.page.content import BETTER, UNDECIDED, WORSE, Block, Bullets, Folded, Heading, Table, Text
from bench.results.conclusions.contrast import Contrast, VerdictOnPair
from bench.results.wording import (
    A_HIGHER,
    B_HIGHER,
    NONE,
    counted,
    describe_metric,
    describe_verdict,
    estimate,
    interval,
    listed,
    number,
    per_seed,
    skewed,
    smallest_detectable,
)

MetricOfTask = tuple[str, str | None, str]
COLUMNS = (
    "method", "versus", "adjusted interval", "difference", "adjusted p", "verdict", "smallest detectable", "per seed",
    "mean of method", "mean of versus",
)  # fmt: skip
MARKS: dict[VerdictOnPair, str] = {
    "undecided": UNDECIDED, "a better": BETTER, "b better": WORSE, "a higher": A_HIGHER, "b higher": B_HIGHER
}  # fmt: skip
# Where the metrics that nearly every response differs in stand: after those that a reader came for.
LAST = ("response_words", "response_tokens", "response_characters", "ended", "divergence", "divergence_k3")


def other_metrics_section(inputs: Inputs) -> list[Block]:
    """Return all other metrics, nothing when there is none."""
    if not inputs.further:
        return []
    groups: dict[MetricOfTask, list[Contrast]] = {}
    for item in inputs.further:
        groups.setdefault((item.metric, item.judge, item.task), []).append(item)
    ordered = dict(sorted(groups.items(), key=lambda group: group[0][0] in LAST))
    titles = _titles([items[0] for items in ordered.values()])
    folded = (_in_full(title, items) for title, items in zip(titles, ordered.values(), strict=True))
    note = [Text(_counts_for(inputs))] if any(item.role == "secondary" for item in inputs.further) else []
    return [Heading(2, "Further metrics"), *note, *_overview(titles, list(ordered.values())), *folded]


def _counts_for(inputs: Inputs) -> str:
    """Return what secondary verdicts count for: by themselves, family by family, or after the primary ones."""
    families = len({item.family for item in inputs.further if item.role == "secondary" and not item.is_control})
    lead = f"These verdicts are secondary: the question is about {_primary_words(inputs)}."
    if inputs.comparison.statistics.secondary == "after_primary":
        return (
            f"{lead} They count only after every primary contrast is decided (serial gatekeeping): "
            "p is corrected over all of them together, and never below the largest primary one."
        )
    return (
        f"{lead} Each of their {counted(families, 'family', 'families')} (one metric of one judge) is corrected by "
        "itself, so the error rate over all of them is not that of one family."
    )


def _primary_words(inputs: Inputs) -> str:
    if not inputs.primary:
        return "a metric without a result here"
    first = inputs.primary[0]
    return describe_metric(first.metric) + (f" by the {first.judge} judge" if first.judge else "")


def _overview(titles: Sequence[str], groups: Sequence[Sequence[Contrast]]) -> list[Block]:
    """Return one line per metric with one cell per pair: the difference, and which way it is decided."""
    pairs = list(dict.fromkeys((item.a, item.b) for items in groups for item in items))
    rows = []
    for title, items in zip(titles, groups, strict=True):
        by_pair = {(item.a, item.b): item for item in items}
        rows.append((title, *(_cell(by_pair[pair]) if pair in by_pair else NONE for pair in pairs)))
    note = (
        f"{BETTER} the method that is named first is better, {WORSE} it is worse, {UNDECIDED} not decided; {A_HIGHER} "
        f"it is higher and {B_HIGHER} lower, where neither is better. Numbers are the difference, first minus second, "
        "or the preference for the first."
    )
    columns = ("metric", *(f"{a} vs {b}" for a, b in pairs))
    return [Table(columns, "l" + "r" * len(pairs), tuple(rows)), Text(note)]


def _titles(contrasts: Sequence[Contrast]) -> list[str]:
    """Return what each measures: without the task where all have the same.

    Whose own reward a judge is stands in the rows.
    """
    if len({item.task for item in contrasts}) > 1:
        return [sentences.measured(item.model_copy(update={"own_reward": ()})) for item in contrasts]
    return [_title(item) for item in contrasts]


def _title(item: Contrast) -> str:
    marks = [f"{item.judge} judge"] if item.judge else []
    marks += ["lower is better"] if item.higher_is_better is False else []
    marks += ["secondary"] if item.role == "secondary" else []
    return describe_metric(item.metric) + (f" ({', '.join(marks)})" if marks else "")


def _cell(contrast: Contrast) -> str:
    """Return the estimate with a mark that says how the contrast is decided."""
    return f"{MARKS[contrast.verdict]} {estimate(contrast)}"


def _in_full(title: str, items: Sequence[Contrast]) -> Folded:
    """Return the table of one metric, behind a line that counts its verdicts."""
    rows = tuple(
        (
            item.a,
            item.b,
            interval(item),
            estimate(item),
            sentences.p_cell(item),
            _verdict(item),
            smallest_detectable(item),
            per_seed(item),
            _mean(item, item.mean_a),
            _mean(item, item.mean_b),
        )
        for item in items
    )
    told = [Bullets(lines)] if (lines := skewed(items)) else []
    decided = sum(item.verdict != "undecided" for item in items)
    summary = f"{title}: {decided} of {counted(len(items), 'contrast')} decided"
    return Folded(summary[0].upper() + summary[1:], (Table(COLUMNS, "llrrrlrrrr", rows), *told))


def _verdict(contrast: Contrast) -> str:
    """Return the verdict, marked for a control and for a judge that an arm learnt from."""
    marks = ["A/A control"] if contrast.is_control else []
    marks += [f"own reward of {listed(list(contrast.own_reward))}"] if contrast.own_reward else []
    return f"{describe_verdict(contrast)} ({', '.join(marks)})" if marks else describe_verdict(contrast)


def _mean(contrast: Contrast, value: float | None) -> str:
    """Return the mean of one side with one decimal more than the contrast's difference deserves, at least two."""
    decimals = len(estimate(contrast).partition(".")[2]) + 1
    return number(value, max(2, decimals))
