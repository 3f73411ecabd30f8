"""All methods on one scale: who is told apart from whom, and the ranks each may hold."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.ranking import Place, Ranking
from bench.core.wording import counted, decimals_for, listed, number, percent, signed
from bench.plots.ranking import OWN, ranks
from bench.plots.style import Picture
from bench.report.inputs import Inputs
from bench.report.page import Block, Bullets, Figure, Heading, Table, Text


def ranking_section(inputs: Inputs, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return the groups, the table and the picture of every ranking; nothing without one."""
    if not inputs.rankings:
        return []
    columns = ("judge", "task", "method", "ranks", "strength", "interval")
    rows = tuple(_row(item, entry) for item in inputs.rankings for entry in item.places)
    return [
        Heading(2, "All methods on one scale"),
        Bullets(tuple(groups(item) for item in inputs.rankings)),
        Table(columns, "llllrr", rows),
        Text(_note(inputs.rankings)),
        *([Figure(pictures["ranking"])] if "ranking" in pictures else []),
    ]


def groups(item: Ranking) -> str:
    """Return the groups of one ranking in words, best first."""
    several = [f"no two of {listed(list(group))}" for group in item.groups if len(group) > 1]
    order = ", ".join(entry.name for entry in item.places)
    alike = f"{listed(several)} are told apart" if several else "all are told apart"
    return f"{item.judge} judge, {item.task}: from best to worst {order}; {alike}"


def _row(item: Ranking, entry: Place) -> tuple[str, ...]:
    name = f"{entry.name} ({OWN})" if entry.own_reward else entry.name
    if entry.name == item.anchor:
        return item.judge, item.task, name, ranks(entry), "0 (anchor)", ""
    decimals = decimals_for((entry.high - entry.low) / 2)
    interval = f"[{signed(entry.low, decimals)}, {signed(entry.high, decimals)}]"
    return item.judge, item.task, name, ranks(entry), signed(entry.strength, decimals), interval


def _note(found: tuple[Ranking, ...]) -> str:
    """Return how strengths and groups were made, and what to beware of."""
    levels = listed(sorted({percent(item.level) for item in found}))
    told = [
        "A strength is the log of the odds of a win over the anchor against a loss, from every pair that the judge "
        f"saw, in both orders. Its {levels} interval is for that method alone. Ranks and groups hold for all methods "
        "together: two methods are told apart where no group has both."
    ]
    with_ties = [item for item in found if item.tie_strength is not None]
    if with_ties:
        strengths = listed([number(item.tie_strength, 2) for item in with_ties])
        told.append(f"Ties have a parameter of their own (Davidson's nu = {strengths}; equal methods tie in "
                    "nu / (2 + nu) of verdicts).")  # fmt: skip
    if len(with_ties) < len(found):
        told.append("Where a judge gives shares of a preference, or never ties, a tie counts as half a win.")
    for item in found:
        if item.n_missing:
            told.append(
                f"By the {item.judge} judge on {item.task} {counted(item.n_missing, 'prompt')} left out for want of a "
                "verdict."
            )
        if item.unconnected:
            sets = " | ".join(", ".join(group) for group in item.unconnected)
            told.append(
                f"By the {item.judge} judge on {item.task} one side won everything between {sets}: strengths between "
                "these sets have no finite value, rest on a small penalty, and are not told apart here."
            )
    speaks = sorted({item.speaks_about for item in found})
    return " ".join([*told, f"This speaks about {listed([*speaks])}."])
