"""What every judge must do, for every file in bench/evaluation/judges/: the folder is the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench.core.data import Data
from bench.core.frozen import decode, digest, digest_of_file, encode
from bench.core.judge import Judge, Pair, Response
from bench.core.plugins import JUDGE, listing
from bench.core.policy import Decoding
from bench.core.stage import Stage
from bench.core.task import Prompt, Task
from bench.evaluation.generate import Generate
from bench.evaluation.measurements.judge_retest import AskAgain
from bench.evaluation.measurements.label_agreement import LabelPairs
from bench.evaluation.measurements.ratings import RateResponses
from bench.evaluation.measurements.win_rate import JudgePairs
from bench.models.hf import HFPolicy
from methods._train.feedback.label_pairs import LabelPreferences
from tests.evaluation.judges.scripted import LABELLER, Scripted, install, io_in, pair, response

__all__ = ["install"]  # a fixture
ELSEWHERE = {"reward_model"}  # needs a trained model: tests/methods/_train/rewards/test_reward_model.py
BLIND = {"first_wins", "random"}  # read no word: tests/evaluation/measurements/test_judge_controls.py
# Answer from elsewhere: tests/evaluation/api/test_faults.py, test_human.py, test_rated_elsewhere.py.
OUTSIDE = {"api", "human", "implicit_reward"}


class Short(Task):
    """The shorter, the better."""

    NAME: ClassVar[str] = "short"
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        return ()

    def decoding(self) -> Decoding:
        return Decoding()

    def gold(self, prompt: Prompt, response: str) -> float:
        return -float(len(response))


def examples(folder: Path) -> dict[str, dict[str, Any]]:
    """The least fields of every judge."""
    words = folder / "lexicon.txt"
    words.write_text("good\t1.9\t0.5\t[1]\nbad\t-2.5\t0.6\t[1]\n", encoding="utf-8")
    return {
        "gold": {},
        "longer_wins": {},
        "first_wins": {},
        "random": {},
        "word_overlap": {},
        "lexicon": {"path": str(words), "digest": digest_of_file(words)},
        "length_biased": {},
        "likelihood": {"policy": LABELLER, "prompt": "brief"},
        "api": {"model": "stub", "base_url": "http://127.0.0.1/v1", "prompt": "brief"},
        "human": {},
        "implicit_reward": {"policy": LABELLER, "reference": LABELLER.model_copy(update={"revision": "before"})},
    }


# What each judge prefers to what, to one prompt.
ANSWERS = {
    "gold": ("good", "bad bad"),
    "lexicon": ("good", "bad bad"),
    "likelihood": ("good", "bad bad"),
    "longer_wins": ("bad bad", "good"),
    "word_overlap": ("ask", "bad bad"),
    "length_biased": ("good", "bad bad"),
}


def judges(folder: Path) -> dict[str, Judge]:
    found = listing(JUDGE)
    return {name: found[name].cls.model_validate(fields) for name, fields in examples(folder).items()}


def test_every_judge_has_an_example(tmp_path: Path) -> None:
    found = judges(tmp_path)
    assert set(found) == set(listing(JUDGE)) - ELSEWHERE
    assert len(found) == 11


def test_judges_survive_json_and_differ_in_key(tmp_path: Path) -> None:
    found = judges(tmp_path)
    for judge in found.values():
        assert decode(encode(judge)) == judge
        assert digest(decode(encode(judge))) == digest(judge)
    assert len({digest(judge) for judge in found.values()}) == len(found)
    assert "judge" in JudgePairs.model_fields


@pytest.mark.parametrize(
    ("name", "accelerator"),
    [
        ("gold", False),
        ("lexicon", False),
        ("likelihood", True),
        ("longer_wins", False),
        ("first_wins", False),
        ("random", False),
        ("word_overlap", False),
        ("api", False),
        ("human", False),
        ("length_biased", False),
        ("implicit_reward", True),
    ],
)
def test_judging_asks_for_what_the_judge_needs(tmp_path: Path, name: str, accelerator: bool) -> None:
    judge = judges(tmp_path)[name]
    answers = Generate(policy=LABELLER, task=Short(), draws=1, seed=0)
    rows = Data(path="rows.jsonl", digest="0" * 64)
    stages: list[Stage] = [
        JudgePairs(a=answers, b=answers, judge=judge, orders="both"),
        AskAgain(a=answers, b=answers, judge=judge, orders="both", prompts=5),
        RateResponses(responses=answers, judge=judge),
        LabelPairs(data=rows, judge=judge),
        LabelPreferences(pairs=rows, judge=judge),
    ]
    assert [stage.resources().accelerator for stage in stages] == [accelerator] * len(stages)


def test_no_judge_escapes_the_questions(tmp_path: Path) -> None:
    assert {*ANSWERS, *BLIND, *OUTSIDE} == set(judges(tmp_path))


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_judge_answers_every_question_in_order(
    tmp_path: Path, install: Callable[[HFPolicy], HFPolicy], name: str
) -> None:
    better, worse = ANSWERS[name]
    install(Scripted(lambda before, answer: 0.9 if ("1: good" in before) == (answer.strip() == "1") else 0.1))
    judge, task, io = judges(tmp_path)[name], Short(), io_in(tmp_path)
    pairs: list[Pair] = [pair(better, worse), pair(worse, better, "p2"), pair(better, better, "p3")]
    verdicts = judge.compare(task, pairs, io)
    assert len(verdicts) == 3
    values = [one.value for one in verdicts]
    assert all(value is not None and 0 <= value <= 1 for value in values)
    assert values[0] == pytest.approx(1 - values[1])
    assert values[0] > 0.5
    again = judge.compare(task, pairs[1:], io)
    assert [one.value for one in again] == pytest.approx(values[1:])
    responses: list[Response] = [response(better), response(worse, "p2")]
    ratings = judge.rate(task, responses, io)
    assert len(ratings) == 2
    assert all(one.value is not None for one in ratings)
