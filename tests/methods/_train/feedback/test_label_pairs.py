"""Pairs that a policy samples, labels that a judge gives them. Figures of METHODS 3(e), 9(e) and 17."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench.core.data import Data, Made
from bench.core.datasets import Reply, read_preferences, read_prompts
from bench.core.errors import BenchError, StageError
from bench.core.judge import Judge
from bench.core.policy import Decoding
from bench.core.stage import StageIO
from bench.evaluation.judges.likelihood import Likelihood
from methods._train.feedback.label_pairs import Label, LabelPreferences, SamplePairs, diagnostics, preferred
from methods._train.loop.resumable import in_parts
from tests.methods.learners import Words, labeller
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, pretrained

DECODING = Decoding(temperature=1.0, max_new_tokens=6)


@pytest.fixture
def pairs(tmp_path: Path) -> Data:
    return data(tmp_path / "preferences.jsonl", PREFERENCES)


def labelled(bench: Bench, pairs: Data | Made, judge: Judge) -> tuple[list[Any], list[Any], dict[str, Any]]:
    stage = LabelPreferences(pairs=pairs, judge=judge)
    out = bench.payload(stage)
    rows = read_preferences(Made(by=stage), bench.io("reader"))
    said = [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]
    return rows, said, json.loads((out / "diagnostics.json").read_text())


def test_the_label_is_the_mean_over_both_orders() -> None:
    assert Label(0.9, 0.6).probability == pytest.approx(0.65)
    for forward, backward in ((0.9, 0.6), (0.2, 0.1), (1.0, 1.0), (0.0, 0.3)):
        one, turned = Label(forward, backward).probability, Label(backward, forward).probability
        assert one is not None
        assert turned is not None
        assert one + turned == pytest.approx(1.0, abs=1e-6)
    assert Label(0.9, None).probability is None
    assert {Label(value, value).probability for value in (0.1, 0.55, 0.95, 1.0)} == {0.5}


def test_the_soft_label_has_its_optimum_where_the_catalogue_says() -> None:
    p = Label(0.9, 0.6).probability
    assert p is not None
    gap = math.log(p / (1 - p))
    assert gap == pytest.approx(0.619039, abs=1e-6)
    sigmoid = 1 / (1 + math.exp(-gap))
    assert -p * math.log(sigmoid) - (1 - p) * math.log(1 - sigmoid) == pytest.approx(0.647447, abs=1e-6)


def test_a_flip_has_a_direction() -> None:
    assert Label(0.9, 0.8).flipped_to == "first"
    assert Label(0.1, 0.2).flipped_to == "second"
    assert Label(0.9, 0.2).flipped_to is None
    assert Label(0.9, 0.5).flipped_to is None
    found = diagnostics(
        [Label(0.9, 0.8), Label(0.9, 0.8), Label(0.1, 0.2), Label(0.9, 0.1), Label(None, 0.1)], [1.0] * 5
    )
    assert (found["pairs"], found["labelled"], found["undefined"]) == (5, 4, 1)
    assert found["flip_rate"] == pytest.approx(0.75)
    assert found["flips_to_first"] == pytest.approx(2 / 3)
    assert found["prefers_first"] == pytest.approx((0.9 + 0.8 + 0.9 + 0.8 + 0.1 + 0.2 + 0.9 + 0.1) / 8)
    assert found["confidence"] == pytest.approx((0.55 + 0.55 + 0.55 + 0.9) / 4)
    assert found["agreement"] == pytest.approx(3 / 4)  # P(a over b) = .55, .55, .45, .9


def test_a_tie_counts_half_and_pairs_without_a_label_not_at_all() -> None:
    found = diagnostics([Label(1.0, 1.0), Label(1.0, 0.0), Label(0.0, 1.0)], [1.0, 1.0, 0.5])
    assert (found["ties"], found["compared"], found["agreement"]) == (1, 2, 0.75)
    assert diagnostics([Label(1.0, 0.0)], [0.5])["agreement"] is None
    assert diagnostics([Label(1.0, 0.0)], [0.5])["flips_to_first"] is None


def test_a_tie_is_called_by_a_rule_that_reads_no_label() -> None:
    x, y = Reply("x"), Reply("y", ended=False)
    assert preferred(x, y, 0.5) == preferred(y, x, 0.5)
    called = [preferred(Reply(f"a{number}"), Reply(f"b{number}"), 0.5)["chosen"][0] for number in range(40)]
    assert 10 < called.count("a") < 30
    finishes = {"chosen_finish": "length", "rejected_finish": "end"}
    assert preferred(x, y, 0.3) == {"chosen": "y", "rejected": "x", **finishes, "probability": 0.7}


def test_a_judge_labels_the_given_pairs_and_their_labels_only_measure_it(pairs: Data, bench: Bench) -> None:
    rows, said, found = labelled(bench, pairs, Words(sure=0.9, first=0.05))
    lengths = [(len(row["chosen"]), len(row["rejected"])) for row in PREFERENCES]
    assert [row.chosen for row in rows] == [
        row["chosen"] if len(row["chosen"]) <= len(row["rejected"]) else row["rejected"] for row in PREFERENCES
    ]
    assert all(a != b for a, b in lengths)
    assert [row.probability for row in rows] == pytest.approx([0.9] * 8)
    assert found["agreement"] == sum(a < b for a, b in lengths) / 8
    assert len(said) == 8
    assert said[0]["forward"] in (pytest.approx(0.95), pytest.approx(0.15))
    # Turned round, the same labels: what the data call chosen has no influence.
    turned = [{"prompt": row["prompt"], "chosen": row["rejected"], "rejected": row["chosen"]} for row in PREFERENCES]
    again, _, other = labelled(bench, data(Path(pairs.path).with_name("turned.jsonl"), turned), Words(first=0.05))
    assert [(row.chosen, row.rejected, pytest.approx(row.probability)) for row in rows] == [
        (row.chosen, row.rejected, row.probability) for row in again
    ]
    assert other["agreement"] == pytest.approx(1 - found["agreement"])


def test_a_judge_that_always_says_first_labels_one_half(pairs: Data, bench: Bench) -> None:
    rows, _, found = labelled(bench, pairs, Words(sure=0.5, first=0.5))
    assert {row.probability for row in rows} == {0.5}
    assert (found["flip_rate"], found["flips_to_first"], found["ties"]) == (1.0, 1.0, 8)
    assert found["agreement"] == 0.5


def test_what_has_no_verdict_is_counted_and_kept_in_sight(pairs: Data, bench: Bench) -> None:
    rows, said, found = labelled(bench, pairs, Words(mute="green"))
    assert (len(rows), found["undefined"], found["labelled"]) == (7, 1, 7)
    assert "ask two" not in [row.prompt[0].content for row in rows]
    silent = [row for row in said if row["forward"] is None]
    assert [(row["forward_status"], row["backward_text"]) for row in silent] == [("refused", "mute")]
    with pytest.raises(StageError, match=r"words gave no label for any pair: mute"):
        labelled(bench, pairs, Words(mute="."))


def test_a_policy_labels_with_the_letters_it_has(pairs: Data, bench: Bench, tmp_path: Path) -> None:
    policy = pretrained(tmp_path / "model")
    judge = Likelihood.model_validate(labeller(tmp_path, policy))
    rows, said, found = labelled(bench, pairs, judge)
    assert len(rows) == 8
    assert all(0.5 <= row.probability < 1 for row in rows)
    assert all(0 < row["forward"] < 1 for row in said)
    meter = bench.ios[LabelPreferences(pairs=pairs, judge=judge).key].meter
    assert (meter.labels, meter.judgements) == (8, 16)
    assert meter.read_tokens > 0
    reasoned = judge.model_copy(update={"rationale": "greedy", "max_rationale_tokens": 3, "confidence_limit": 0.6})
    rows, said, found = labelled(bench, pairs, reasoned)
    assert all(row["forward_text"] or row["forward"] is not None for row in said)
    assert max(row.probability for row in rows) <= 0.6
    assert found["confidence"] <= 0.6


def test_sampled_pairs_are_rows_that_nobody_has_labelled(bench: Bench, tmp_path: Path) -> None:
    rows = [*DEMONSTRATIONS, DEMONSTRATIONS[0], {"prompt": "with facts", "kind": "k", "facts": {"a": "b"}}]
    stage = SamplePairs(
        policy=pretrained(tmp_path / "model"), prompts=data(tmp_path / "p.jsonl", rows), decoding=DECODING, seed=0
    )
    out = bench.payload(stage)
    found = read_preferences(Made(by=stage), bench.io("reader"))
    counts = json.loads((out / "diagnostics.json").read_text())
    written = counts.pop("written")
    assert counts == {"prompts": 9, "pairs": len(found), "equal_responses": 9 - len(found)}
    assert (written["responses"], written["too_long"], written["left_out"]) == (18, 0, 0)
    assert {row.probability for row in found} == {0.5}
    assert all(row.chosen != row.rejected for row in found)
    last = read_prompts(Made(by=stage), bench.io("reader"))[-1]
    assert (last.kind, last.facts) == ("k", {"a": "b"})
    other = bench.payload(stage.model_copy(update={"seed": 1}))
    assert (other / "rows.jsonl").read_bytes() != (out / "rows.jsonl").read_bytes()
    # A prompt's responses do not depend on the others.
    alone = stage.model_copy(update={"prompts": data(tmp_path / "q.jsonl", rows[3:4])})
    alone_ids = data(tmp_path / "ids.jsonl", [{**row, "id": row["prompt"]} for row in rows])
    named = bench.payload(stage.model_copy(update={"prompts": alone_ids}))
    single = bench.payload(
        alone.model_copy(update={"prompts": data(tmp_path / "one.jsonl", [{**rows[3], "id": rows[3]["prompt"]}])})
    )
    assert (single / "rows.jsonl").read_text() in (named / "rows.jsonl").read_text()


@pytest.mark.parametrize("greedy", [{"temperature": 0.0}, {"top_k": 1}])
def test_greedy_pairs_are_refused_before_anything_runs(tmp_path: Path, greedy: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match="decoding is greedy.*temperature above 0"):
        SamplePairs(
            policy=pretrained(tmp_path / "model"),
            prompts=data(tmp_path / "p.jsonl", DEMONSTRATIONS),
            decoding=DECODING.model_copy(update=greedy),
            seed=0,
        )


def test_a_policy_that_always_says_the_same_is_refused(bench: Bench, tmp_path: Path) -> None:
    stage = SamplePairs(
        policy=pretrained(tmp_path / "model"),
        prompts=data(tmp_path / "p.jsonl", DEMONSTRATIONS),
        decoding=DECODING.model_copy(update={"top_p": 1e-6}),
        seed=0,
    )
    with pytest.raises(StageError, match="8 prompts twice in the same words"):
        bench.payload(stage)


def test_work_goes_on_behind_the_last_finished_part(bench: Bench) -> None:
    io = bench.io("parts")
    calls: list[list[int]] = []

    def work(part: Any, until: float = math.inf) -> list[dict[str, Any]]:
        if len(calls) >= until:
            raise KeyboardInterrupt
        calls.append(list(part))
        io.meter.judgements += len(part)
        return [{"square": number * number} for number in part]

    with pytest.raises(KeyboardInterrupt):
        in_parts(io, "work", range(7), 3, lambda part: work(part, until=2))
    again = StageIO(out=io.out, scratch=io.scratch, read_payload=io.read_payload)
    io.meter = again.meter
    rows = in_parts(again, "work", range(7), 3, work)
    assert [row["square"] for row in rows] == [number * number for number in range(7)]
    assert calls == [[0, 1, 2], [3, 4, 5], [6]]
    assert again.meter.judgements == 7


def test_labels_do_not_depend_on_an_interruption(pairs: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("methods._train.feedback.label_pairs.PAIRS_AT_ONCE", 3)
    policy = pretrained(tmp_path / "model")
    stage = LabelPreferences(pairs=pairs, judge=Likelihood.model_validate(labeller(tmp_path, policy)))
    whole = Bench(tmp_path / "whole").payload(stage)
    broken = Bench(tmp_path / "broken")
    compare, seen = Likelihood.compare, []

    def interrupted(self: Likelihood, task: Any, asked: Any, io: StageIO) -> Any:
        seen.append(len(asked))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return compare(self, task, asked, io)

    monkeypatch.setattr(Likelihood, "compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        broken.run(stage)
    again = broken.payload(stage)
    assert seen == [6, 6, 6, 4]
    for name in ("rows.jsonl", "labels.jsonl", "diagnostics.json"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
