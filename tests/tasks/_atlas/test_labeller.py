"""The labellers: graded documents are true, even-handed and laid out as labellers are asked; teaching teaches."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bench.core.files import digest_of_folder
from bench.core.frozen import decode, encode
from bench.core.policy import Built
from bench.core.task import user
from bench.models.chat import opened_ids
from methods._train.settings import Optimisation
from tasks._atlas.fields import Shape
from tasks._atlas.gold import gold_utility
from tasks._atlas.grading import GRADES, JUDGE_TOKENS, GradedPiece, compared, grade_of, graded, single
from tasks._atlas.knowledge import held_out_words
from tasks._atlas.questions import pool
from tasks._atlas.stages import PretrainAtlas, TeachLabeller
from tasks._atlas.tokenizer import build_tokenizer, vocabulary
from tasks.atlas import LABELLERS, Atlas
from tests.methods.tiny import Bench, log

PROMPTS = Path(__file__).resolve().parents[3] / "bench" / "evaluation" / "judges" / "prompts" / "atlas.yaml"
FAST = Optimisation(lr=8e-3, schedule="linear", epochs=1, batch_size=2, betas=(0.9, 0.98))
TINY = PretrainAtlas(world_seed=7, shape=Shape(width=32, layers=1, heads=2, inner=64), steps=30, optimisation=FAST)
TAUGHT = TeachLabeller(world_seed=7, base=Built(by=TINY), steps=60, optimisation=FAST)
GOOD, POOR = "This person plays the harp. Have a nice day.", "You are wasting my time."


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(7, JUDGE_TOKENS)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("labeller"))


def asked(kind: str, rationale: str | None, **places: str) -> tuple[str, str]:
    """Return the user's turn and the opening of the labeller's, as a prompt file describes them."""
    form = yaml.safe_load(PROMPTS.read_text(encoding="utf-8"))[kind]
    blocks = [form["sample"].format(**places), *([form["rationale"]] if rationale else [])]
    opening = form["ending"] if rationale is None else form["separator"].join([rationale, form["ending"]])
    return form["separator"].join(blocks), opening


def text_of(document: list[GradedPiece]) -> str:
    return "".join(part.text for part in document)


@pytest.mark.parametrize("reasoned", [False, True])
def test_comparisons_are_laid_out_as_the_prompt_file_asks(tokenizer: Any, reasoned: bool) -> None:
    question = pool(7, "train")["fact"][0]
    document = compared(question, GOOD, POOR, reasoned=reasoned)
    grades = [grade_of(gold_utility(question.prompt(), response)).strip() for response in (GOOD, POOR)]
    rationale = f"First {grades[0]}. Second {grades[1]}." if reasoned else None
    chat, opening = asked("compare", rationale, prompt=question.text, first=GOOD, second=POOR)
    ids = tokenizer(text_of(document), add_special_tokens=False)["input_ids"]
    assert ids == opened_ids(tokenizer, user(chat), "{prompt}", opening)
    assert document[-1].expected == " 1"
    assert compared(question, POOR, GOOD, reasoned=reasoned)[-1].expected == " 2"
    assert compared(question, GOOD, GOOD, reasoned=reasoned)[-1].expected is None


def test_ratings_are_laid_out_as_the_prompt_file_asks(tokenizer: Any) -> None:
    question = pool(7, "train")["biography"][0]
    document = single(question, GOOD)
    chat, opening = asked("rate", None, prompt=question.text, response=GOOD)
    ids = tokenizer(text_of(document), add_special_tokens=False)["input_ids"]
    assert ids == opened_ids(tokenizer, user(chat), "{prompt}", opening)
    assert document[-1].expected == grade_of(gold_utility(question.prompt(), GOOD))
    answers = yaml.safe_load(PROMPTS.read_text(encoding="utf-8"))["rate"]["answers"]
    assert tuple(f" {answer}" for answer in answers) == GRADES


def test_a_grade_follows_every_sentence_and_knows_only_what_stands_before_it() -> None:
    question = pool(7, "train")["benign"][0]
    response = "First, look at it closely. Then, use both hands. You are wasting my time."
    found = [part for part in single(question, response) if part.expected is not None]
    values = [0.4, 0.8, 0.1]
    assert [part.expected for part in found] == [grade_of(value) for value in [*values, 0.1, 0.1]]


def test_grades_rise_with_utility_and_end_at_one_and_ten() -> None:
    grades = [int(grade_of(value / 20)) for value in range(-100, 101)]
    assert grades == sorted(grades)
    assert (grades[0], grades[-1], set(grades)) == (1, 10, set(range(1, 11)))


def test_documents_can_be_read_and_name_no_held_out_entity(tokenizer: Any) -> None:
    held = held_out_words(7)
    expected: Counter[str | None] = Counter()
    for document in itertools.islice(graded(7, 0), 1500):
        text = text_of(document)
        assert not held & set(re.findall(r"\w+", text))
        whole = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.unk_token_id not in whole
        assert whole == [
            number for part in document for number in tokenizer(part.text, add_special_tokens=False)["input_ids"]
        ]
        if document[-1].text.endswith("Better"):
            expected[document[-1].expected] += 1
    assert abs(expected[" 1"] - expected[" 2"]) < 0.15 * expected.total()
    assert expected[None] < 0.2 * expected.total()


def test_new_tokens_stand_behind_those_of_the_world(tokenizer: Any) -> None:
    assert not set(JUDGE_TOKENS) & set(vocabulary(7))
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == [*vocabulary(7), *JUDGE_TOKENS]


def test_teaching_lowers_the_loss_and_repeats_to_the_byte(bench: Bench, tmp_path: Path) -> None:
    first = bench.payload(TAUGHT)
    losses = [row["loss"] for row in log(first)]
    assert len(losses) == 60
    assert sum(losses[-5:]) / 5 < 0.8 * sum(losses[:5]) / 5
    assert digest_of_folder(first / "policy") == digest_of_folder(Bench(tmp_path).payload(TAUGHT) / "policy")


def test_padding_and_neighbours_change_no_expectation(bench: Bench, tokenizer: Any) -> None:
    from bench.models.load import load_policy
    from tasks._atlas.labelling import expectation_loss, row_of, training_texts

    model = load_policy(Built(by=TAUGHT), bench.io("read")).model
    several = list(itertools.islice(training_texts(TAUGHT, tokenizer), 3))
    tokens = [len(one.ids) for one in several]
    with torch.no_grad():
        alone = [expectation_loss(model, [row_of([one], len(one.ids))]) for one in several]
        together = expectation_loss(model, [row_of(several, sum(tokens) + 20)])
    assert float(together.total) == pytest.approx(sum(float(one.total) for one in alone), rel=1e-5)
    assert together.weight == pytest.approx(sum(one.weight for one in alone))


def test_rows_hold_whole_documents_and_leave_out_those_that_are_too_long() -> None:
    from tasks._atlas.labelling import TrainingText, packed

    stream = (TrainingText([number] * number, [-100] * number, [1.0] * number) for number in (3, 4, 99, 2, 5, 5))
    rows = [row.ids.tolist() for row in packed(stream, 10)]
    assert rows == [[3, 3, 3, 4, 4, 4, 4, 2, 2, 0]]


def test_labellers_are_sizes_of_the_world() -> None:
    world = Atlas()
    for size, schooling in LABELLERS.items():
        spec = world.policy(size)
        assert isinstance(spec, Built)
        stage = spec.by
        assert isinstance(stage, TeachLabeller)
        assert stage.base == world.policy(schooling.base)
        assert decode(encode(stage)).key == stage.key
