"""All methods on one scale: who is distinguished from whom, and the ranks each may hold."""

from __future__ import annotations

from bench.report.facts.names import OWN, ranks
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Heading, Pictures, Table, Text, drawn
from bench.results.conclusions.ranking import RankedMethod, Ranking
from bench.results.wording import NONE, counted, decimals_for, listed, number, percent, signed


def ranking_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return the groups, the table and the picture of every ranking; nothing without one."""
    found = inputs.conclusions.rankings
    if not found:
        return []
    columns = (
        "judge", "task", "method", "ranks of these models", "ranks of the procedure", "strength", "interval",
    )  # fmt: skip
    rows = tuple(_row(item, entry) for item in found for entry in item.places)
    return [
        Heading(2, "All methods on one scale"),
        Bullets(tuple(line for item in found for line in groups(item))),
        Table(columns, "lllllrr", rows),
        Text(_note(found)),
        *drawn(pictures, "ranking"),
    ]


def groups(item: Ranking) -> tuple[str, ...]:
    """Return the order of one ranking and who is not distinguished, in words: of the models, then of the procedures."""
    order = ", ".join(entry.name for entry in item.places)
    head = f"{item.judge} judge, {item.task}: from best to worst {order}."
    if item.n_runs == 1:
        return head, _alike("These trained models", item.groups)
    models = _alike("These trained models", item.models_groups)
    return head, models, _alike("Their training procedures", item.groups)


def _alike(who: str, found: tuple[tuple[str, ...], ...]) -> str:
    several = [", ".join(group) for group in found if len(group) > 1]
    if not several:
        return f"{who} are all told apart."
    return f"{who} are told apart but for those named together: {' | '.join(several)}."


def _row(item: Ranking, entry: RankedMethod) -> tuple[str, ...]:
    name = f"{entry.name} ({OWN})" if entry.own_reward else entry.name
    known = (item.judge, item.task, name, ranks(entry.models_low, entry.models_high))
    procedure = ranks(entry.rank_low, entry.rank_high) if item.n_runs > 1 else NONE
    if entry.name == item.anchor:
        return *known, procedure, "0 (anchor)", ""
    decimals = decimals_for((entry.high - entry.low) / 2)
    interval = f"[{signed(entry.low, decimals)}, {signed(entry.high, decimals)}]"
    return *known, procedure, signed(entry.strength, decimals), interval


def _note(found: tuple[Ranking, ...]) -> str:
    """Return how strengths and groups were made, and what to beware of."""
    levels = listed(sorted({percent(item.level) for item in found}))
    note = [
        "A strength is the log of the odds of a win over the anchor against a loss, from every pair that the judge "
        f"saw. Its {levels} interval is for that method alone; ranks, and who is told apart, hold for all methods "
        "together. Those of these models come from the prompts alone, those of the procedure from prompts and seeds."
    ]
    with_ties = [item for item in found if item.tie_strength is not None]
    if with_ties:
        strengths = listed([number(item.tie_strength, 2) for item in with_ties])
        note.append(f"Ties have a parameter of their own (Davidson's nu = {strengths}; equal methods tie in "
                    "nu / (2 + nu) of verdicts).")  # fmt: skip
    if len(with_ties) < len(found):
        note.append("Where a judge gives shares of a preference, or never ties, a tie counts as half a win.")
    for item in found:
        if item.n_missing:
            note.append(
                f"By the {item.judge} judge on {item.task} {counted(item.n_missing, 'prompt')} left out for want of a "
                "verdict."
            )
        if item.unconnected:
            sets = " | ".join(", ".join(group) for group in item.unconnected)
            note.append(
                f"By the {item.judge} judge on {item.task} one side won everything between {sets}: strengths between "
                "these sets have no finite value, rest on a small penalty, and are not told apart here."
            )
    speaks = sorted({item.speaks_about for item in found})
    return " ".join([*note, f"Strengths and intervals speak about {listed([*speaks])}."])
