"""The alignment tax: what each arm lost on the benchmarks, held against a margin."""

from __future__ import annotations

from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Heading, Pictures, Table, Text, drawn
from bench.results.conclusions.tax import Tax
from bench.results.wording import NONE, decimals_for, listed, number, p_value, percent, signed


def tax_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return the tax of every arm on every benchmark with its picture; nothing where it was not asked for."""
    found = inputs.conclusions.tax
    if not found:
        return []
    first = found[0]
    columns = ("benchmark", "metric", "arm", f"mean of {first.versus}", "mean of arm", "advantage",
               f"one-sided {percent(first.level)} bounds", "p of the margin", "verdict")  # fmt: skip
    note = (
        f"An arm keeps a benchmark when it is worse than {first.versus} by less than {number(first.margin, 3)}: the "
        "lower bound of its advantage lies above the margin's loss. It loses one when the upper bound lies below. "
        "Documents are paired, and seeds with several of them; each line is a test by itself, so that among many "
        "lines some are lost or kept by chance."
    )
    if any(item.note for item in found):
        notes = listed(
            sorted({f"{item.arm} on {item.task} ({item.metric}): {item.note}" for item in found if item.note})
        )
        note += f" {notes}."
    return [
        Heading(2, "Alignment tax"),
        Bullets(tuple(_summary(arm, [item for item in found if item.arm == arm]) for arm in _arms(found))),
        Table(columns, "lllrrrrrl", tuple(_row(item) for item in found)),
        Text(note),
        *drawn(pictures, "tax"),
    ]


def _arms(found: tuple[Tax, ...]) -> list[str]:
    return list(dict.fromkeys(item.arm for item in found))


def _summary(arm: str, lines: list[Tax]) -> str:
    """Return what an arm keeps and loses, in one sentence."""
    parts = []
    for verdict in ("lost", "undecided", "kept"):
        named = [f"{item.task} ({item.metric})" for item in lines if item.verdict == verdict]
        if named:
            parts.append(f"{verdict}: {listed(named)}")
    return f"{arm}: {'; '.join(parts)}"


def _row(item: Tax) -> tuple[str, ...]:
    if item.lower is None or item.upper is None:
        decimals = 3
        bounds = NONE
    else:
        decimals = decimals_for((item.upper - item.lower) / 2)
        bounds = f"[{signed(item.lower, decimals)}, {signed(item.upper, decimals)}]"
    means = (number(item.mean_versus, max(3, decimals)), number(item.mean_arm, max(3, decimals)))
    p = p_value(item.p, item.level)
    return item.task, item.metric, item.arm, *means, signed(item.advantage, decimals), bounds, p, item.verdict
