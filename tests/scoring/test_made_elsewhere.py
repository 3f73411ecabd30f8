"""Files as other programs write them: codes of preferences, judges, baselines, retries, failed rows, grades."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import DataError
from bench.scoring.score import FilesToScore, as_data, score
from tests.cli.test_cli import bench
from tests.scoring.test_score import made

Rows = Sequence[Mapping[str, Any]]
NUMBERS = itertools.count()


def scored(folder: Path, rows: Rows, **options: Any) -> list[dict[str, Any]]:
    """Score one file of rows; a list of results, also for one method."""
    found = as_data(score(FilesToScore(annotations=(written(folder, rows),), **options)))
    return found if isinstance(found, list) else [found]


def written(folder: Path, rows: Rows, name: str = "") -> Path:
    path = folder / f"{name or next(NUMBERS)}.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def coded(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [{**row, "preference": value} for row, value in zip(made(len(values))[2], values, strict=True)]


def pair(question: Any, first: str | None, second: str | None, **more: Any) -> dict[str, Any]:
    return {
        "question_id": question,
        "turn": 1,
        "model_1": "a",
        "model_2": "b",
        "g1_winner": first,
        "g2_winner": second,
        "judge": ["gpt-4", "pair-v2"],
        **more,
    }


def game(question: Any, *verdicts: str | None, **more: Any) -> dict[str, Any]:
    games = [{"score": verdict} for verdict in verdicts]
    return {"uid": question, "model": "m", "baseline": "zz", "judge": "g", "games": games, **more}


def grade(question: Any, turn: int, model: str, value: Any, **more: Any) -> dict[str, Any]:
    return {
        "question_id": question,
        "turn": turn,
        "model": model,
        "score": value,
        "judge": ["gpt-4", "single-v1"],
        **more,
    }


@pytest.mark.parametrize(
    "values", [[1, 1, 0, 1], [1, 1, 1], [0, 0, 0], [1.0, 0.0, None], ["1", "0", "1"], [1, 0, -1, 1]]
)
def test_preferences_without_any_above_1_are_read_as_told(tmp_path: Path, values: list[Any]) -> None:
    with pytest.raises(DataError, match="--preference-scale 0-1"):
        scored(tmp_path, coded(values))
    known = [float(value) for value in values if value is not None and float(value) >= 0]
    (found,) = scored(tmp_path, coded(values), preference_scale="0-1")
    assert (found["win_rate"], found["n"]) == (pytest.approx(100 * np.mean(known)), len(known))
    assert found["n_missing"] == len(values) - len(known)
    (other,) = scored(tmp_path, coded(values), preference_scale="1-2")
    assert other["win_rate"] == pytest.approx(100 * np.mean([0.5 if value == 0 else 0 for value in known]))


@pytest.mark.parametrize("values", [[True, False, True], [False, 2, 1.5], ["True", "False", "True"]])
def test_truth_values_are_read_as_told(tmp_path: Path, values: list[Any]) -> None:
    with pytest.raises(DataError, match=r"row|line .*preference is (true|false).*--preference-scale 0-1"):
        scored(tmp_path, coded(values))
    if 2 not in values:
        (found,) = scored(tmp_path, coded(values), preference_scale="0-1")
        assert found["win_rate"] == pytest.approx(100 * 2 / 3)


def test_a_scale_does_not_excuse_what_is_outside_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="wanted 0 "):
        scored(tmp_path, coded([0, 1, 2]), preference_scale="0-1")
    with pytest.raises(DataError, match="preference 0.5, wanted 1.*--preference-scale 0-1"):
        scored(tmp_path, coded([1, 2, 0.5]))
    done = bench("score", "--annotations", written(tmp_path, coded([0, 1, 1, 1])), "--preference-scale", "0-1")
    assert "75.00" in done.stdout, done.stderr
    with pytest.raises(DataError, match="belongs to AlpacaEval"):
        scored(tmp_path, [pair(1, "tie", "tie")], preference_scale="0-1")


def test_a_scale_from_minus_1_is_told_with_what_would_be_read_of_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 are -1, read as failed verdicts; where -1 says that output_1 wins"):
        scored(tmp_path, coded([-1, 0, 1, 1, "-1", "error"]))


def test_names_and_winners_are_read_without_the_space_around_them_and_in_any_case(tmp_path: Path) -> None:
    winners = ["model_a", " MODEL_B", "Tie ", "both_bad", "tie (bothbad)", "model_a"]
    rows = [
        {"question_id": place, "model_a": "a" + " " * (place % 2), "model_b": "b", "winner": winner, "judge": "j "}
        for place, winner in enumerate(winners)
    ]
    plain = {row["name"]: row for row in scored(tmp_path, rows)}
    assert (set(plain), plain["a"]["n"], plain["a"]["n_missing"]) == ({"a", "b"}, 6, 0)
    assert plain["b"]["win_rate"] == pytest.approx(100 * 2.5 / 6)
    assert {row["judge"] for row in plain.values()} == {"j"}


def test_old_ties_are_told(tmp_path: Path) -> None:
    (found,) = scored(tmp_path, coded([0, 1, 2, 0]))
    assert found["win_rate"] == 50
    assert found["noted"] == {"preferences of 0, counted as ties (AlpacaEval's old code)": 2}


def test_the_baseline_that_a_file_names_is_the_reference(tmp_path: Path) -> None:
    rows = [game(f"q{i}", "B>A", "A>B" if i % 4 else "B>A", model="aa") for i in range(20)]
    found = {row["name"]: row for row in scored(tmp_path, rows)}
    assert {row["reference"] for row in found.values()} == {"zz"}
    assert (found["aa"]["win_rate"], found["zz"]["win_rate"]) == (pytest.approx(87.5), 50)


def test_categories_have_their_own_baselines(tmp_path: Path) -> None:
    hard = [game(f"h{i}", "B>A", "A>B" if i % 2 else "B>A", category="hard", baseline="o") for i in range(8)]
    creative = [game(f"c{i}", "A>B", "B>A" if i % 2 else "A>B", category="creative", baseline="g") for i in range(8)]
    found = {(row["category"], row["name"]): row for row in scored(tmp_path, [*hard, *creative])}
    assert set(found) == {("hard", "m"), ("hard", "o"), ("creative", "m"), ("creative", "g")}
    assert found["hard", "m"]["win_rate"] == pytest.approx(75)
    assert found["creative", "m"]["win_rate"] == pytest.approx(25)
    shared = [{**row, "baseline": "o"} for row in [*hard, *creative]]
    again = {(row["category"], row["name"]): row for row in scored(tmp_path, shared)}
    assert again[None, "m"]["win_rate"] == pytest.approx(50)
    assert again["hard", "m"]["win_rate"] == pytest.approx(75)
    shown = bench("score", "--annotations", written(tmp_path, [*hard, *creative])).stdout
    assert "category" in shown and "against" in shown.splitlines()[0]


def test_a_category_with_one_question_is_told(tmp_path: Path) -> None:
    rows = [game(f"q{i}", "B>A", "A>B" if i % 2 else "B>A", category="hard" if i else "odd") for i in range(7)]
    found = scored(tmp_path, rows)
    assert {row["category"] for row in found} == {None, "hard"}
    assert found[0]["noted"] == {"categories with fewer than two judged questions, not scored (odd)": 1}


@pytest.mark.parametrize("kind", ["annotations", "pairs", "games", "battles", "grades"])
def test_judges_are_told_apart(tmp_path: Path, kind: str) -> None:
    """One judge always says one thing and the other the contrary: together they would give the middle."""
    rows: list[dict[str, Any]] = []
    for i in range(8):
        # Never all alike, so that strengths are finite.
        one, other = ("model_1", "model_2") if i else ("model_2", "model_1")
        low, high = (1, 2) if i else (2, 1)
        for judge in ("strict", "kind"):
            winner, value = (one, low) if judge == "strict" else (other, high)
            named = {"judge": [judge, "v1"]}
            if kind == "annotations":
                rows.append({**made(8)[2][i], "preference": value, "annotator": judge})
            elif kind == "pairs":
                rows.append(pair(i, winner, winner, **named))
            elif kind == "games":
                b_wins = winner == "model_2"
                rows.append(game(i, *(("B>A", "A>B") if b_wins else ("A>B", "B>A")), judge=judge))
            elif kind == "battles":
                names = {"model_a": "a", "model_b": "b", "question_id": i, "judge": judge}
                rows.append({**names, "winner": "model_b" if winner == "model_2" else "model_a"})
            else:
                rows += [grade(i, 1, "b", value, **named), grade(i, 1, "a", 3 - value, **named)]
    measure = "score" if kind == "grades" else "win_rate"
    found = {row["judge"]: row[measure] for row in scored(tmp_path, rows) if row["name"] in ("b", "m")}
    if kind == "battles":
        # Their reference is the first by name, so that b is the one scored.
        assert {row["reference"] for row in scored(tmp_path, rows)} == {"a"}
    strict, kind_one = (1.125, 1.875) if kind == "grades" else (12.5, 87.5)
    assert found == {"strict": pytest.approx(strict), "kind": pytest.approx(kind_one)}
    path = written(tmp_path, rows)
    assert "judge" in bench("score", "--annotations", path).stdout.splitlines()[0]


def test_a_crowd_of_voters_is_counted_together_where_that_is_asked(tmp_path: Path) -> None:
    rows = [
        {"model_a": "a", "model_b": "b", "winner": "model_a" if i % 3 else "model_b", "judge": f"user_{i}"}
        for i in range(9)
    ]
    with pytest.raises(DataError, match="--judges together"):
        scored(tmp_path, rows)
    found = {row["name"]: row["win_rate"] for row in scored(tmp_path, rows, judges="together")}
    assert found == {"a": 50, "b": pytest.approx(100 / 3)}
    with pytest.raises(DataError, match="crowd"):
        scored(tmp_path, [pair(1, "tie", "tie")], judges="together")


def test_rows_without_a_judge(tmp_path: Path) -> None:
    rows = [pair(i, "model_2", "model_1") for i in range(4)]
    rows[1]["judge"] = None
    (found,) = scored(tmp_path, rows)
    assert (found["n"], found["judge"]) == (4, "gpt-4")
    assert found["noted"] == {"rows that name no judge, counted with the only one named (gpt-4)": 1}
    rows[2]["judge"] = ["other", "pair-v2"]
    with pytest.raises(DataError, match="names no judge"):
        scored(tmp_path, rows)


def test_templates_of_one_judge_are_one_judge(tmp_path: Path) -> None:
    rows = [pair(i, "model_2", "model_2", judge=["gpt-4", "pair-math-v1" if i % 2 else "pair-v2"]) for i in range(4)]
    (found,) = scored(tmp_path, rows)
    assert found["n"] == 4


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["annotations", "pairs", "games", "battles", "grades"])
def test_a_retry_after_a_failed_row_counts_once(tmp_path: Path, kind: str, *, first: bool) -> None:
    whole: list[dict[str, Any]]
    failed: dict[str, Any]
    if kind == "annotations":
        whole = coded([1, 2, 2, 1.5])
        failed = {**whole[0], "preference": None}
    elif kind == "pairs":
        whole = [pair(i, "model_2", "model_1" if i else "model_2") for i in range(4)]
        failed = pair(0, "error", "model_1")
    elif kind == "games":
        whole = [game(i, "B>A", "A>B" if i else "B>A") for i in range(4)]
        failed = game(0, "A>B", None)
    elif kind == "battles":
        whole = [{"model_a": "a", "model_b": "b", "winner": "tie" if i else "model_a", "uid": i} for i in range(4)]
        failed = {**whole[0], "winner": None}
    else:
        whole = [grade(i, 1, model, 5 + i % 2 + len(model)) for i in range(4) for model in ("a", "bb")]
        failed = grade(0, 1, "a", -1)
    plain = scored(tmp_path, whole)
    again = scored(tmp_path, [failed, *whole] if first else [*whole, failed])
    assert [{**row, "noted": None} for row in again] == [{**row, "noted": None} for row in plain]
    assert [row["n_missing"] for row in again] == [0] * len(again)
    told = [what for row in again for what in row["noted"]]
    assert len(told) == 1 and "later one" in told[0]


def test_failed_answers_and_labels_that_were_tried_again(tmp_path: Path) -> None:
    own, base, verdicts = made(6)
    files = {"reference": str(written(tmp_path, base)), "annotations": (written(tmp_path, verdicts),)}
    plain = as_data(score(FilesToScore((written(tmp_path, own, "m"),), **files)))  # type: ignore[arg-type]
    retried = [{**own[0], "output": None}, *own]
    again = as_data(score(FilesToScore((written(tmp_path, retried, "m"),), **files)))  # type: ignore[arg-type]
    assert again == plain
    claim = {"human-atomic-facts": [{"label": "S"}, {"label": "NS"}]}
    labels = [{"topic": f"t{i}", "annotations": [claim]} for i in range(3)]
    failed = [{"topic": "t0", "error": "timeout"}, {"topic": "t9", "error": "timeout"}]
    (found,) = scored(tmp_path, [*failed, *labels])
    assert (found["n"], found["missing"]) == (3, {"no labels: the row failed": 1})
    assert found["error_rate"] == 0.5


@pytest.mark.parametrize("kind", ["annotations", "pairs", "games", "battles", "grades"])
def test_a_row_of_error_is_missing_and_not_a_loss(tmp_path: Path, kind: str) -> None:
    """In the first place too: a file is what most of its rows are."""
    made_rows: dict[str, list[dict[str, Any]]] = {
        "annotations": coded([1.2, 2, 2, 1.5, 1.5]),
        "pairs": [pair(i, "model_2", "model_1" if i else "model_2") for i in range(5)],
        "games": [game(i, "B>A", "A>B" if i % 2 else "B>A") for i in range(5)],
        "battles": [{"model_a": "a", "model_b": "b", "winner": ["tie", "model_a"][i % 2], "uid": i} for i in range(5)],
        "grades": [grade(i, 1, "a", 5 + i) for i in range(5)],
    }
    column = {"annotations": ["preference"], "pairs": ["g1_winner", "g2_winner"], "games": ["games"]}
    taken = column.get(kind, ["winner" if kind == "battles" else "score"])
    rows = made_rows[kind]
    broken = {key: value for key, value in rows[0].items() if key not in taken} | {"error": "timeout"}
    for lost in (broken, rows[0] | dict.fromkeys(taken)):
        found, plain = scored(tmp_path, [lost, *rows[1:]]), scored(tmp_path, rows[1:])
        for row, without in zip(found, plain, strict=True):
            assert row["n_missing"] == (2 if kind == "games" else 1)
            for measure in ("win_rate", "standard_error", "n", "name"):
                assert row[measure] == without[measure]


def test_names_that_are_equal_need_texts(tmp_path: Path) -> None:
    short = [{k: v for k, v in row.items() if not k.startswith("output")} for row in coded([1, 2, 1, 2])]
    same = [{**row, "generator_1": "llama", "generator_2": "llama"} for row in short]
    with pytest.raises(DataError, match="cannot be told"):
        scored(tmp_path, same)
    one_text = [{**row, "output_1": "x"} for row in same]
    with pytest.raises(DataError, match="cannot be told"):
        scored(tmp_path, one_text)
    with_texts = [{**row, "generator_1": "llama", "generator_2": "llama"} for row in coded([1, 2, 1, 2])]
    assert scored(tmp_path, with_texts)[0]["win_rate"] == 50


def test_prompt_and_response_are_read(tmp_path: Path) -> None:
    own, base, verdicts = made(12)
    plain = as_data(
        score(FilesToScore((written(tmp_path, own),), str(written(tmp_path, base)), (written(tmp_path, verdicts),)))
    )

    def renamed(rows: Rows) -> Path:
        return written(
            tmp_path,
            [{"prompt": r["instruction"], "response": r["output"], "model": r["generator"], "id": 0} for r in rows],
        )

    asked = [{"prompt": row["instruction"], **{k: v for k, v in row.items() if k != "instruction"}} for row in verdicts]
    found = as_data(score(FilesToScore((renamed(own),), str(renamed(base)), (written(tmp_path, asked),))))
    assert found == plain
    with pytest.raises(DataError, match="prompt is list"):
        chats = [{"prompt": [{"role": "user", "content": "x"}], "response": "y"}]
        score(FilesToScore((written(tmp_path, chats),), str(written(tmp_path, base)), (written(tmp_path, asked),)))


def test_grades_are_fastchats_averages(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    values = {(q, turn, m): int(generator.integers(1, 11)) for q in range(81, 101) for turn in (1, 2) for m in "abc"}
    rows = [grade(q, turn, m, value) for (q, turn, m), value in values.items()]
    rows.append(grade(500, 1, "a", -1))
    found = {row["name"]: row for row in scored(tmp_path, rows)}
    for name, row in found.items():
        own = {(q, turn): value for (q, turn, m), value in values.items() if m == name}
        assert row["score"] == pytest.approx(np.mean(list(own.values())))
        assert row["first_turn"] == pytest.approx(np.mean([v for (_, turn), v in own.items() if turn == 1]))
        assert row["second_turn"] == pytest.approx(np.mean([v for (_, turn), v in own.items() if turn == 2]))
        # Equal clusters: the error is that of the questions' means.
        of_question = [(own[q, 1] + own[q, 2]) / 2 for q in range(81, 101)]
        assert row["score_standard_error"] == pytest.approx(np.std(of_question, ddof=1) / 20**0.5)
        assert (row["n"], row["n_missing"]) == (40, int(name == "a"))
    shown = bench("score", "--annotations", written(tmp_path, rows))
    assert "first turn" in shown.stdout and "(Holm, over all pairs)" in shown.stdout
    for wrong, told in ((11, "wanted 0 to 10"), ("good", "wanted a number"), (True, "wanted a number")):
        with pytest.raises(DataError, match=told):
            scored(tmp_path, [*rows, grade(999, 1, "a", wrong)])
    with pytest.raises(DataError, match="different score"):
        scored(tmp_path, [*rows, {**rows[0], "score": 11 - rows[0]["score"]}])


def test_pairs_of_methods_are_corrected(tmp_path: Path) -> None:
    """Holm: the smallest of three p-values is tripled, the next doubled."""
    generator = np.random.default_rng(5)
    rows = [
        grade(q, 1, m, round(5 + shift + generator.normal()))
        for q in range(30)
        for m, shift in zip("abc", (0, 0.4, 1), strict=True)
    ]
    found = scored(tmp_path, rows)
    laws = {frozenset((row["name"], other)): law["score"] for row in found for other, law in row["paired"].items()}
    ordered = sorted(laws.values(), key=lambda law: law["p"])
    assert ordered[0]["p_adjusted"] == pytest.approx(min(1, 3 * ordered[0]["p"]))
    assert ordered[1]["p_adjusted"] == pytest.approx(min(1, max(2 * ordered[1]["p"], 3 * ordered[0]["p"])))


def test_fewer_rows_than_alpaca_eval_has_are_told_with_its_difficulty(tmp_path: Path) -> None:
    _, _, verdicts = made(30)
    table = tmp_path / "d.csv"
    lines = [f"{row['instruction']},{i % 7}" for i, row in enumerate(verdicts)]
    table.write_text("\n".join(["instruction,instruction_difficulty", *lines]), encoding="utf-8")
    (found,) = scored(tmp_path, verdicts, difficulty=str(table))
    assert any("30 of AlpacaEval's 805 rows" in text for text in found["warnings"])
    assert not any("805" in text for text in scored(tmp_path, verdicts)[0]["warnings"])


@pytest.mark.parametrize("column", ["question_id", "turn"])
def test_questions_without_a_name_stand_alone_and_0_is_a_name(tmp_path: Path, column: str) -> None:
    rows = [pair(i, "model_2", "model_1" if i % 2 else "model_2") for i in range(6)]
    for nothing in (None, float("nan")):
        (found,) = scored(tmp_path, [{**row, column: nothing} for row in rows])
        assert found["n"] == 6
    (floats,) = scored(tmp_path, [{**row, "question_id": float(i // 2), "turn": i % 2} for i, row in enumerate(rows)])
    (whole,) = scored(tmp_path, [{**row, "question_id": i // 2, "turn": i % 2} for i, row in enumerate(rows)])
    assert floats == whole
    for wrong in ([1], True, {"a": 1}):
        with pytest.raises(DataError, match=column):
            scored(tmp_path, [{**row, column: wrong} for row in rows])


def test_a_difference_without_variation_is_no_evidence(tmp_path: Path) -> None:
    """Always right against always wrong, on two prompts: neither p 0 nor an interval without width."""
    rows = [
        {"instruction": f"q{i}", "output_1": "r", "output_2": name, "generator_1": "ref", "generator_2": name}
        | {"preference": 2 if name == "x" else 1}
        for i in range(2)
        for name in "xy"
    ]
    graded = [grade(q, 1, m, {"x": 9, "y": 1}[m]) for q in range(2) for m in "xy"]
    for found, measure in ((scored(tmp_path, rows), "win_rate"), (scored(tmp_path, graded), "score")):
        law = found[0]["paired"]["y"][measure]
        assert law["difference"] > 0
        assert law["p"] is None or law["p"] > 0.05
        assert law["low"] is None or law["low"] < 0
    assert "p 0.39" in bench("score", "--annotations", written(tmp_path, rows)).stdout
    (alike,) = scored(tmp_path, [pair(i, "model_2", "model_2") for i in range(2)])
    assert alike["standard_error"] is None or alike["standard_error"] > 0
