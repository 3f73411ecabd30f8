"""The judge audit on GPT-4's verdicts about phi-3-dpo and phi-3: 75 MT-bench questions in both orders, real texts."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.judge import Pair
from bench.core.task import Prompt, user
from bench.evaluation.measurements.judge_controls import CONTROLS
from bench.results.conclusions.judge_audit import JudgeAudit
from bench.statistics.contrasts.position import conservative_win_rate
from bench.statistics.judges.audit import judge_audits
from tests.evaluation.judges.scripted import io_in
from tests.statistics.build import comparison, table
from tests.statistics.planted import Steady

VALUE = {"model_1": 0.0, "model_2": 1.0, "tie": 0.5, "error": None}
ANSWER = r"\[The Start of Assistant {0}'s Answer\]\n(.*?)\n\[The End of Assistant {0}'s Answer\]"
QUESTION = re.compile(r"\[User Question\]\n(.*?)\n\n\[The Start", re.DOTALL)


@pytest.fixture(scope="module")
def games(real_data: Path) -> list[dict[str, Any]]:
    path = real_data / "mt_bench" / "phi3_dpo_gpt-4_pair.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no MT-bench judgements at {path}")
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def texts(game: dict[str, Any]) -> tuple[str, str]:
    """The answers of phi-3-dpo (model_2) and phi-3 (model_1); in game 1 phi-3 is assistant A."""
    shown = [re.search(ANSWER.format(side), game["g1_user_prompt"], re.DOTALL) for side in "BA"]
    assert all(shown)
    return tuple(found.group(1) for found in shown if found)  # type: ignore[return-value]


def row(game: dict[str, Any], **labels: Any) -> dict[str, Any]:
    number = f"q{game['question_id']}"
    value = labels["value"]
    return {
        "task": "quiz", "prompt": number, "cluster": number, "kind": "question", "method": "a", "run": 0, "draw": 0,
        "versus": None, "order": None, "status": "error" if value is None else "ok", **labels,
    }  # fmt: skip


@pytest.fixture(scope="module")
def audit(games: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> JudgeAudit:
    """GPT-4 as judge ``steady``, phi-3-dpo as a, phi-3 as b."""
    records, controls = [], []
    io = io_in(tmp_path_factory.mktemp("controls"))
    for game in games:
        own, other = texts(game)
        for arm, text in (("a", own), ("b", other)):
            labels = {"source": "task", "metric": "response_characters"}
            records.append(row(game, method=arm, value=float(len(text)), **labels))
        question = QUESTION.search(game["g1_user_prompt"])
        assert question is not None
        prompt = Prompt(id=str(game["question_id"]), chat=user(question.group(1)), cluster="c")
        for order, name, pair in (
            ("second", "g1_winner", Pair(prompt=prompt, first=other, second=own)),
            ("first", "g2_winner", Pair(prompt=prompt, first=own, second=other)),
        ):
            labels = {"versus": "b", "order": order}
            records.append(row(game, source="steady", metric="win_rate", value=VALUE[game[name]], **labels))
            for control in CONTROLS:
                (verdict,) = control.compare(None, [pair], io)
                assert verdict.value is not None
                value = verdict.value if order == "first" else 1 - verdict.value
                controls.append(row(game, source=control.NAME, metric="control", value=value, **labels))
    asked = comparison(judges=(Steady(),), seeds=(0,))
    (found,), _ = judge_audits(table(records), table(controls), asked)
    return found


@pytest.mark.data
def test_orders_are_those_of_the_printed_table(audit: JudgeAudit, games: list[dict[str, Any]]) -> None:
    """EVALUATION 3.3: 18 flips, 16 to the first, p = .00131; 63.0% alike; conservative 51.37%, error 4.25."""
    assert (audit.asked, audit.consistent.n) == (150, 73)
    assert audit.error.estimate == pytest.approx(3 / 150)
    assert (audit.flips_to_first.n, audit.flips_to_first.estimate) == (18, pytest.approx(16 / 18))
    assert audit.position_p == pytest.approx(0.00131, abs=5e-6)
    assert audit.consistent.estimate == pytest.approx(0.630, abs=5e-4)
    assert audit.flips.estimate == pytest.approx(18 / 73)
    kept = [game for game in games if "error" not in (game["g1_winner"], game["g2_winner"])]
    first, second = (np.array([VALUE[game[name]] for game in kept], dtype=float) for name in ("g2_winner", "g1_winner"))
    # Shown first phi-3-dpo wins 63.0%, shown second 39.0%: the first shown is preferred in (63.0 + 61.0) / 2 of them.
    assert first.mean() == pytest.approx(0.630, abs=5e-4)
    assert second.mean() == pytest.approx(0.390, abs=5e-4)
    careful = conservative_win_rate(first[:, None, None], second[:, None, None], np.arange(73), 0.95)
    assert careful.estimate == pytest.approx(0.5137, abs=5e-5)
    assert careful.high is not None
    assert (careful.high - careful.estimate) / 1.9935 == pytest.approx(0.0425, abs=5e-5)


@pytest.mark.data
def test_length_and_controls(audit: JudgeAudit, games: list[dict[str, Any]]) -> None:
    """The same numbers from the file by plain loops."""
    longer, pairs, same, verdicts, halves = 0.0, 0, 0, 0, []
    for game in games:
        own, other = map(len, texts(game))
        values = [VALUE[game["g1_winner"]], VALUE[game["g2_winner"]]]
        by_length = 0.5 if own == other else float(own > other)
        for value in values:
            if value is not None:
                verdicts += 1
                same += value == by_length
        if None in values:
            continue
        mean = sum(values) / 2  # type: ignore[arg-type]
        halves.append((mean - 0.5, by_length - 0.5))
        if own != other:
            pairs += 1
            longer += mean if own > other else 1 - mean
    assert (audit.longer_wins.n, audit.longer_wins.estimate) == (pairs, pytest.approx(longer / pairs))
    control = next(one for one in audit.controls if one.control == "longer_wins")
    assert (control.agreement.n, control.agreement.estimate) == (verdicts, pytest.approx(same / verdicts))
    y, c = np.array(halves).T
    slope = np.polyfit(c, y, 1)[0]
    assert control.explained.estimate == pytest.approx(slope * c.mean())
    assert control.excess.estimate == pytest.approx(0.5103 - 0.5, abs=1e-4)
    # A win rate that is not told from one half has no share to explain.
    assert control.share.estimate is None
    assert {one.control: one.status for one in audit.controls} == {
        "longer_wins": "ok", "word_overlap": "ok", "random": "ok", "first_wins": "constant control",
    }  # fmt: skip
    assert audit.length_slope.low is not None
    assert audit.length_slope.low > 0
