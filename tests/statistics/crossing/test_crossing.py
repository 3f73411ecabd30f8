from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.core.errors import DataError, IncompleteRecords
from bench.statistics.crossing.crossing import Crossing, RecordIndex, Request, cells
from tests.statistics.build import rows, table, verdicts

SCORE = Request("a", "b", "quiz", "score", "task", (0, 1))
WINS = Request("a", "b", "quiz", "win_rate", "coin", (0, 1))
A = np.arange(8.0).reshape(4, 2)
B = np.ones((4, 2))


def read(records: list[dict[str, Any]], request: Request = SCORE, missing: Any = "refuse") -> Crossing:
    return cells(RecordIndex(table(records)), request, missing)


def test_pairs_prompts_and_runs() -> None:
    found = read(rows("a", A) + rows("b", B))
    assert found.values == pytest.approx(A - B)
    assert found.prompts == ("p000", "p001", "p002", "p003")
    assert list(found.clusters) == [0, 1, 2, 3]
    assert (found.dropped, found.undefined) == (0, 0)


def test_order_of_rows_does_not_matter() -> None:
    records = rows("a", A) + rows("b", B)
    shuffled = [records[i] for i in np.random.default_rng(0).permutation(len(records))]
    assert read(shuffled).values == pytest.approx(read(records).values)


def test_draws_are_averaged() -> None:
    draws = np.stack([A, A + 1, A + 5], axis=2)
    assert read(rows("a", draws) + rows("b", np.stack([B] * 3, axis=2))).values == pytest.approx(A + 2 - B)


def test_other_runs_tasks_metrics_and_sources_are_left_alone() -> None:
    noise = rows("a", np.full((4, 3), 9.0), "length") + rows("a", np.full((4, 2), 9.0), task="other")
    noise += rows("c", np.full((4, 2), 9.0)) + rows("a", np.full((4, 2), 9.0), source="coin")
    wide = rows("a", np.column_stack([A, A[:, 0]])) + rows("b", np.column_stack([B, B[:, 0]]))
    assert read(wide + noise).values == pytest.approx(A - B)


def test_clusters_become_codes() -> None:
    found = read(rows("a", A, clusters=["y", "x", "y", "x"]) + rows("b", B, clusters=["y", "x", "y", "x"]))
    assert list(found.clusters) == [1, 0, 1, 0]


def test_both_orders_are_averaged_and_kept() -> None:
    first, second = np.array([[1.0, 1.0], [0.0, 0.5]]), np.array([[0.0, 1.0], [0.0, 0.5]])
    found = read(verdicts("a", "b", first, second), WINS)
    assert found.values == pytest.approx((first + second) / 2)
    assert found.first is not None and found.second is not None
    assert found.first[:, :, 0] == pytest.approx(first)
    assert found.second[:, :, 0] == pytest.approx(second)


def test_verdicts_of_the_other_direction_are_turned() -> None:
    first, second = np.array([[1.0, 1.0], [0.0, 0.5]]), np.array([[0.0, 1.0], [0.0, 0.5]])
    found = read(verdicts("b", "a", first, second), WINS)
    assert found.values == pytest.approx(1 - (first + second) / 2)
    assert found.first is not None
    assert found.first[:, :, 0] == pytest.approx(1 - second)


def test_one_order_has_no_agreement() -> None:
    assert read(verdicts("a", "b", np.array([[1.0, 0.0]])), WINS).first is None


def test_refuses_absent_and_failed_cells_and_names_them() -> None:
    records = rows("a", A) + rows("b", B)
    records[3].update(value=None, status="error")
    del records[8]
    with pytest.raises(IncompleteRecords) as caught:
        read(records)
    text = str(caught.value)
    assert "score (task) on task quiz" in text
    assert "a, run 1: 1 of 4 prompts (p001 error)" in text
    assert "b, run 0: 1 of 4 prompts (p000 absent)" in text


def test_drops_prompts_when_told_and_counts_them() -> None:
    records = rows("a", A) + rows("b", B)
    records[3].update(value=None, status="error")
    found = read(records, missing="drop_prompts")
    assert found.prompts == ("p000", "p002", "p003")
    assert found.dropped == 1


