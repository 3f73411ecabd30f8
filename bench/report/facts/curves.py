"""What training stages logged, step by step, and its mean and range over the training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.results.wording import decimals_for, number

# What is shown of a log: what it is called, the logged name, and the logged name to subtract.
Quantity = tuple[str, str, str | None]
CurvePoints = tuple[list[float], list[float]]
# What a stage logged, row by row, per training seed.
Logs = Mapping[str, Sequence[Mapping[str, float]]]


def curves_of(logs: Logs, quantity: Quantity) -> dict[str, CurvePoints]:
    """Return steps and values of one logged quantity per training seed; seeds that did not log it are left out."""
    _, plus, minus = quantity
    needed = {"step", plus} if minus is None else {"step", plus, minus}
    curves: dict[str, CurvePoints] = {}
    for seed, log in logs.items():
        rows = [row for row in log if needed <= row.keys()]
        if rows:
            values = [row[plus] - (0.0 if minus is None else row[minus]) for row in rows]
            curves[seed] = ([row["step"] for row in rows], values)
    return curves


def band_of(curves: Sequence[CurvePoints]) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return steps, mean, lowest and highest value at the steps that every curve has."""
    tables = [dict(zip(*curve, strict=True)) for curve in curves]
    steps = sorted(set.intersection(*(set(table) for table in tables)))
    at = [[table[step] for table in tables] for step in steps]
    return steps, [sum(values) / len(values) for values in at], [min(v) for v in at], [max(v) for v in at]


def last_mean(logs: Logs, quantity: Quantity) -> str | None:
    """Return ``loss 0.52``: the mean over the seeds at the last step that all have; None where there is no such step.

    Its decimals are those that the range over the seeds deserves.
    """
    _, mean, low, high = band_of(list(curves_of(logs, quantity).values()))
    if not mean:
        return None
    decimals = min(4, max(2, decimals_for(high[-1] - low[-1])))
    return f"{quantity[0]} {number(mean[-1], decimals)}"
