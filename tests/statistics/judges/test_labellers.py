"""How labellers are counted, on rows small enough to count by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from bench.results.labels import LABELS_SCHEMA
from bench.statistics.judges.labellers import agreements

# Preference for the chosen response when shown first and second; the data's label; gold utility difference.
PAIRS = [
    (0.9, 0.8, 1.0, 2.0),  # agrees
    (0.9, 0.2, 1.0, 1.0),  # flips to the first; mean 0.55: agrees
    (0.8, 0.1, 1.0, -1.0),  # flips to the first; mean 0.45: disagrees with the label, agrees with gold
    (0.3, 0.9, 1.0, 0.0),  # flips to the second; mean 0.6: agrees; gold does not say
    (0.2, 0.1, 0.2, None),  # prefers the rejected one, and so do the data
    (0.5, 0.5, 1.0, 1.0),  # a tie
]


def labels(*pairs: tuple[float | None, float | None, float, float | None], **same: Any) -> list[dict[str, Any]]:
    found = []
    for row, (first, second, label, gold) in enumerate(pairs):
        for order, value in (("first", first), ("second", second)):
            status = "ok" if value is not None else "unparsed"
            line = {"judge": "one", "run": None, "call": 0, "row": row, "order": order, "value": value}
            found.append({**line, "status": status, "label": label, "gold": gold, **same})
    return found


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def test_counts_are_those_made_by_hand() -> None:
    (found,) = agreements(table(labels(*PAIRS)), 0.95)
    assert (found.judge, found.pairs, found.usable) == ("one", 6, 6)
    assert found.labels.share == pytest.approx(4.5 / 6)
    low, high = proportion_confint(4.5, 6, 0.05, "wilson")
    assert (found.labels.low, found.labels.high) == (pytest.approx(low), pytest.approx(high))
    assert found.gold is not None
    assert (found.gold.n, found.gold.share) == (4, pytest.approx(3.5 / 4))
    assert found.first_order.share == pytest.approx(4.5 / 6)
    assert (found.flips.n, found.flips.share) == (6, 0.5)
    assert (found.flips_to_first.n, found.flips_to_first.share) == (3, pytest.approx(2 / 3))
    assert found.position_p == pytest.approx(stats.binomtest(2, 3, 0.5).pvalue)
    assert found.confidence == pytest.approx((0.85 + 0.55 + 0.55 + 0.6 + 0.85 + 0.5) / 6)
    assert found.retest is None


def test_a_second_call_is_compared_pair_by_pair() -> None:
    other = [(0.8, 0.8, 1.0, 2.0), (0.1, 0.2, 1.0, 1.0), *PAIRS[2:]]
    (found,) = agreements(table([*labels(*PAIRS), *labels(*other, call=1)]), 0.95)
    assert found.retest is not None
    assert (found.retest.n, found.retest.share) == (6, pytest.approx(5 / 6))


def test_pairs_without_both_verdicts_are_left_out_and_counted() -> None:
    (found,) = agreements(table(labels((0.9, None, 1.0, None), (0.9, 0.9, 1.0, None))), 0.95)
    assert (found.pairs, found.usable, found.labels.share, found.gold) == (2, 1, 1.0, None)
    (nothing,) = agreements(table(labels((None, None, 1.0, None))), 0.95)
    assert (nothing.usable, nothing.labels.share, nothing.confidence, nothing.position_p) == (0, None, None, None)


def test_judges_and_runs_are_apart() -> None:
    rows = [*labels((0.9, 0.9, 1.0, None), run=0), *labels((0.1, 0.1, 1.0, None), run=1)]
    rows += labels((0.9, 0.9, 1.0, None), judge="two")
    found = {(item.judge, item.run): item.labels.share for item in agreements(table(rows), 0.95)}
    assert found == {("one", 0): 1.0, ("one", 1): 0.0, ("two", None): 1.0}
