"""Which judges taught which arms, and which divergences have a bound, read off the plan without running it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.judge import Judge, reseeded
from bench.core.policy import BestOf
from bench.core.reward import Chooser, JudgeReward
from bench.evaluation.judges.gold import Gold
from bench.evaluation.measurement import judges_in
from bench.pipeline.plan import Plan, make_plan
from tests.evaluation.measurements.test_ratings import Length
from tests.whole import COMPARISON, write_whole

LEXICON = "{judge: lexicon, path: ../../words.txt}"
ARMS = f"""\
  best: {{method: best_of_n, n: 4, start: *sft}}
  best_again: {{method: best_of_n, n: 4, start: *sft, replicate: second}}
  liked: {{method: best_of_n, n: 16, start: *sft, reward: {LEXICON}}}
  mixed: {{method: best_of_n, n: 16, reward: [model, {{reward: {LEXICON}, weight: 2}}]}}
  dpo_lora:"""
SECTIONS = """\
  ratings: [{judge: reward_model, of: best}, {judge: lexicon, path: ../../words.txt, tie_below: 0.5, name: other}]
  divergence: {from: sft}
gate:
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    text = COMPARISON.replace("  dpo_lora:", ARMS).replace("gate:\n", SECTIONS)
    return make_plan(load_comparison(write_whole(tmp_path, text)))


def test_a_judge_taught_those_who_rest_on_it(plan: Plan) -> None:
    # `best_again` has a reward model of its own, trained with other noise; `other` is another judge than its twin.
    assert plan.own_rewards() == {"lexicon": ("liked", "mixed"), "reward_model": ("best",)}


def test_a_teacher_is_found_under_a_name_that_another_judge_has_too(tmp_path: Path) -> None:
    sections = SECTIONS.replace(", name: other", "")
    text = COMPARISON.replace("  dpo_lora:", ARMS).replace("gate:\n", sections)
    plan = make_plan(load_comparison(write_whole(tmp_path, text)))
    assert {cell.judge.label for cell in plan.of("ratings")} == {"reward_model", "lexicon"}
    assert plan.own_rewards()["lexicon"] == ("liked", "mixed")


def test_the_reward_model_is_that_of_the_same_run(plan: Plan) -> None:
    judges = {
        (cell.seed, cell.judge.judge.model_dump_json())
        for cell in plan.of("ratings")
        if cell.judge.label == "reward_model"
    }
    assert len(judges) == 2


def test_a_bound_is_known_where_the_reference_writes_what_is_chosen_from(plan: Plan) -> None:
    bounds = plan.bounds()
    assert set(bounds) == {"best", "liked"}  # `mixed` chooses from another supervised start
    assert bounds["best"] == pytest.approx(math.log(4) - 3 / 4)
    assert bounds["liked"] == pytest.approx(1.835089, abs=1e-6)


def test_judges_are_found_within_policies(plan: Plan) -> None:
    policy = plan.policies["liked", 0]
    assert isinstance(policy, BestOf)
    assert [judge.NAME for judge in judges_in(policy)] == ["lexicon"]
    chooser = Chooser(reward=JudgeReward(judge=Gold()))
    assert [judge.NAME for judge in judges_in(policy.model_copy(update={"chooser": chooser}))] == ["gold"]


class Unread(Length):
    """Has a seed, and refuses any but the first: it draws no noise."""

    def model_post_init(self, _context: object) -> None:
        if self.seed:
            raise ValueError("seed is not read")


@pytest.mark.parametrize(("judge", "again"), [(Length(seed=3), Length(seed=4)), (Unread(), None), (Gold(), None)])
def test_a_judge_is_asked_again_where_it_draws_noise(judge: Judge, again: Judge | None) -> None:
    assert reseeded(judge) == again
