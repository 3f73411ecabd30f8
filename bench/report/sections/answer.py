"""What a reader sees first: the question, what was compared, and every verdict."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import sentences
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Facts, Heading, Quote, Text, VerdictList
from bench.report.sentences import Context
from bench.results.conclusions.contrast import Contrast
from bench.results.wording import counted, describe_metric, number, percent


def opening(inputs: Inputs) -> list[Block]:
    """Return the question and what was compared at a glance."""
    summary, evaluation = inputs.summary, inputs.comparison.evaluation
    prompts = {item.task: item.n_prompts for item in inputs.conclusions.contrasts}
    judges = sorted({item.judge for item in inputs.conclusions.contrasts if item.judge})
    orders = "both orders" if evaluation.orders == "both" else "one order"
    facts = (
        ("methods", ", ".join(summary.arms)),
        ("training seeds", f"{len(summary.seeds)}"),
        ("prompts", ", ".join(f"{count:,} of {task}" for task, count in prompts.items())),
        ("judge" if len(judges) == 1 else "judges", f"{', '.join(judges)} ({orders})" if judges else ""),
    )
    return [
        Heading(1, summary.name),
        Quote(summary.question),
        Facts(tuple(fact for fact in facts if fact[1])),
    ]


def answer(inputs: Inputs) -> list[Block]:
    """Return the verdict on every primary contrast, decided or not in the same size, and on the controls."""
    treatments = [item for item in inputs.primary if not item.is_control]
    context = sentences.context_of(inputs.primary, inputs.further)
    scale = sentences.scale_of(inputs.primary)
    blocks: list[Block] = [Heading(2, "Verdicts")]
    blocks += _without_primary(inputs)
    if not treatments and not blocks[1:]:
        blocks.append(Text("The comparison declares no contrast between treatments, so there is no verdict."))
    elif treatments:
        decided = [item for item in treatments if item.verdict != "undecided"]
        open_ones = [item for item in treatments if item.verdict == "undecided"]
        blocks.append(Text(_lead(inputs.primary, (len(decided), len(open_ones)), context)))
        for title, items in (("Decided", decided), ("Not decided", open_ones)):
            if items:
                verdicts = tuple(sentences.verdict(item, context) for item in items)
                blocks += [Heading(3, f"{title}: {len(items)}"), VerdictList(verdicts, scale)]
    return [*blocks, Heading(3, "A/A controls"), *_controls(inputs, context, scale)]


def _without_primary(inputs: Inputs) -> list[Block]:
    """Return a sentence where what the file is about has no contrast (its judge waits, or failed); else nothing."""
    wanted = inputs.comparison.primary
    known = inputs.conclusions.contrasts
    if wanted is None or not any(item.role is not None for item in known):
        return []
    if any((item.metric, item.judge) == (wanted.metric, wanted.judge) for item in known):
        return []
    by = f" by the {wanted.judge} judge" if wanted.judge else ""
    there = inputs.primary[0] if inputs.primary else None
    instead = (
        ""
        if there is None
        else f" What leads instead is the {describe_metric(there.metric)}"
        + (f" by the {there.judge} judge." if there.judge else ".")
    )
    return [Text(f"The question is about the {describe_metric(wanted.metric)}{by}, which has no result.{instead}")]


def _lead(contrasts: Sequence[Contrast], counts: tuple[int, int], context: Context) -> str:
    """Return how many contrasts are decided, and what all of them have in common."""
    decided, undecided = counts
    lead = f"{decided} of {counted(decided + undecided, 'declared contrast')} decided, {undecided} not."
    first = contrasts[0]
    if context.shared:
        by = f" by the {first.judge} judge" if first.judge else ""
        lead += f" All are about {describe_metric(first.metric)}{by} on {first.task}, and about {first.speaks_about}."
    if first.null_value == 0.5:
        lead += " A win rate of 0.5 is no difference."
    return f"{lead} Intervals are at the {percent(first.level)} level."


def _controls(inputs: Inputs, context: Context, scale: tuple[float, float] | None) -> list[Block]:
    """Return the controls on the primary metric and every false alarm one by one, all others as a count."""
    if not any(item.is_control for item in inputs.conclusions.contrasts):
        return [
            Text(
                "There is none: no arm repeats another with training randomness of its own, "
                "so nothing here shows how often this comparison sees differences where there are none."
            )
        ]
    others = [item for item in inputs.further if item.is_control]
    alarms = [item for item in others if item.verdict != "undecided"]
    first = [item for item in inputs.primary if item.is_control]
    blocks: list[Block] = []
    if first:
        blocks.append(VerdictList(tuple(sentences.control(item, context) for item in first), scale))
    if alarms:
        blocks.append(VerdictList(tuple(sentences.control(item) for item in alarms)))
    if others:
        blocks.append(Text(_on_further_metrics(others, len(alarms))))
    return blocks


def _on_further_metrics(controls: Sequence[Contrast], alarms: int) -> str:
    """Return how many controls find no difference of those that could have found one, and how many alarms chance gives.

    A control without a p-value cannot fail, so it is none that passed.
    """
    tested = [item for item in controls if item.p is not None]
    words = f"On further metrics {len(tested) - alarms} of {counted(len(tested), 'tested control')} find no difference"
    if tested:
        by_chance = number(sum(1 - item.level for item in tested), 1)
        words += f"; chance alone gives {by_chance} false alarms on average"
    if len(tested) < len(controls):
        words += f"; {len(controls) - len(tested)} could not be tested"
    return f"{words}."
