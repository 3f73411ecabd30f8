"""lm-eval's chats are HFLM's number for number, what is cut is counted, and no example is a document that is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench.config.sections.lm_eval import _asks_its_examples
from bench.core.benchmark import LmEvalTask
from bench.core.errors import StageError
from bench.evaluation.measurements._lm_eval_examples import ExamplesApart
from bench.evaluation.measurements._lm_eval_model import PolicyLM
from bench.evaluation.measurements.lm_eval import DOCUMENTS, LmEval, read_cut
from bench.models.load import load_model
from bench.results.lengths import cuts_in_words
from bench.results.summary import BenchmarkCuts
from tests.methods.tiny import Bench, pretrained

FOLDER = Path(__file__).parent / "lm_eval_tasks"
TURNS = "{% for m in messages %}{{ '[' + m['role'] + ']\n' + m['content'] + '\n' }}{% endfor %}"
OPENED = "{% if add_generation_prompt %}{{ '[assistant]\n' }}{% endif %}"
REFUSES = "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}{% endfor %}"
# With and without a beginning token, without a system turn, and with something before an answer that is begun.
TEMPLATES = {
    "begins": "{{ bos_token }}" + TURNS + OPENED,
    "does not begin": TURNS + OPENED,
    "refuses": REFUSES + TURNS + OPENED,
    "thinks": TURNS.replace("{{ '['", "{% if loop.last and m['role'] == 'assistant' %}<t>{% endif %}{{ '['") + OPENED,
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


def answers(model: Any, task: str, shots: int) -> list[Any]:
    import lm_eval

    tasks = ExamplesApart(include_path=str(FOLDER), include_defaults=False)
    tasks.examples = shots
    found = lm_eval.simple_evaluate(
        model=model, tasks=[task], num_fewshot=shots, bootstrap_iters=0, log_samples=True, task_manager=tasks,
        apply_chat_template=True, system_instruction="Be brief." if shots else None,
    )  # fmt: skip
    documents = sorted(found["samples"][task], key=lambda one: one["doc_id"])
    return [answer for document in documents for request in document["resps"] for answer in request]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_is_read_as_hflm_reads_it(template: str, bench: Bench, tmp_path: Path) -> None:
    """Likelihoods, choices and answers, without and with examples and a system turn; a begun answer too."""
    from lm_eval.models.huggingface import HFLM

    policy = load_model(pretrained(tmp_path / "model", 0), bench.io())
    policy.tokenizer.chat_template = TEMPLATES[template]
    theirs = HFLM(pretrained=policy.model, tokenizer=policy.tokenizer, batch_size=1, max_length=policy.context)
    ours = PolicyLM(policy, bench.io(), "chat", 0)
    for task in ("tiny_chat_choice", "tiny_chat_begun", "tiny_chat_target"):
        for shots in (0, 2):
            found, expected = answers(ours, task, shots), answers(theirs, task, shots)
            np.testing.assert_allclose([one for one, _ in found], [one for one, _ in expected], atol=1e-4)
            assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert answers(ours, "tiny_chat_answer", 2) == answers(theirs, "tiny_chat_answer", 2)
    assert (ours.cut.without_system > 0) is (template == "refuses")


@pytest.mark.parametrize("prompt", ["text", "chat"])
def test_what_is_too_long_is_counted_and_undefined(prompt: Any, bench: Bench, tmp_path: Path) -> None:
    task = LmEvalTask(name="tiny_long", harness="test", folder=str(FOLDER), digest="d", prompt=prompt)
    stage = LmEval(policy=pretrained(tmp_path / "model", 0), task=task, seed=0)
    folder = bench.payload(stage)
    rows = pq.read_table(folder / DOCUMENTS).to_pylist()
    assert [row["status"] for row in rows] == ["ok", "undefined", "ok"]
    cut = read_cut(folder)
    assert (cut["requests"], cut["undefined"], cut["contexts"]) == (9, 1, 3)
    words = cuts_in_words(BenchmarkCuts(task="tiny_long", arm="sft", **cut))
    assert "3 contexts cut at the beginning" in words and "1 continuation longer" in words


def test_no_example_is_a_document_that_is_asked() -> None:
    """The split of examples repeats one of the three documents, which is taken out; all three are asked."""
    tasks = ExamplesApart(include_path=str(FOLDER), include_defaults=False)
    tasks.examples = 2
    (task,) = tasks.load(["tiny_chat_choice"])["tasks"].values()
    assert tasks.left_out == 1
    assert not {one["question"] for one in task.sampler.fewshot_docs()} & {one["question"] for one in task.eval_docs}


@pytest.mark.parametrize("name", ["atlas_facts", "atlas_answers"])
def test_examples_of_the_projects_own_tasks_are_apart(name: str) -> None:
    from bench.core.plugins import lm_eval_folder

    tasks = ExamplesApart(include_path=str(lm_eval_folder(name)), include_defaults=False)
    tasks.examples = 3
    (task,) = tasks.load([name])["tasks"].values()
    assert tasks.left_out == 0 and len(task.eval_docs) == 200
    for document in task.eval_docs:
        asked = task.fewshot_context(document, 3)
        assert asked.count(document["question"]) == 1


def test_a_task_that_has_no_other_documents_is_refused(bench: Bench, tmp_path: Path) -> None:
    task = LmEvalTask(name="tiny_choice", harness="test", folder=str(FOLDER), digest="d", num_fewshot=2)
    with pytest.raises(StageError, match="0 documents to take 2 few-shot examples from"):
        bench.payload(LmEval(policy=pretrained(tmp_path / "model", 0), task=task, seed=0))


@pytest.mark.parametrize(
    ("written", "shots", "is_refused"),
    [
        ("test_split: test", 2, True),
        ("test_split: test", None, False),
        ("test_split: test\nnum_fewshot: 3", None, True),
        ("test_split: test\nnum_fewshot: 0", 2, False),
        ("test_split: test\nfewshot_split: test", 2, True),
        ("validation_split: v", 2, True),
        ("test_split: test\nvalidation_split: v", 2, False),
        ("test_split: test\ntraining_split: t", 2, False),
        ("test_split: test\nfewshot_split: f", 2, False),
        ("test_split: test\nfewshot_config: {samples: !function a.b}", 2, False),
        ("test_split: test\ninclude: other.yaml", 2, False),
    ],
)
def test_a_plan_refuses_what_the_file_shows(tmp_path: Path, written: str, shots: int | None, is_refused: bool) -> None:
    (tmp_path / "one.yaml").write_text(f"task: one\n{written}\n", encoding="utf-8")
    assert _asks_its_examples(tmp_path, "one", shots) is is_refused
