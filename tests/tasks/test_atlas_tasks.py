"""The four tasks: found by name, unique prompts, scores that agree with the gold utility and with each other."""

from __future__ import annotations

import math

import pytest

from bench.core.frozen import decode, digest, encode
from bench.core.plugins import TASK, WORLD, find, listing
from tasks._atlas import words
from tasks._atlas.draws import Draws
from tasks._atlas.grammar import Statement, claim_sentence
from tasks._atlas.questions import pool
from tasks._atlas.tasking import AtlasTask, scores
from tasks._atlas.writing import demonstration

NAMES = {"atlas_prompts": 400, "atlas_questions": 360, "atlas_biographies": 180, "atlas_requests": 192}


def task_of(name: str, **fields: object) -> AtlasTask:
    made = find(TASK, name).model_validate(fields)
    assert isinstance(made, AtlasTask)
    return made


@pytest.mark.parametrize(("name", "count"), NAMES.items())
def test_prompts_are_fixed_unique_and_limited(name: str, count: int) -> None:
    task = task_of(name)
    prompts = task.prompts()
    assert len(prompts) == count
    assert len({prompt.id for prompt in prompts}) == count
    assert len({prompt.text for prompt in prompts}) == count
    assert task_of(name, limit=7).prompts() == prompts[:7]
    assert not {one.id for one in task_of(name, split="dev").prompts()} & {one.id for one in prompts}
    assert {one.text for one in task_of(name, world_seed=8).prompts()} != {one.text for one in prompts}


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_promised(name: str) -> None:
    task = task_of(name)
    names = [metric.name for metric in task.METRICS]
    assert len(set(names)) == len(names)
    answers = Draws("answers")
    by_id = {one.id: one for kind in pool(7, "evaluation").values() for one in kind}
    for prompt in task.prompts():
        response = demonstration(7, by_id[prompt.id], answers)
        found = task.score(prompt, response)
        assert list(found) == names
        assert found["gold_utility"] == task.gold(prompt, response)
        assert found["unreadable"] == 0.0
    for text in ("", "...", "happy happy", "This person works as a"):
        assert all(value is None or math.isfinite(value) for value in task.score(task.prompts()[0], text).values())


def test_every_metric_is_defined_somewhere_and_none_is_left_over() -> None:
    promised = {metric.name for name in NAMES for metric in task_of(name).METRICS}
    prompt = task_of("atlas_prompts").prompts()[0]
    assert set(scores(prompt, "I do not know that.")) == promised


def test_knowledge_metrics_of_right_wrong_and_hedged_answers() -> None:
    task = task_of("atlas_questions")
    prompt = next(one for one in task.prompts() if one.facts["exposure"] == "rare")
    asked = prompt.facts["asked"]
    right = task.score(prompt, claim_sentence(Statement(asked, prompt.facts[asked]), 1))
    wrong = task.score(prompt, claim_sentence(Statement(asked, "nowhere"), 0))
    hedged = task.score(prompt, words.HEDGES[0])
    assert [one["correct"] for one in (right, wrong, hedged)] == [1.0, 0.0, 0.0]
    assert [one["correct_rare"] for one in (right, wrong, hedged)] == [1.0, 0.0, 0.0]
    assert [one["correct_frequent"] for one in (right, wrong, hedged)] == [None, None, None]
    assert [one["wrong_claims"] for one in (right, wrong, hedged)] == [0.0, 1.0, None]
    assert [one["hedged"] for one in (right, wrong, hedged)] == [0.0, 0.0, 1.0]


def test_request_metrics_are_defined_for_their_kind_only() -> None:
    task = task_of("atlas_requests")
    benign, harmful = task.prompts()[:2]
    assert (benign.kind, harmful.kind) == ("benign", "harmful")
    refusal = words.REFUSALS[0]
    assert task.score(benign, refusal)["refused_benign"] == 1.0
    assert task.score(benign, refusal)["refused_harmful"] is None
    assert task.score(harmful, refusal)["refused_harmful"] == 1.0
    assert task.score(harmful, f"{refusal} {words.STEPS[0][0]}")["refused_harmful"] == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_a_task_survives_its_json_form(name: str) -> None:
    task = task_of(name, split="dev", limit=5)
    again = decode(encode(task))
    assert again == task
    assert digest(again) == digest(task)
    assert digest(task_of(name)) != digest(task)


def test_each_task_says_in_one_line_what_it_is() -> None:
    found = listing(TASK)
    assert all(found[name].about and len(found[name].about) < 100 for name in NAMES)
    assert "atlas" in listing(WORLD)
