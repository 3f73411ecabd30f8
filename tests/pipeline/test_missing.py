"""What is missing where a stage has failed, read off the plan without running: who is left out, and what is told."""

from __future__ import annotations

import pyarrow as pa
import pytest

from bench.config.load import load_comparison
from bench.core.stage import Stage
from bench.engine.scheduler import Outcome
from bench.pipeline.missing import missing_cells, without_judges, without_missing
from bench.pipeline.plan import Plan, closure, make_plan
from bench.results.summary import Missing, RunSummary
from tests.whole import COMPARISON, write_whole

SECTIONS = """\
  ratings: [{judge: lexicon, path: ../../words.txt}, {judge: reward_model, of: best}]
  divergence: {from: base}
  gap_closed: [{of: dpo, from: base, to: dpo_lora}, {of: dpo, from: base, to: dpo_lora, metric: rating, judge: lexicon}]
gate:
"""
TEXT = (
    COMPARISON.replace("  dpo_lora:", "  best: {method: best_of_n, n: 4, start: *sft}\n  dpo_lora:")
    .replace("judges: [", "judges: [{judge: reward_model, of: best}, ")
    .replace("gate:\n", SECTIONS)
    .replace("max_new_tokens: 6", "max_new_tokens: 6, temperature: 0.7")
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make_plan(load_comparison(write_whole(tmp_path_factory.mktemp("missing"), TEXT)))


def after(plan: Plan, *failed: Stage) -> tuple[Missing, ...]:
    """Return what a run lacks in which those stages have failed, and all that rests on them was not tried."""
    blocked = {
        key: stage.key
        for stage in failed
        for key, other in plan.stages.items()
        if key != stage.key and stage.key in closure([other])
    }
    outcome = Outcome(failed={stage.key: f"{stage.KIND} is out" for stage in failed}, blocked=blocked)
    outcome.found |= plan.stages.keys() - outcome.failed.keys() - blocked.keys()
    return missing_cells(plan, outcome)


def stage_of(plan: Plan, name: str, arm: str, judge: str | None = None) -> Stage:
    """Return the stage of the first cell of a measurement about an arm, by a judge where one is named."""
    cells = (cell for cell in plan.of(name) if cell.arm == arm and judge in (None, cell.judge_label))
    found: Stage = next(cells).stage
    return found


def kept(plan: Plan, missing: tuple[Missing, ...]) -> set[str]:
    """Return the arms of which something is still concluded, beside the one that all are compared with."""
    return {a for a, _ in without_missing(plan.comparison, missing).evaluation.contrasts}


ARMS = {"base", "dpo", "dpo_again", "best", "dpo_lora"}


def test_a_run_that_lacks_nothing(plan: Plan) -> None:
    assert after(plan) == ()
    assert kept(plan, ()) == ARMS


def test_an_arm_that_did_not_answer_is_told_once(plan: Plan) -> None:
    (told,) = after(plan, stage_of(plan, "responses", "dpo"))
    assert told.named() == "responses (dpo, seed 0, task prompts)"
    assert (told.reason, told.leaves_out, told.judge) == ("generate is out", "arm", None)
    assert kept(plan, (told,)) == ARMS - {"dpo"}


def test_an_arm_that_was_not_trained_is_told_once_for_each_seed(plan: Plan) -> None:
    trained = [plan.stages_of_arm("dpo_lora", seed)[-1] for seed in (0, 1)]
    told = after(plan, *trained)
    assert [cell.named() for cell in told] == [f"responses (dpo_lora, seed {seed}, task prompts)" for seed in (0, 1)]
    assert {cell.reason for cell in told} == {"train/dpo is out"}
    assert kept(plan, told) == ARMS - {"dpo_lora"}


def test_two_measurements_that_fail_on_one_arm_are_both_told(plan: Plan) -> None:
    told = after(plan, stage_of(plan, "divergence", "dpo"), stage_of(plan, "scores", "dpo"))
    assert sorted(cell.named() for cell in told) == [
        "divergence (dpo, seed 0, task prompts)",
        "scores (dpo, seed 0, task prompts)",
    ]


def test_further_samples_that_fail_leave_the_responses_there(plan: Plan) -> None:
    # Answers are decoded greedily, so the divergence has samples of its own.
    (samples,) = (stage for stage in stage_of(plan, "divergence", "dpo").inputs() if stage.KIND == "generate")
    assert samples.key not in {cell.stage.key for cell in plan.of("responses")}
    (told,) = after(plan, samples)
    assert (told.named(), told.leaves_out) == ("divergence (dpo, seed 0, task prompts)", "arm")


@pytest.mark.parametrize(
    ("name", "metric", "other"), [("win_rate", "win_rate", "rating"), ("ratings", "rating", "win_rate")]
)
def test_a_judge_that_fails_is_left_out_where_it_judged(plan: Plan, name: str, metric: str, other: str) -> None:
    told = after(plan, stage_of(plan, name, "dpo", "lexicon"))
    assert [(cell.measurement, cell.leaves_out, cell.judge) for cell in told] == [(name, "judge", "lexicon")]
    assert kept(plan, told) == ARMS
    whole = without_missing(plan.comparison, told).evaluation
    judges = {"win_rate": whole.judges, "rating": whole.ratings}
    assert [named.label for named in judges[metric]] == ["reward_model"]
    assert {named.label for named in judges[other]} == {"reward_model", "lexicon"}
    assert {gap.metric for gap in whole.gap_closed} == (
        {"win_rate", "rating"} if metric == "win_rate" else {"win_rate"}
    )
    table = pa.table(
        {
            "metric": ["win_rate", "rating", "win_rate", "rating", "ended"],
            "source": ["lexicon", "lexicon", "reward_model", "reward_model", "task"],
        }
    )
    left = {(row["metric"], row["source"]) for row in without_judges(table, told).to_pylist()}
    assert left == {(row["metric"], row["source"]) for row in table.to_pylist()} - {(metric, "lexicon")}


def test_a_judges_own_model_that_fails_leaves_out_the_judge_and_no_other_arm(plan: Plan) -> None:
    (model,) = (stage for stage in plan.stages_of_arm("best", 0) if stage.KIND == "train/reward_model")
    told = after(plan, model)
    # The arm that learnt from the model cannot be had either; it is told once, and not by every judge of it.
    assert [cell.named() for cell in told if cell.leaves_out == "arm"] == ["responses (best, seed 0, task prompts)"]
    of_judge = [cell for cell in told if cell.leaves_out == "judge"]
    assert {(cell.judge, cell.measurement) for cell in of_judge} == {
        ("reward_model", "win_rate"),
        ("reward_model", "ratings"),
    }
    assert len(told) == 1 + len(of_judge)
    assert "best" not in {cell.arm for cell in of_judge}
    assert kept(plan, told) == ARMS - {"best"}
    whole = without_missing(plan.comparison, told).evaluation
    assert [named.label for named in (*whole.judges, *whole.ratings)] == ["lexicon", "lexicon"]


def summary(*missing: Missing) -> RunSummary:
    return RunSummary(
        name="x",
        question="",
        base="",
        data={},
        seeds=(0,),
        arms={},
        stages={},
        metrics={},
        versions={},
        missing=missing,
    )


def test_what_one_judge_lacks_for_one_reason_is_one_line(plan: Plan) -> None:
    every = [cell.stage for cell in plan.of("win_rate") if cell.judge_label == "lexicon"]
    assert summary(*after(plan, *every)).lacking() == [
        "verdicts of lexicon: judge is out (12 cells of win_rate: "
        "methods base, best, dpo, dpo_again, dpo_lora, sft; seeds 0, 1)"
    ]
    assert summary(*after(plan, every[0])).lacking() == [
        "win_rate (base vs sft, seed 0, task prompts, judge lexicon): judge is out"
    ]
    controls = summary(*after(plan, stage_of(plan, "judge_controls", "dpo")))
    assert controls.lacking() == ["judge_controls (dpo vs sft, seed 0, task prompts): controls is out"]


def test_a_run_of_an_earlier_version_is_read() -> None:
    fields = {"arm": "dpo", "run": 0, "task": "prompts", "reason": "it is out"}
    arm, judge = Missing.model_validate(fields), Missing.model_validate({**fields, "judge": "people"})
    assert (arm.leaves_out, arm.measurement, arm.named()) == ("arm", None, "dpo, seed 0, task prompts")
    assert (judge.leaves_out, judge.judge, judge.metrics) == ("judge", "people", ("win_rate",))
    assert summary(arm, judge).lacking() == [
        "dpo, seed 0, task prompts: it is out",
        "win_rate (dpo, seed 0, task prompts, judge people): it is out",
    ]
    assert summary(judge, judge).lacking() == [
        "verdicts of people: it is out (2 cells of win_rate: method dpo; seed 0)"
    ]
    again = Missing.model_validate(judge.model_dump())
    assert again == judge
