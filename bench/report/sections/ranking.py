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
    of_procedures = any(shows_procedures(item) for item in found)
    columns: tuple[str, ...] = ("judge", "task", "method", "ranks of these models", "strength", "interval")
    if of_procedures:
        columns = (*columns[:4], "ranks of the procedure", *columns[4:])
    rows = tuple(
        (*_known(item, entry), *(_of_procedure(item, entry) if of_procedures else ()), *_strength(item, entry))
        for item in found
        for entry in item.places
    )
    return [
        Heading(2, "All methods on one scale"),
        Bullets(tuple(line for item in found for line in groups(item))),
        Table(columns, "l" * (len(columns) - 2) + "rr", rows),
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
    if not item.tells_procedures_apart:
        none = f"Over {counted(item.n_runs, 'training seed')} no two of their training procedures are told apart."
        return head, models, none
    return head, models, _alike("Their training procedures", item.groups)


def _alike(who: str, found: tuple[tuple[str, ...], ...]) -> str:
    several = [", ".join(group) for group in found if len(group) > 1]
    if not several:
        return f"{who} are all told apart."
    return f"{who} are told apart but for those named together: {' | '.join(several)}."


def shows_procedures(item: Ranking) -> bool:
    """Return whether the ranks of the training procedures say anything beside those of these models."""
    return item.n_runs > 1 and item.tells_procedures_apart


def _known(item: Ranking, entry: RankedMethod) -> tuple[str, ...]:
    name = f"{entry.name} ({OWN})" if entry.own_reward else entry.name
    return item.judge, item.task, name, ranks(entry.models_low, entry.models_high)


def _of_procedure(item: Ranking, entry: RankedMethod) -> tuple[str, ...]:
    return (ranks(entry.rank_low, entry.rank_high) if shows_procedures(item) else NONE,)


def _strength(item: Ranking, entry: RankedMethod) -> tuple[str, str]:
    if entry.name == item.anchor:
        return "0 (anchor)", ""
    if entry.low is None or entry.high is None:
        return "no finite value", NONE
    decimals = decimals_for((entry.high - entry.low) / 2)
    return signed(entry.strength, decimals), f"[{signed(entry.low, decimals)}, {signed(entry.high, decimals)}]"


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
                "these sets have no finite value; who is told apart across them, the battles between them decide."
            )
    speaks = sorted({item.speaks_about for item in found})
    return " ".join([*note, f"Strengths and intervals speak about {listed([*speaks])}."])
