"""Outputs that are judged now: both orders, the audit, verdicts that are kept, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.cli import app
from bench.config.fields.judges_asked import read_judges_asked
from bench.core.errors import BenchError, DataError
from bench.core.judge import Pair, Verdict
from bench.engine.store import Store
from bench.evaluation.judge_texts import JudgeTexts
from bench.evaluation.judges.longer_wins import LongerWins
from bench.scoring import ask_judges
from bench.scoring.ask_judges import Asking, judged_scores

PROMPTS = [f"Question {number}?" for number in range(30)]


def outputs(folder: Path, name: str, texts: list[str], *, names: tuple[str, str] = ("instruction", "output")) -> Path:
    rows = [dict(zip(names, row, strict=True)) for row in zip(PROMPTS, texts, strict=False)]
    file = folder / name
    lines = name.endswith(".jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows), encoding="utf-8")
    return file


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    mine = outputs(tmp_path, "mine.json", ["red " * (1 + number % 4) for number in range(30)])
    theirs = outputs(tmp_path, "theirs.jsonl", ["no " * (1 + number % 3) for number in range(28)],
                     names=("prompt", "response"))  # fmt: skip
    return Asking([mine], str(theirs), read_judges_asked(["longer_wins"]), Store(tmp_path / "store"))


def test_it_is_judged_in_both_orders_with_the_audit(asking: Asking, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("no\t-2.0\nred\t2.0\n", encoding="utf-8")
    (tmp_path / "mood.yaml").write_text("judge: lexicon\npath: words.txt\nname: mood\n", encoding="utf-8")
    judges = read_judges_asked([str(tmp_path / "mood.yaml"), "{judge: random, seed: 3}", "first_wins"])
    found = {one.judge: one for one in judged_scores(Asking(asking.outputs, asking.reference, judges, asking.store))}
    mood, random, first = (found[name] for name in ("mood", "random", "first_wins"))
    sides = [(4 * (1 + number % 4), 3 * (1 + number % 3)) for number in range(28)]
    assert mood.name == "mine"
    assert mood.reference == "theirs"
    assert (mood.n, mood.n_missing) == (28, 2)
    assert mood.missing == {"no output of the reference": 2}
    assert mood.win_rate is not None
    low, high = mood.details["win_rate_interval"]
    assert 0 <= low < mood.win_rate == high == 100
    assert mood.details["audit"]["asked"] == 56
    assert mood.details["audit"]["consistent"]["estimate"] == 1.0
    assert {one["control"] for one in mood.details["audit"]["controls"]} >= {"longer_wins", "word_overlap"}
    assert first.win_rate == 50.0
    assert first.details["audit"]["flips"]["estimate"] == 1.0
    assert random.details["audit"]["retest"] == "asked"
    (longer,) = judged_scores(asking)
    assert longer.win_rate == pytest.approx(100 * sum((a > b) + (a == b) / 2 for a, b in sides) / 28)


def test_verdicts_are_kept_part_by_part(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_judges, "PAIRS_AT_ONCE", 10)
    asked: list[int] = []
    compare = LongerWins.compare

    def killed(self: LongerWins, task: Any, pairs: list[Pair], io: Any) -> list[Verdict]:
        asked.append(len(pairs))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return compare(self, task, pairs, io)

    monkeypatch.setattr(LongerWins, "compare", killed)
    with pytest.raises(KeyboardInterrupt):
        judged_scores(asking)
    assert asked == [20, 20, 16]
    monkeypatch.setattr(ask_judges, "CONTROLS", ())
    first = judged_scores(asking)
    assert asked == [20, 20, 16, 16]
    lines: list[str] = []
    moved = [asking.outputs[0].rename(asking.outputs[0].with_name("moved.json"))]
    again = judged_scores(Asking(moved, asking.reference, asking.judges, asking.store, told=lines.append))
    assert asked == [20, 20, 16, 16]
    assert lines == []
    assert [one.win_rate for one in again] == [one.win_rate for one in first]


def test_a_pair_that_was_judged_in_one_order_only_has_no_verdict(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = LongerWins.compare

    def failing(self: LongerWins, task: Any, pairs: list[Pair], io: Any) -> list[Verdict]:
        found = compare(self, task, pairs, io)
        return [Verdict(value=None, status="unparsed", text="well") if n == 3 else one for n, one in enumerate(found)]

    monkeypatch.setattr(LongerWins, "compare", failing)
    (score,) = judged_scores(asking)
    assert score.missing == {"no output of the reference": 2, "the judge gave no preference": 1}
    assert score.noted["calls of the judge without a verdict (unparsed: well)"] == 1


def test_equal_outputs_are_ties_that_nobody_judges(asking: Asking, tmp_path: Path) -> None:
    same = outputs(tmp_path, "same.json", ["x"] * 20 + ["y"] * 10)
    other = outputs(tmp_path, "other.json", ["x"] * 20 + ["zz"] * 10)
    (score,) = judged_scores(Asking([same], str(other), asking.judges, asking.store))
    assert score.noted["identical outputs, counted as ties"] == 20
    assert score.details["audit"]["asked"] == 20
    assert score.win_rate == pytest.approx(100 * (20 * 0.5) / 30)
    with pytest.raises(DataError, match="nothing to judge"):
        judged_scores(Asking([same], str(same), asking.judges, asking.store))


@pytest.mark.parametrize(
    ("judge", "why"),
    [
        ("lexicn", "Did you mean 'lexicon'"),
        ("{judge: lexicon, pth: x}", r"(?s)unknown key 'pth'.*path: is missing|unknown key 'pth'"),
        ("[1", "not valid YAML"),
        ("nowhere.yaml", "no such file"),
        ("{judge: reward_model, of: dpo}", "takes a model from an arm"),
        ("{judge: reward_model, path: .}", "config.json missing"),
        ("3", "must be the name of a judge"),
    ],
)
def test_a_judge_that_cannot_be_asked_is_told(judge: str, why: str) -> None:
    with pytest.raises(BenchError, match=why):
        read_judges_asked([judge])


def test_two_judges_have_two_names() -> None:
    with pytest.raises(BenchError, match="two judges are called 'random'"):
        read_judges_asked(["random", "{judge: random, seed: 4}"])
    assert [one.label for one in read_judges_asked(["random", "{judge: random, seed: 4, name: other}"])] == [
        "random", "other"
    ]  # fmt: skip


def ended(line: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        app.main(line)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_command(asking: Asking, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["score", "--outputs", str(asking.outputs[0]), "--reference", str(asking.reference), "--store",
            str(tmp_path / "store"), "--judge", "longer_wins"]  # fmt: skip
    assert ended([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["audit"]["judge"] == found["judge"] == "longer_wins"
    assert ended(line) == 0
    shown = capsys.readouterr()
    assert "at equal length %" in shown.out
    assert "audit of longer_wins, 56 calls: same verdict in both orders 100.0%" in shown.out
    assert "win rate within [" in shown.out
    assert shown.err == ""
    assert ended([*line, "--annotations", "x.json"]) == 2
    assert "leave --annotations" in capsys.readouterr().err


def test_texts_are_the_key() -> None:
    assert {"pairs", "judge"} == set(JudgeTexts.model_fields)