def test_nothing_is_concluded_from_a_judge_that_fails_too_often() -> None:
    """Neither order stands for both, and the rows are all there, so that nothing else stops."""
    records = verdicts("a", "b", np.ones((2, 2)), np.ones((2, 2)))
    records[0].update(value=None, status="unparsed")
    found = read(records, WINS)
    assert (found.prompts, found.dropped, found.is_unusable) == ((), 2, True)
    assert (found.calls, found.failed_calls, found.filled_calls) == (8, 1, 0)
    kept = read(records, WINS, missing="drop_prompts")
    assert (kept.prompts, kept.dropped, kept.judge_failed, kept.is_unusable) == (("p001",), 1, 1, True)


def test_a_few_failures_of_a_judge_are_filled_from_the_same_order_of_other_runs() -> None:
    records = verdicts("a", "b", np.full((40, 2), 0.7), np.full((40, 2), 0.3))
    for place, status in ((0, "unparsed"), (5, "error")):
        records[place].update(value=None, status=status)
    for missing in ("refuse", "drop_prompts"):
        found = read(records, WINS, missing=missing)
        assert (len(found.prompts), found.dropped, found.judge_failed, found.undefined) == (40, 0, 0, 0)
        assert (found.calls, found.failed_calls, found.filled_calls, found.is_unusable) == (160, 2, 2, False)
        assert found.values == pytest.approx(0.5)
    absent = [row for row in records if row is not records[20]]
    with pytest.raises(IncompleteRecords, match="absent"):
        read(absent, WINS)
    found = read(absent, WINS, missing="drop_prompts")
    assert (found.dropped, found.judge_failed) == (1, 0)


def test_a_prompt_without_any_verdict_in_an_order_is_dropped_and_counted() -> None:
    records = verdicts("a", "b", np.ones((40, 2)), np.ones((40, 2)))
    for row in records:
        if row["prompt"] == "p007" and row["order"] == "second":
            row.update(value=None, status="refused")
    found = read(records, WINS)
    assert (len(found.prompts), found.dropped, found.judge_failed) == (39, 1, 1)
    assert (found.failed_calls, found.filled_calls) == (2, 0)


def test_a_value_that_the_task_failed_to_give_is_not_excused() -> None:
    records = rows("a", np.ones((40, 2))) + rows("b", np.zeros((40, 2)))
    records[0].update(value=None, status="error")
    with pytest.raises(IncompleteRecords, match="1 of 40"):
        read(records)


def test_a_missing_draw_of_one_arm_is_noticed() -> None:
    with pytest.raises(IncompleteRecords, match="b, run 0: 4 of 4"):
        read(rows("a", np.stack([A, A], axis=2)) + rows("b", B))


def test_undefined_leaves_the_metric_in_either_setting() -> None:
    records = rows("a", A) + rows("b", B)
    records[0].update(value=None, status="undefined")
    for missing in ("refuse", "drop_prompts"):
        found = read(records, missing=missing)
        assert (len(found.prompts), found.undefined, found.dropped) == (3, 1, 0)


def test_a_whole_missing_run_is_named_or_drops_everything() -> None:
    records = [row for row in rows("a", A) + rows("b", B) if (row["method"], row["run"]) != ("b", 1)]
    with pytest.raises(IncompleteRecords, match="b, run 1: 4 of 4 prompts"):
        read(records)
    assert read(records, missing="drop_prompts").values.shape == (0, 2)


def test_no_rows_at_all() -> None:
    with pytest.raises(IncompleteRecords, match="no rows at all"):
        read([])
    assert read([], missing="drop_prompts").prompts == ()


def test_twice_the_same_cell_is_an_error() -> None:
    with pytest.raises(DataError, match="two rows"):
        read(rows("a", A) + rows("a", A) + rows("b", B))


def test_a_prompt_in_two_clusters_is_an_error() -> None:
    with pytest.raises(DataError, match="two clusters"):
        read(rows("a", A, clusters=["x"] * 4) + rows("b", B, clusters=["y"] * 4))


@pytest.mark.parametrize("undefined", ["leave_out", "zero"])
def test_prompts_too_long_for_one_arm_leave_the_pair_and_are_counted(undefined: Any) -> None:
    records = rows("a", A) + rows("b", B)
    records[2] |= {"value": None, "status": "too_long"}
    found = cells(RecordIndex(table(records)), SCORE, "refuse", undefined)
    assert found.prompts == ("p000", "p002", "p003") or len(found.prompts) == 3
    assert (found.dropped, found.undefined, found.too_long, found.left_out) == (0, 0, 1, 1)
