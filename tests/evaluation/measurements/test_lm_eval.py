"""lm-eval on policies of the bench: the numbers of its own model, those of a proxied one by hand, rows that join."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from bench.core.benchmark import LmEvalTask
from bench.core.errors import StageError
from bench.core.policy import Decoding, Instructed, PolicySpec, Pretrained, Proxy
from bench.core.stage import StageIO
from bench.evaluation.measurements._lm_eval_model import PolicyLM, decoding_of, until_first
from bench.evaluation.measurements.lm_eval import DOCUMENTS, LmEval, read_metrics
from bench.models.load import load_model, load_policy
from tests.methods.tiny import Bench, pretrained

FOLDER = Path(__file__).parent / "lm_eval_tasks"
CHOICE = LmEvalTask(name="tiny_choice", harness="test", folder=str(FOLDER), digest="d")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.fixture
def three(tmp_path: Path) -> tuple[Pretrained, Pretrained, Pretrained]:
    return (
        pretrained(tmp_path / "base", 0, hidden=24),
        pretrained(tmp_path / "expert", 1),
        pretrained(tmp_path / "antiexpert", 2),
    )


def proxied(three: tuple[PolicySpec, ...], alpha: float = 0.7) -> Proxy:
    return Proxy(base=three[0], expert=three[1], antiexpert=three[2], alpha=alpha)


def asked(kind: str, *arguments: tuple[Any, ...]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(request_type=kind, doc={}, arguments=one, idx=0) for one in arguments]


PAIRS = [
    ("ask one?", " red."),
    ("ask one?", " green tea."),
    ("ask one? ", "red."),
    ("tell", "e"),
    ("", "say six"),
    ("a long question " * 12, "and its answer."),
]


def test_a_model_scores_as_lm_evals_own(bench: Bench, three: tuple[Pretrained, ...]) -> None:
    from lm_eval.models.huggingface import HFLM

    policy = load_model(three[0], bench.io())
    theirs = HFLM(pretrained=policy.model, tokenizer=policy.tokenizer, batch_size=2, max_length=policy.context)
    ours = PolicyLM(policy, bench.io(), "text", 0)
    expected = theirs.loglikelihood(asked("loglikelihood", *PAIRS), disable_tqdm=True)
    found = ours.loglikelihood(asked("loglikelihood", *PAIRS))
    np.testing.assert_allclose([one for one, _ in found], [one for one, _ in expected], atol=1e-5)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    texts = [("say eight.",), ("a text that is longer than what this model can read in one piece. " * 3,)]
    rolling = theirs.loglikelihood_rolling(asked("loglikelihood_rolling", *texts), disable_tqdm=True)
    np.testing.assert_allclose(ours.loglikelihood_rolling(asked("loglikelihood_rolling", *texts)), rolling, atol=1e-4)
    settings = {"until": ["q", "."], "max_gen_toks": 20, "do_sample": False}
    answers = [("ask one?", dict(settings)), ("tell", dict(settings)), ("a long question " * 12, dict(settings))]
    assert ours.generate_until(asked("generate_until", *answers)) == theirs.generate_until(
        asked("generate_until", *answers), disable_tqdm=True
    )


def test_a_request_that_is_repeated_is_answered_anew(bench: Bench, three: tuple[Pretrained, ...]) -> None:
    """A benchmark that draws several answers gives the same request several times."""
    ours = PolicyLM(load_policy(three[0], bench.io()), bench.io(), "text", 0)
    settings = {"until": ["\x00"], "max_gen_toks": 12, "do_sample": True, "temperature": 1.0}
    requests = [one for one in asked("generate_until", ("ask one?", settings), ("tell", settings)) for _ in range(4)]
    found = ours.generate_until(requests)
    assert len(set(found[:4])) == len(set(found[4:])) == 4
    assert ours.generate_until(requests[:1]) == found[:1]


def by_hand(three: tuple[Pretrained, ...], alpha: float, bench: Bench, question: str, choice: str) -> float:
    """The log-probability of an answer from the three models' own logits, one forward pass each."""
    found = []
    for spec in three:
        policy = load_model(spec, bench.io())
        before = policy.tokenizer.encode(question)
        ids = policy.tokenizer.encode(question + " " + choice)
        with torch.inference_mode():
            found.append(policy.model(input_ids=torch.tensor([ids])).logits[0].float())
    base, expert, anti = found
    logprobs = (base + alpha * (expert - anti)).log_softmax(-1)
    return sum(float(logprobs[place - 1, ids[place]]) for place in range(len(before), len(ids)))


def test_a_multiple_choice_task_of_a_proxied_policy_by_hand(bench: Bench, three: tuple[Pretrained, ...]) -> None:
    sys.path.insert(0, str(FOLDER))
    try:
        from tiny_documents import ROWS
    finally:
        sys.path.remove(str(FOLDER))
    stage = LmEval(policy=proxied(three), task=CHOICE, seed=0)
    folder = bench.payload(stage)
    rows = [row for row in pq.read_table(folder / DOCUMENTS).to_pylist() if row["metric"] == "acc"]
    expected = []
    for document in ROWS:
        scores = [by_hand(three, 0.7, bench, document["question"], choice) for choice in document["choices"]]
        expected.append(float(int(np.argmax(scores)) == document["answer"]))
    assert [row["value"] for row in rows] == expected
    assert len(set(expected)) == 2
    lm = PolicyLM(load_policy(proxied(three), bench.io()), bench.io(), "text", 0)
    pairs = [(one["question"], " " + choice) for one in ROWS for choice in one["choices"]]
    numbers = [one for one, _ in lm.loglikelihood(asked("loglikelihood", *pairs))]
    hand = [by_hand(three, 0.7, bench, one["question"], choice) for one in ROWS for choice in one["choices"]]
    np.testing.assert_allclose(numbers, hand, atol=1e-5)


