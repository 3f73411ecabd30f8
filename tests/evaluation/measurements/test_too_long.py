"""A prompt that is too long for a policy: a row with a status in every measurement, and no judge is asked."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from bench.core.frozen import digest_of_file
from bench.core.policy import Instructed
from bench.evaluation.generate import Generate, stored_rows
from bench.evaluation.judges.longer_wins import LongerWins
from bench.evaluation.judges.word_overlap import WordOverlap
from bench.evaluation.measurements.divergence import DIVERGENCES, Divergence
from bench.evaluation.measurements.judge_controls import CompareByControls
from bench.evaluation.measurements.scores import SCORES, ScoreResponses
from bench.evaluation.measurements.win_rate import PAYLOAD, JudgePairs
from tasks.prompts import Prompts
from tests.methods.tiny import Bench, data, pretrained


def test_a_too_long_prompt_is_a_row_with_a_status(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    base = pretrained(tmp_path / "model")
    path = tmp_path / "prompts.jsonl"
    data(path, [{"id": "a", "prompt": "ask one"}, {"id": "b", "prompt": "say " * 28}, {"id": "c", "prompt": "x" * 97}])
    task = Prompts(path=str(path), digest=digest_of_file(path), max_new_tokens=24)
    # One that reads an instruction has less room: `c` is too long for it alone.
    plain, asked = (
        Generate(policy=policy, task=task, draws=2, seed=0)
        for policy in (base, Instructed(base=base, instruction="be brief"))
    )
    finishes = {row["prompt"]: row["finish"] for row in stored_rows(bench.payload(plain))}
    assert finishes["b"] == "no_room"
    assert "no_room" not in (finishes["a"], finishes["c"])
    scores = pq.read_table(bench.payload(ScoreResponses(responses=plain)) / SCORES).to_pylist()
    assert {row["prompt"] for row in scores if row["status"] == "too_long"} == {"b"}
    assert all((row["value"] is None) == (row["status"] != "ok") for row in scores)
    verdicts = pq.read_table(
        bench.payload(JudgePairs(a=plain, b=asked, judge=LongerWins(), orders="both")) / PAYLOAD
    ).to_pylist()
    assert [row["prompt"] for row in verdicts if row["status"] == "too_long"] == ["b"] * 4 + ["c"] * 4
    assert bench.ios[JudgePairs(a=plain, b=asked, judge=LongerWins(), orders="both").key].meter.judgements == 4
    controls = CompareByControls(a=plain, b=asked, orders="both", controls=(LongerWins(), WordOverlap()))
    rows = pq.read_table(bench.payload(controls) / PAYLOAD).to_pylist()
    assert {row["prompt"] for row in rows if row["status"] == "ok"} == {"a"}
    divergences = pq.read_table(bench.payload(Divergence(responses=asked, reference=base)) / DIVERGENCES).to_pylist()
    assert {row["prompt"]: row["status"] for row in divergences} == {"a": "ok", "b": "too_long", "c": "too_long"}
