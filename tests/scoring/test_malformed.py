"""Every kind of file, broken in every cell: a clear error or a counted exclusion, never another exception."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import DataError
from bench.scoring.score import FilesToScore, as_data, score
from tests.cli.test_cli import bench
from tests.scoring.test_score import made, one

JUNK: tuple[Any, ...] = (None, "", "x", [], {}, [None], float("nan"), float("inf"), 3, -1, True)
STYLE = {"style", *(f"style_controlled_{what}" for what in ("theta", "theta_standard_error", "win_rate"))}


def whole() -> dict[str, list[dict[str, Any]]]:
    """A small right file of each kind."""
    own, base, verdicts = made(12)
    pair = {"model_1": "a", "model_2": "b", "g1_winner": "tie", "g2_winner": "model_2", "turn": 1}
    claim = {"is-relevant": True, "human-atomic-facts": [{"label": "S", "text": "t"}], "model-atomic-facts": [{}]}
    winners = ("model_a", "model_b", "tie")
    return {
        "outputs": own,
        "reference": base,
        "annotations": verdicts,
        "pairs": [{**pair, "question_id": number} for number in range(4)],
        "battles": [
            {
                "model_a": "a",
                "model_b": "b",
                "winner": winners[number % 3],
                "question_id": f"q{number}",
                "conv_metadata": {
                    "sum_assistant_a_tokens": 90 + 40 * (number % 2),
                    "sum_assistant_b_tokens": 100,
                    "header_count_a": {"h1": number % 3, "h2": 0},
                    "header_count_b": {"h1": 1, "h2": 1},
                },
            }
            for number in range(6)
        ],
        "games": [
            {
                "uid": f"q{number}",
                "model": model,
                "baseline": "old",
                "judge": "j",
                "games": [{"score": "A>B"}, {"score": "A>>B" if number % 2 else "B>A"}],
            }
            for number in range(4)
            for model in ("new", "newer")
        ],
        "grades": [
            {
                "question_id": 80 + number // 4,
                "turn": 1 + number // 2 % 2,
                "model": f"m{number % 2}",
                "judge": ["g", "v1"],
            }
            | {"score": (number * 7) % 10 + 1}
            for number in range(12)
        ],
        "facts": [{"topic": f"t{number}", "annotations": [claim, claim]} for number in range(4)],
    }


def inputs(folder: Path, files: dict[str, list[dict[str, Any]]], kind: str) -> FilesToScore:
    """Write what one kind of scoring needs."""
    paths = {}
    for name in ("outputs", "reference", "annotations", kind):
        paths[name] = folder / f"{name}.json"
        text = json.dumps(files[name])
        if not paths[name].is_file() or paths[name].read_text(encoding="utf-8") != text:
            paths[name].unlink(missing_ok=True)  # a new file is written ten times as fast as an old one is overwritten
            paths[name].write_text(text, encoding="utf-8")
    if kind in ("outputs", "reference", "annotations"):
        return FilesToScore((paths["outputs"],), str(paths["reference"]), (paths["annotations"],))
    return FilesToScore((paths[kind],) if kind == "facts" else (), None, () if kind == "facts" else (paths[kind],))


def broken(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows with one cell of the second row replaced or gone, at every depth."""

    def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            yield (*path, key)
            yield from places(item, (*path, key))

    for path in list(places(rows[1])):
        for junk in (*JUNK, "gone"):
            changed = copy.deepcopy(rows)
            at: Any = changed[1]
            for key in path[:-1]:
                at = at[key]
            if junk == "gone":
                del at[path[-1]]
            else:
                at[path[-1]] = junk
            yield changed


@pytest.mark.parametrize("kind", [kind for kind in whole() if kind != "facts"])
def test_one_broken_cell_is_an_error_in_words_or_leaves_finite_numbers(tmp_path: Path, kind: str) -> None:
    files = whole()
    right = as_data(score(inputs(tmp_path, files, kind)))
    refused = 0
    for rows in broken(files[kind]):
        try:
            found = as_data(score(inputs(tmp_path, {**files, kind: rows}, kind)))
        except DataError as error:
            refused += 1
            assert str(error).strip() and "Traceback" not in str(error)
        else:
            text = json.dumps(found, allow_nan=False)  # nothing that JSON cannot hold
            # Style is told where every battle has its counts.
            assert set(_first(right)) - set(_first(json.loads(text))) <= STYLE
    assert refused > 10