def test_rows_join_document_by_document_and_nothing_leaks(bench: Bench, three: tuple[Pretrained, ...]) -> None:
    tables = []
    state = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002, TID251
    for spec in (three[0], proxied(three), Instructed(base=three[1], instruction="be good.")):
        folder = bench.payload(LmEval(policy=spec, task=CHOICE, seed=0))
        tables.append(pq.read_table(folder / DOCUMENTS))
        metrics = read_metrics(folder)
        assert [(one.name, one.higher_is_better) for one in metrics] == [("acc", True), ("acc_norm", True)]
    assert random.getstate() == state[0]
    assert (np.random.get_state()[1] == state[1]).all() and torch.equal(torch.get_rng_state(), state[2])  # noqa: NPY002, TID251
    ids = [sorted(set(table["prompt"].to_pylist())) for table in tables]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 6 and all(table.num_rows == 12 for table in tables)
    # A document that stands twice has rows of its own.
    assert sum("-1" in one for one in ids[0]) == 1


def test_the_same_stage_writes_the_same_bytes(tmp_path: Path, three: tuple[Pretrained, ...]) -> None:
    stage = LmEval(policy=proxied(three), task=CHOICE.model_copy(update={"limit": 3}), seed=0)
    folders = [Bench(tmp_path / name).payload(stage) for name in ("one", "two")]
    for name in (DOCUMENTS, "metrics.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    assert len(set(pq.read_table(folders[0] / DOCUMENTS)["prompt"].to_pylist())) == 3


def test_a_chat_is_what_the_policy_reads(bench: Bench, three: tuple[Pretrained, ...]) -> None:
    lm = PolicyLM(load_policy(three[0], bench.io()), bench.io(), "chat", 0)
    policy = load_policy(three[0], bench.io())
    from bench.core.task import user
    from bench.models.local import prompts_of, scored
    from bench.models.packing.layout import Group

    (prompt,) = prompts_of(policy, user("ask"))
    ids = policy.tokenizer.encode(" red.", add_special_tokens=False)
    expected = scored(policy, [(Group(prompt, [ids]),)])[0][0].logprob
    assert lm.loglikelihood(asked("loglikelihood", ("ask", " red.")))[0][0] == pytest.approx(expected, abs=1e-5)


def test_unknown_tasks_and_settings_are_told(bench: Bench, three: tuple[Pretrained, ...]) -> None:
    with pytest.raises(StageError, match="cannot run the task 'nothing'"):
        bench.payload(LmEval(policy=three[0], task=CHOICE.model_copy(update={"name": "nothing"}), seed=0))
    with pytest.raises(StageError, match="repetition_penalty"):
        decoding_of({"repetition_penalty": 1.2})
    assert decoding_of({"do_sample": True, "temperature": 0.5, "until": "x"}) == (
        Decoding(temperature=0.5, max_new_tokens=256),
        ["x"],
    )
    # lm-eval takes a temperature as the wish to sample, unless the task says that it does not.
    assert decoding_of({"temperature": 0.5, "max_gen_toks": 7})[0] == Decoding(temperature=0.5, max_new_tokens=7)
    greedy = Decoding(temperature=0, max_new_tokens=7)
    assert decoding_of({"temperature": 0.5, "max_gen_toks": 7, "do_sample": False})[0] == greedy
    assert decoding_of({"max_gen_toks": 7, "until": []}) == (greedy, [])
    assert until_first("a b c a", ["c", "b"]) == "a "


@pytest.mark.parametrize("name", ["atlas_facts", "atlas_answers"])
def test_the_projects_own_tasks_run(name: str, bench: Bench, three: tuple[Pretrained, ...]) -> None:
    from bench.core.plugins import lm_eval_folder

    folder = lm_eval_folder(name)
    assert folder is not None and lm_eval_folder("nothing") is None
    task = LmEvalTask(name=name, harness=version("lm_eval"), folder=str(folder), digest="d", limit=4)
    rows = pq.read_table(bench.payload(LmEval(policy=proxied(three), task=task, seed=0)) / DOCUMENTS).to_pylist()
    assert len({row["prompt"] for row in rows}) == 4
    assert {row["metric"] for row in rows} == ({"acc", "acc_norm"} if name == "atlas_facts" else {"found"})


def test_planning_does_not_import_lm_eval() -> None:
    code = (
        "import sys, bench.pipeline.plan, bench.pipeline.collect, bench.config.load\n"
        "sys.exit(any(name.partition('.')[0] in ('lm_eval', 'torch') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_stage_in_json() -> None:
    from bench.core.frozen import decode, encode

    stage = LmEval(policy=Pretrained(path="p", digest="d"), task=CHOICE, seed=1)
    assert decode(json.loads(json.dumps(encode(stage)))).key == stage.key
    assert stage.model_copy(update={"task": CHOICE.model_copy(update={"folder": "elsewhere"})}).key == stage.key
    for change in ({"limit": 3}, {"num_fewshot": 1}, {"prompt": "chat"}, {"digest": "e"}, {"harness": "2"}):
        assert stage.model_copy(update={"task": CHOICE.model_copy(update=change)}).key != stage.key


def test_progress_and_cost_are_told(bench: Bench, three: tuple[Pretrained, ...]) -> None:
    io: StageIO = bench.run(LmEval(policy=proxied(three), task=CHOICE, seed=0))
    assert io.meter.read_tokens > 0 and io.meter.flops > 0
