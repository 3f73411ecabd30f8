"""``bench score``: published numbers through the command line, and what it says about files that are wrong."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.core.errors import DataError
from bench.scoring.score import FilesToScore, as_data, score
from tests.cli.test_cli import bench

KEYS = {
    "win_rate",
    "standard_error",
    "length_controlled_win_rate",
    "length_controlled_standard_error",
    "n",
    "n_missing",
}
CLAUDE = "annotations_claude-2.1.json.gz"
Writer = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def to(name: str, rows: Any) -> Path:
        path = tmp_path / name
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows), encoding="utf-8")
        return path

    return to


@pytest.fixture
def alpaca(real_data: Path) -> Path:
    folder = real_data / "alpaca_eval"
    if not (folder / CLAUDE).is_file():
        pytest.skip(f"no AlpacaEval annotations in {folder}")
    return folder


def made(n: int = 120) -> tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, Any]]]:
    """Return outputs, reference outputs, and annotations of one method."""
    generator = np.random.default_rng(0)
    own = [{"instruction": f"q{i}", "output": "a" * int(generator.integers(5, 90)), "generator": "m"} for i in range(n)]
    base = [
        {"instruction": f"q{i}", "output": "b" * int(generator.integers(5, 90)), "generator": "r"} for i in range(n)
    ]
    verdicts = [
        {
            "instruction": a["instruction"],
            "output_1": b["output"],
            "output_2": a["output"],
            "generator_1": "r",
            "generator_2": "m",
            "annotator": "judge",
            "preference": 1 + float(generator.random()),
        }
        for a, b in zip(own, base, strict=True)
    ]
    return own, base, verdicts


def one(*outputs: Path, reference: Path | None = None, annotations: Path | None = None) -> dict[str, Any]:
    judged = () if annotations is None else (annotations,)
    found = as_data(score(FilesToScore(outputs, None if reference is None else str(reference), judged)))
    assert isinstance(found, dict)
    return dict(found)


@pytest.mark.data
def test_alpaca_eval_through_the_command_line(alpaca: Path, write: Writer) -> None:
    with gzip.open(alpaca / CLAUDE, "rt", encoding="utf-8") as file:
        rows = json.load(file)
    # Shuffled: nothing may depend on positions.
    order = np.random.default_rng(0).permutation(len(rows))
    outputs = [{"instruction": rows[i]["instruction"], "output": rows[i]["output_2"], "generator": "x"} for i in order]
    reference = [{"instruction": row["instruction"], "output": row["output_1"]} for row in rows[::-1]]
    done = bench(
        "score",
        "--outputs",
        write("a.json", outputs),
        "--reference",
        write("r.json", reference),
        "--annotations",
        alpaca / CLAUDE,
        "--difficulty",
        alpaca / "instruction_difficulty_recovered.csv",
        "--calibration",
        alpaca / "df_gamed_surrogate.csv",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) >= KEYS
    assert found["win_rate"] == pytest.approx(15.733507, abs=1e-6)
    assert found["standard_error"] == pytest.approx(1.120316, abs=1e-6)
    assert found["length_controlled_win_rate"] == pytest.approx(25.197, abs=6e-4)
    assert found["length_controlled_standard_error"] == pytest.approx(1.695, rel=0.015)
    assert found["length_controlled_win_rate"] == pytest.approx(25.251944, abs=0.12)
    assert (found["n"], found["n_missing"]) == (805, 0)
    assert found["difficulty"] == "by instruction"
    # What the calibration rows change is told, and what pairs of matched length say.
    assert found["length_controlled_without_calibration"] == pytest.approx(24.7, abs=0.05)
    assert 15 < found["length_matched_win_rate"] < 45
    assert 0.3 < found["share_matched"] < 0.9


@pytest.mark.data
def test_all_24_models_in_any_order_of_rows(alpaca: Path, write: Writer) -> None:
    """Texts stand in for the answers at their lengths; difficulty is joined on the instruction."""
    with (alpaca / "instruction_difficulty_recovered.csv").open(encoding="utf-8", newline="") as file:
        instructions = [row["instruction"] for row in csv.DictReader(file)]
    with (alpaca / "expected.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["model"]: row for row in csv.DictReader(file)}
    by_model: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(alpaca / "annotations_compact.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_model.setdefault(row["model"], []).append(
                {
                    "instruction": instructions[int(row["row"])],
                    "output_1": "b" * int(row["len_1"]),
                    "output_2": "m" * int(row["len_2"]),
                    "generator_1": "gpt4_1106_preview",
                    "generator_2": row["model"],
                    "annotator": row["annotator"],
                    "preference": row["preference"],
                }
            )
    assert len(by_model) == 24
    tables = (str(alpaca / "instruction_difficulty_recovered.csv"), alpaca / "df_gamed_surrogate.csv")
    for model, rows in by_model.items():
        shuffled = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
        found = as_data(score(FilesToScore((), None, (write("v.json", shuffled),), *tables)))
        assert isinstance(found, dict)
        published = {name: float(value) for name, value in expected[model].items() if name != "model" and value}
        assert (found["name"], found["n"], found["n_missing"]) == (model, published["n"], 0)
        assert found["win_rate"] == pytest.approx(published["win_rate"], abs=1e-6)
        assert found["standard_error"] == pytest.approx(published["standard_error"], abs=1e-6)
        assert found["length_controlled_win_rate"] == pytest.approx(published["lc_leaderboard"], abs=0.12)


@pytest.mark.data
def test_several_methods_and_the_table(alpaca: Path) -> None:
    names = [CLAUDE, "annotations_alpaca-7b.json.gz"]
    given = [part for name in names for part in ("--annotations", alpaca / name)]
    found = json.loads(bench("score", *given, "--difficulty", "estimated", "--json").stdout)
    assert "any_difference" not in found[0]
    assert [row["name"] for row in found] == ["claude-2.1", "alpaca-7b"]
    assert found[0]["difficulty"] == "estimated"
    there, back = (row["paired"] for row in found)
    raw = there["alpaca-7b"]["win_rate"]["difference"]
    assert raw == pytest.approx(15.733507 - 2.591451, abs=1e-5)
    assert back["claude-2.1"]["win_rate"]["difference"] == pytest.approx(-raw)
    shown = bench("score", *given, "--difficulty", "estimated").stdout
    assert "15.73" in shown
    assert "difficulty estimated, without calibration rows" in shown
    assert "claude-2.1 - alpaca-7b, win_rate on 805 shared prompts" in shown


@pytest.mark.data
def test_an_mt_bench_pair_file(real_data: Path) -> None:
    path = real_data / "mt_bench" / "phi3_dpo_gpt-4_pair.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no MT-bench judgements at {path}")
    found = one(annotations=path)
    assert (found["name"], found["reference"], found["n"], found["n_missing"]) == ("phi-3-dpo", "phi-3", 73, 2)
    assert found["win_rate"] == pytest.approx(51.03, abs=6e-3)
    assert found["standard_error"] == pytest.approx(4.37, abs=6e-3)
    shown = bench("score", "--annotations", path).stdout
    assert " missing" in shown.partition("phi-3-dpo")[0]
    (row,) = [line for line in shown.splitlines() if line.startswith("phi-3-dpo ")]
    assert row.split() == ["phi-3-dpo", "51.03", "4.37", "51.37", "42.90", "59.84", "0.6301", "0.0013", "73", "2"]
    assert found["conservative_win_rate"] == pytest.approx(51.37, abs=6e-3)
    # 51.37 with a standard error of 4.25 over 73 questions.
    assert found["conservative_win_rate_low"] == pytest.approx(51.37 - 1.9935 * 4.25, abs=0.02)
    assert found["conservative_win_rate_high"] == pytest.approx(51.37 + 1.9935 * 4.25, abs=0.02)
    assert found["win_rate_shown_second"] == pytest.approx(39.0, abs=0.06)
    assert found["win_rate_shown_first"] == pytest.approx(63.0, abs=0.06)
    assert found["position_bias_p"] == pytest.approx(0.00131, abs=6e-6)


@pytest.mark.data
def test_arena_hard_battles(real_data: Path) -> None:
    path = real_data / "arena_hard" / "arena_hard_battles_2136.jsonl"
    if not path.is_file():
        pytest.skip(f"no Arena-Hard battles at {path}")
    rows = {row["name"]: row for row in as_data(score(FilesToScore(annotations=(path,))))}  # type: ignore[union-attr]
    assert rows["gpt-4o"]["theta"] == pytest.approx(1.885408, abs=1e-6)
    assert rows["gpt-4o"]["theta_standard_error"] == pytest.approx(0.247, abs=6e-4)
    assert rows["gpt-4o"]["win_rate"] == pytest.approx(86.82, abs=6e-3)
    assert rows["gpt-4o"]["reference"] == "claude-3-haiku-20240307"
    done = bench("score", "--annotations", path, "--reference", "claude-3-haiku")
    assert done.returncode == 2
    assert "Did you mean" in done.stderr


@pytest.mark.data
def test_factscore_labels(real_data: Path) -> None:
    folder = real_data / "factscore"
    if not (folder / "labeled_ChatGPT.jsonl.gz").is_file():
        pytest.skip(f"no FActScore labels in {folder}")
    found = one(folder / "labeled_ChatGPT.jsonl.gz", reference=folder / "labeled_InstructGPT.jsonl.gz")
    assert found["error_rate"] == pytest.approx(0.346296, abs=6e-7)
    assert found["factscore"] == pytest.approx(58.277, abs=6e-4)
    assert found["win_rate"] is None
    paired = found["paired"]["InstructGPT"]
    assert paired["error_rate"]["difference"] == pytest.approx(-0.07334, abs=6e-6)
    assert paired["relative_error_reduction"]["estimate"] == pytest.approx(0.174, abs=6e-4)


def test_missing_outputs_and_preferences_are_counted(write: Writer) -> None:
    own, base, verdicts = made()
    verdicts[3]["preference"] = float("nan")
    verdicts[4]["preference"] = None
    verdicts[5]["preference"] = -1
    verdicts[6]["output_2"] = "another answer"
    verdicts[7]["preference"] = 0
    own[8]["output"] = base[8]["output"]
    found = one(
        write("a.json", own[:-2]),
        reference=write("r.json", base),
        annotations=write("v.json", verdicts[:9] + verdicts[10:]),
    )
    assert (found["n"], found["n_missing"]) == (113, 7)
    assert found["missing"] == {
        "the judge gave no preference": 3,
        "no verdict on these two texts": 1,
        "no verdict": 1,
        "no output": 2,
    }
    assert found["noted"] == {
        "identical outputs, counted as ties": 1,
        "preferences of 0, counted as ties (AlpacaEval's old code)": 1,
    }


def test_either_order_of_the_two_texts_counts(write: Writer) -> None:
    own, base, verdicts = made()
    turned = [
        {
            **row,
            "output_1": row["output_2"],
            "output_2": row["output_1"],
            "generator_1": "m",
            "generator_2": "r",
            "preference": 3 - row["preference"],
        }
        for row in verdicts
    ]
    files = {"a": write("a.json", own), "r": write("r.json", base)}
    whole = one(files["a"], reference=files["r"], annotations=write("v.json", verdicts))
    again = one(files["a"], reference=files["r"], annotations=write("t.json", turned))
    both = one(files["a"], reference=files["r"], annotations=write("b.json", verdicts + turned))
    for found in (again, both):
        assert found["win_rate"] == pytest.approx(whole["win_rate"])
        assert found["length_controlled_win_rate"] == pytest.approx(whole["length_controlled_win_rate"])
    assert sum(both["noted"].values()) == 120


def test_names_are_enough_where_annotations_hold_no_texts(write: Writer) -> None:
    own, base, verdicts = made()
    short = [{key: row[key] for key in row if not key.startswith("output")} for row in verdicts]
    files = {"a": write("a.json", own), "r": write("r.json", base)}
    found = one(files["a"], reference=files["r"], annotations=write("v.json", short))
    assert found["n"] == 120
    assert found["win_rate"] == one(files["a"], reference=files["r"], annotations=write("w.json", verdicts))["win_rate"]


def test_three_methods_have_a_test_of_any_difference(write: Writer) -> None:
    _, _, verdicts = made()
    names = ("m", "other", "third")
    matrix: list[list[float]] = []
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        matrix.append([round(row["preference"] * 4 + place) % 5 / 4 for row in verdicts])
        told = zip(verdicts, matrix[-1], strict=True)
        rows += [
            {**row, "output_2": row["output_2"] + name, "generator_2": name, "preference": 1 + y} for row, y in told
        ]
    found = as_data(score(FilesToScore(annotations=(write("v.json", rows),))))
    assert isinstance(found, list)
    expected = stats.friedmanchisquare(*matrix)
    for row in found:
        assert row["any_difference"] == pytest.approx(
            {"n": 120, "statistic": expected.statistic, "df": 2, "p": expected.pvalue}
        )
    assert "any difference among the 3 methods" in bench("score", "--annotations", write("v.json", rows)).stdout


def test_the_same_answers_everywhere_are_50(write: Writer) -> None:
    _, base, _ = made()
    found = one(write("a.json", [{**row, "generator": "m"} for row in base]), reference=write("r.json", base))
    assert (found["win_rate"], found["standard_error"]) == (50.0, 0.0)
    assert (found["length_controlled_win_rate"], found["length_controlled_standard_error"]) == (50.0, 0.0)


def test_files_that_are_equal_throughout_are_50_whatever_was_stored(write: Writer) -> None:
    _, _, verdicts = made()
    same = [{**row, "output_2": row["output_1"]} for row in verdicts]
    found = one(annotations=write("v.json", same))
    assert (found["win_rate"], found["length_controlled_win_rate"]) == (50.0, 50.0)


def test_a_stored_verdict_on_two_equal_answers_counts_as_stored(write: Writer) -> None:
    """So that the raw win rate is the mean of the file, and a failed verdict is a failed one."""
    _, _, verdicts = made()
    verdicts[0]["output_2"] = verdicts[0]["output_1"]
    lost = [{**row, "preference": 1.0} for row in verdicts]
    found = as_data(score(FilesToScore(annotations=(write("v.json", lost),), preference_scale="1-2")))
    assert isinstance(found, dict)
    assert (found["win_rate"], found["length_controlled_win_rate"]) == (0.0, 0.0)
    assert any("separated" in text for text in found["warnings"])
    verdicts[0]["preference"] = float("nan")
    found = one(annotations=write("w.json", verdicts))
    assert (found["n"], found["n_missing"]) == (119, 1)
    nothing = [{**row, "preference": None} for row in verdicts]
    with pytest.raises(DataError, match="On 120 the judge gave no preference"):
        one(annotations=write("x.json", nothing))


@pytest.mark.parametrize("missing", [None, float("nan"), "no column"])
def test_one_missing_output_leaves_its_pair_out(write: Writer, missing: float | str | None) -> None:
    own, base, verdicts = made()
    for rows, key in ((own, "output"), (verdicts, "output_2")):
        rows[5].pop(key)  # type: ignore[attr-defined]
        if missing != "no column":
            rows[5][key] = missing  # type: ignore[index]
    told = {"no output": 1}
    alone = one(annotations=write("v.json", verdicts))
    assert (alone["n"], alone["n_missing"], alone["missing"]) == (119, 1, told)
    found = one(write("a.json", own), reference=write("r.json", base), annotations=write("v.json", verdicts))
    assert (found["n"], found["n_missing"], found["missing"]) == (119, 1, told)
    assert found["win_rate"] == alone["win_rate"]


def test_wrong_files_end_with_status_2(write: Writer, tmp_path: Path) -> None:
    own, base, verdicts = made(20)
    a, r, v = write("a.json", own), write("r.json", base), write("v.json", verdicts)
    cases: list[tuple[list[Any], str]] = [
        ([], "nothing to score"),
        (["--outputs", tmp_path / "none.json"], "no such file"),
        (["--outputs", write("empty.json", "[]"), "--reference", r, "--annotations", v], "no rows"),
        (["--outputs", write("blank.json", ""), "--reference", r], "not JSON"),
        (["--outputs", write("other.json", [{"question": 1}])], "no known kind"),
        (["--outputs", write("twice.json", own + own[:1]), "--reference", r], "more than once"),
        (["--outputs", a, "--reference", r], "Give the judge's verdicts with --annotations"),
        (["--outputs", a], "Give --reference"),
        (["--outputs", a, "--reference", v, "--annotations", v], "wants answers"),
        (["--outputs", a, "--reference", r, "--annotations", a], "wants verdicts"),
        (["--outputs", a, "--outputs", a, "--reference", r, "--annotations", v], "names must differ"),
        (["--annotations", v, "--difficulty", "estimated"], "two or more"),
        (["--annotations", v, "--difficulty", write("d.csv", "index,instruction_difficulty\n0,1.5\n")], "never on the"),
        (
            ["--annotations", v, "--difficulty", write("e.csv", "instruction,instruction_difficulty\nq0,1.5\n")],
            "19 of 20 prompts have no known difficulty",
        ),
        (["--annotations", v, "--calibration", write("c.csv", "index\n0\n")], "preference or preference_surrogate"),
        (["--annotations", write("p.json", [{**verdicts[0], "preference": 7}])], "wanted 1"),
        (["--annotations", write("s.json", [{**verdicts[0], "preference": "good"}])], "wanted a number"),
        (["--annotations", write("w.json", [verdicts[0], {**verdicts[0], "preference": 1.01}])], "different verdict"),
        (["--annotations", write("x.json", [verdicts[0], {**verdicts[1], "generator_1": "z"}])], "several baselines"),
        (["--annotations", write("n.json", [{**row, "preference": None} for row in verdicts])], "none of 20 prompts"),
    ]
    other = [{**row, "output_1": "else", "generator_1": "z"} for row in verdicts]
    cases.append((["--outputs", a, "--reference", r, "--annotations", write("o.json", other)], "other texts or baseli"))
    foreign = [{**row, "instruction": "?" + row["instruction"]} for row in verdicts]
    cases.append((["--outputs", a, "--reference", r, "--annotations", write("f.json", foreign)], "No instruction is"))
    (tmp_path / "g.json.gz").write_bytes(b"not gzip")
    cases.append((["--outputs", tmp_path / "g.json.gz"], "cannot be unpacked"))
    for arguments, message in cases:
        done = bench("score", *arguments, "--json")
        assert done.returncode == 2, (arguments, done.stdout)
        assert message in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_wrong_pairs_battles_and_labels(write: Writer) -> None:
    pair = {"question_id": 1, "model_1": "a", "model_2": "b", "g1_winner": "tie", "g2_winner": "model_2"}
    for name, rows, message in [
        ("p", [{**pair, "g1_winner": "both"}], "winner 'both'"),
        ("q", [pair, {**pair, "g1_winner": "model_1"}], "different verdict"),
        ("e", [{**pair, "g1_winner": "error"}], "is an error"),
        ("b", [{"model_a": "a", "model_b": "b", "winner": "?"}], "none of 1 battles"),
        ("f", [{"topic": "t", "annotations": [{"human-atomic-facts": [{"label": "X"}]}]}], "label 'X'"),
        ("s", [{"topic": "t", "annotations": [{"human-atomic-facts": [{"label": ["S"]}]}]}], "label \\['S'\\]"),
        ("t", [{"topic": "t", "annotations": [{"human-atomic-facts": 3}]}], "human-atomic-facts is int, wanted a list"),
        ("u", [{"topic": "t", "annotations": [{"is-relevant": False, "model-atomic-facts": 3}]}], "model-atomic-facts"),
        ("v", [{"topic": "t", "annotations": ["S"]}], "a sentence is str, wanted its labels"),
        ("g", [{"topic": "t", "annotations": None}], "abstain"),
        ("h", [{"topic": "t", "annotations": None}] * 2, "more than once"),
        ("m", [pair, {"question_id": 2, "model_1": "a"}], "row 2: no column model_2"),
        ("n", [{"model_a": "a", "model_b": "b", "winner": "tie"}, {"winner": "tie"}], "row 2: no column model_a"),
        ("o", [{"topic": "t", "annotations": None}, {"annotations": None}], "row 2: topic is null"),
    ]:
        with pytest.raises(DataError, match=message.replace("?", r"\?")):
            score(FilesToScore((write(f"{name}.json", rows),)))
    repeated = as_data(score(FilesToScore((write("r.json", [pair, pair, {**pair, "question_id": 2}]),))))
    assert isinstance(repeated, dict)
    assert (repeated["n"], repeated["noted"]) == (2, {"repeated verdicts": 1})
    with pytest.raises(DataError, match="different kinds"):
        score(FilesToScore((write("k.json", [pair]), write("l.json", [{"topic": "t", "annotations": None}]))))


def test_a_side_without_claims_is_told_and_not_compared(write: Writer) -> None:
    def labels(*which: str) -> list[dict[str, Any]]:
        facts = [{"label": label} for label in which]
        return [{"topic": topic, "annotations": [{"human-atomic-facts": facts}]} for topic in ("t", "u", "v")]

    silent, spoken = write("silent.json", labels()), write("spoken.json", labels("S", "NS"))
    beside = write("beside.json", labels("IR"))
    for path in (silent, beside):
        found = one(path, reference=spoken)
        assert (found["error_rate"], found["error_rate_standard_error"], found["respond_rate"]) == (None, None, 1.0)
        assert found["paired"] == {"spoken": {"n": 3, "error_rate": None, "relative_error_reduction": None}}
        done = bench("score", "--annotations", path, "--reference", spoken)
        assert done.returncode == 0, done.stderr
    assert one(silent, reference=spoken)["noted"] == {
        "responses make no claim; they are in no error rate and score 0": 3
    }
    assert one(spoken, reference=silent)["error_rate"] == 0.5


def test_unconnected_battles_are_scored_with_a_warning(write: Writer) -> None:
    rows = [{"model_a": "a", "model_b": "b", "winner": "model_a", "question_id": i} for i in range(5)]
    done = bench("score", "--annotations", write("b.json", rows))
    assert done.returncode == 0
    assert "warning: methods fall into 2 groups" in done.stdout


def test_help_has_examples() -> None:
    done = bench("score", "--help")
    assert done.returncode == 0
    assert "bench score --outputs mine.json" in done.stdout


def test_no_torch_is_loaded() -> None:
    code = "import sys, bench.cli, bench.cli.score, bench.scoring.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