def _first(found: Any) -> dict[str, Any]:
    return dict(found[0] if isinstance(found, list) else found)


@pytest.mark.parametrize("kind", list(whole()))
@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", "[1]", "[[]]", "[null]", '[{"a": 1}', '"text"', "\ufeff[]"]
)
def test_files_without_rows_are_refused(tmp_path: Path, kind: str, content: str) -> None:
    given = inputs(tmp_path, whole(), kind)
    (tmp_path / f"{kind}.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=f"{kind}.json"):
        score(given)


def test_nan_preferences_and_missing_outputs_are_counted_through_the_command_line(tmp_path: Path) -> None:
    files = whole()
    files["annotations"][0]["preference"] = float("nan")
    files["annotations"][1]["preference"] = None
    del files["outputs"][2]
    inputs(tmp_path, files, "outputs")
    names = {name: str(tmp_path / f"{name}.json") for name in ("outputs", "reference", "annotations")}
    arguments = [part for name, path in names.items() for part in (f"--{name}", path)]
    done = bench("score", *arguments, "--json")
    found = json.loads(done.stdout)
    assert (found["n"], found["n_missing"]) == (9, 3)
    assert found["missing"] == {"the judge gave no preference": 2, "no output": 1}
    shown = bench("score", *arguments).stdout
    assert "2 missing, the judge gave no preference" in shown


def test_another_baseline_is_told(tmp_path: Path) -> None:
    files = whole()
    files["reference"] = [{**row, "output": row["output"] + "!", "generator": "other"} for row in files["reference"]]
    with pytest.raises(DataError, match="other texts or baselines"):
        score(inputs(tmp_path, files, "outputs"))
    games = whole()["games"]
    for row in games[4:]:
        row["baseline"] = "older"
    rows = as_data(score(inputs(tmp_path, {**whole(), "games": games}, "games")))
    assert isinstance(rows, list)
    assert {(row["name"], row["reference"]) for row in rows} == {
        (name, base) for base in ("old", "older") for name in (base, "new", "newer")
    }


def test_duplicates_are_refused_or_counted_by_kind(tmp_path: Path) -> None:
    files = whole()
    for kind, told in (("outputs", "more than once"), ("reference", "more than once"), ("facts", "more than once")):
        with pytest.raises(DataError, match=told):
            score(inputs(tmp_path, {**files, kind: [*files[kind], files[kind][0]]}, kind))
    again = as_data(
        score(inputs(tmp_path, {**files, "annotations": [*files["annotations"], files["annotations"][0]]}, "outputs"))
    )
    assert isinstance(again, dict)
    assert again["noted"] == {"repeated verdicts, counted once or averaged over orders": 1}
    plain = as_data(score(inputs(tmp_path, files, "games")))
    twice = as_data(score(inputs(tmp_path, {**files, "games": [*files["games"], files["games"][0]]}, "games")))
    assert isinstance(plain, list) and isinstance(twice, list)
    assert twice[0]["noted"] == {"repeated judgements, counted once": 1}
    assert [row["theta"] for row in twice] == [row["theta"] for row in plain]
    other = {**files["games"][0], "games": [{"score": "B>>A"}, {"score": "A>B"}]}
    with pytest.raises(DataError, match="second, different judgement"):
        score(inputs(tmp_path, {**files, "games": [*files["games"], other]}, "games"))


def test_arena_hard_games_are_the_battles_they_stand_for(tmp_path: Path) -> None:
    """A clear win counts three times; the baseline is A in the first game and B in the second.

    A question with one game only is left out whole, as Arena-Hard and FastChat do.
    """
    files = whole()
    files["games"][3]["games"] = [{"score": "A=B"}, None]
    battles = []
    for row in files["games"]:
        for place, game in enumerate(row["games"]):
            if None in row["games"]:
                battles.append(
                    {"model_a": row["baseline"], "model_b": row["model"], "winner": "?", "question_id": "q1"}
                )
                continue
            verdict = game["score"]
            a_is_baseline = place == 0
            winner = "tie" if verdict == "A=B" else "model_a" if (verdict[0] == "A") == a_is_baseline else "model_b"
            battle = {"model_a": row["baseline"], "model_b": row["model"], "winner": winner, "question_id": row["uid"]}
            battles += [battle] * (3 if ">>" in verdict else 1)
    by_games = as_data(score(inputs(tmp_path, files, "games")))
    by_battles = as_data(score(inputs(tmp_path, {**files, "battles": battles}, "battles")))
    assert isinstance(by_games, list) and isinstance(by_battles, list)
    for ours, theirs in zip(by_games, by_battles, strict=True):
        for key in ("name", "reference", "win_rate", "theta", "theta_standard_error", "rank_low", "n_missing"):
            assert ours[key] == (pytest.approx(theirs[key]) if isinstance(ours[key], float) else theirs[key])
    told = {row["name"]: row["missing"] for row in by_games}
    half = "games left out because the question's other game has no verdict"
    assert told == {"new": {}, **dict.fromkeys(("newer", "old"), {"battles without a known winner": 1, half: 1})}


def test_version_0_1_does_not_name_the_baseline(tmp_path: Path) -> None:
    rows = [
        {"question_id": row["uid"], "model": row["model"], "judge": "j", "games": row["games"]}
        for row in whole()["games"]
    ]
    path = tmp_path / "new.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match="Give --reference NAME"):
        score(FilesToScore(annotations=(path,)))
    found = as_data(score(FilesToScore(annotations=(path,), reference="old")))
    assert isinstance(found, list)
    assert {row["reference"] for row in found} == {"old"}
    rows[0]["judge"] = "another"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match="judge another: all battles are in one cluster"):
        score(FilesToScore(annotations=(path,), reference="old"))


