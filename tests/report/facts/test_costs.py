from bench.report.facts.costs import cost_by_kind, cost_text, evaluation_costs, mean_cost, seconds_per_token
from bench.results.summary import RunSummary, StageFacts
from tests.report.summaries import with_stages


def spent(kind: str, **cost: float) -> StageFacts:
    return StageFacts(kind=kind, cost=cost, provenance={})


def run() -> RunSummary:
    stages = {
        "base": spent("base", flops=10.0),
        "sft0": spent("train/sft", flops=1.0, seconds=2.0),
        "sft1": spent("train/sft", flops=3.0, seconds=4.0),
        "judge0": spent("judge", flops=5.0),
        "judge1": spent("judge", flops=7.0, judgements=8.0),
    }
    return with_stages({"0": ("base", "sft0"), "1": ("base", "sft1")}, stages)


def test_a_shared_stage_counts_in_full_at_every_seed() -> None:
    assert mean_cost(run(), "arm", "flops") == 12.0
    assert cost_by_kind(run(), "arm", "flops") == {"base": 10.0, "train/sft": 2.0}
    assert cost_by_kind(run(), "arm", "seconds") == {"train/sft": 3.0}


def test_the_evaluation_is_what_no_policy_rests_on() -> None:
    assert evaluation_costs(run()) == {"judge": {"flops": 12.0, "judgements": 8.0}}


def test_without_answers_there_is_no_speed_and_without_runs_no_cost() -> None:
    assert seconds_per_token(run(), "arm") is None
    assert mean_cost(with_stages({}, {}), "arm", "flops") is None


def test_seconds_are_written_as_a_time() -> None:
    assert (cost_text("seconds", 90.0), cost_text("flops", 4.12e12)) == ("1 min 30 s", "4.12 T")