def test_battles_with_style_counts_are_scored_at_equal_style_too(tmp_path: Path) -> None:
    rows = [
        {**row, "question_id": f"q{number}", "winner": ("model_a", "model_b", "tie")[(number * 7 + number // 5) % 3]}
        for number, row in enumerate(whole()["battles"] * 10)
    ]
    found = as_data(score(inputs(tmp_path, {**whole(), "battles": rows}, "battles")))
    assert isinstance(found, list)
    other = next(row for row in found if row["name"] != row["reference"])
    assert set(other["style"]) == {"tokens", "headers"}
    assert other["style"]["tokens"]["standard_error"] > 0
    assert abs(other["style_controlled_theta"]) < 3 and other["style_controlled_theta_standard_error"] > 0
    done = bench("score", "--annotations", tmp_path / "battles.json")
    assert "at equal style %" in done.stdout
    del rows[3]["conv_metadata"]
    without = as_data(score(inputs(tmp_path, {**whole(), "battles": rows}, "battles")))
    fewer = as_data(score(inputs(tmp_path, {**whole(), "battles": [*rows[:3], *rows[4:]]}, "battles")))
    assert isinstance(without, list) and isinstance(fewer, list)
    assert without[0]["noted"] == {"battles without style counts, left out at equal style (of all methods)": 1}
    assert [row["style"] for row in without] == [row["style"] for row in fewer]
    assert [row["theta"] for row in without] != [row["theta"] for row in fewer]
    for row in rows:
        row.pop("conv_metadata", None)
    bare = as_data(score(inputs(tmp_path, {**whole(), "battles": rows}, "battles")))
    assert isinstance(bare, list) and "style" not in bare[0]


def test_one_prompt_has_no_error_and_no_crash(tmp_path: Path) -> None:
    own, base, verdicts = made(1)
    paths = {}
    for name, rows in (("a", own), ("r", base), ("v", verdicts)):
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json.dumps(rows), encoding="utf-8")
    found = one(paths["a"], reference=paths["r"], annotations=paths["v"])
    assert (found["n"], found["standard_error"]) == (1, None)
