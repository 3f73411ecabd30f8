"""What was paid for before the house was rebuilt is found again: the answers of models, and those of people.

``before/`` was written by the program as it was at cb6fe9c, which asked a canned server what ``asking`` asks here:
``answers.sqlite``, the answers of people to the questions that it exported (``human.csv``), and all its verdicts.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.config.comparison import Comparison
from bench.config.load import load_comparison
from bench.core.checker import Asked, Passage
from bench.core.frozen import children
from bench.core.judge import Judge
from bench.core.meter import Meter
from bench.core.policy import Pretrained
from bench.core.stage import Stage, StageIO
from bench.engine.store import Store, store_of
from bench.evaluation.api.answer_store import FILE
from bench.evaluation.api.questions import seed_of
from bench.evaluation.checkers.verifiers.api import ApiVerifier
from bench.evaluation.fenced import fenced
from bench.evaluation.generate import COMPLETIONS, COMPLETIONS_SCHEMA, Generate, stored_rows
from bench.evaluation.judges.api import Api
from bench.evaluation.measurements.win_rate import presentations
from bench.human.exchange import write_csv
from bench.human.questions import questions_for_annotators
from bench.pipeline.forecast import forecast
from bench.pipeline.plan import Plan, make_plan
from methods._train.feedback.label_pairs import LabelPreferences
from tests.whole import write_whole

BEFORE = Path(__file__).with_name("before")
SERVER = "http://127.0.0.1:9/v1"  # nothing listens there
API = f"judge: api, model: stub, base_url: '{SERVER}', first_wait: 0.02, prices: {{input: 1.0, output: 1.0}}"
COMPARISON = f"""\
question: Is what was paid for found again?
given:
  base: {{path: ../../model, template: "{{prompt}}?"}}
  demonstrations: {{path: ../../demonstrations.jsonl}}
  preferences: {{path: ../../preferences.jsonl}}
  seeds: [0]
methods:
  base: {{}}
  sft: {{lr: 0.01, epochs: 1, batch_size: 4}}
evaluate:
  tasks: [{{task: prompts, path: ../../prompts.jsonl, max_new_tokens: 6}}]
  win_rate:
    versus: base
    judges:
      - {{{API}, name: bare, prompt: brief, max_tokens: 4}}
      - {{{API}, name: sampled, prompt: helpful, reasoning: written, samples: 2, temperature: 0.7, seed: 7,
         version: may}}
      - {{{API}, name: graded, prompt: helpful, asks: grades, temperature: null, seed: null, max_tokens: 4}}
      - human
  ratings: [{{{API}, prompt: brief, max_tokens: 4}}]
  labelling: {{data: {{path: ../../preferences.jsonl}}, limit: 2, judges: [
    {{{API}, prompt: brief, max_tokens: 4, seed: 3}}]}}
"""
PROMPTS = ("why is it so", "say “no”,\nin two lines", "wie heißt du, ärmster 猫")
TEXTS = {
    "base": ("it is so.", " no!\n", "猫"),
    "sft": ("because it is\n\nso", "1: no\n2: no", 'I am called Ä \\ "so"'),
}


def comparison_with_texts(root: Path) -> tuple[Comparison, Plan, Store]:
    """Return the comparison, its plan, and its store with a text of each arm for each prompt."""
    folder = write_whole(root, COMPARISON)
    lines = [json.dumps({"id": f"p{number}", "prompt": prompt}) for number, prompt in enumerate(PROMPTS)]
    (root / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copy(BEFORE / "human.csv", folder)
    comparison = load_comparison(folder)
    plan, store = make_plan(comparison), store_of(comparison)
    for stage in plan.stages.values():
        if isinstance(stage, Generate):
            texts = TEXTS["base" if isinstance(stage.policy, Pretrained) else "sft"]
            rows = [
                {"prompt": prompt.id, "draw": 0, "text": text, "tokens": [], "finish": "stop", "prompt_tokens": 1}
                for prompt, text in zip(stage.task.prompts(), texts, strict=True)
            ]
            out = store.fresh_payload_folder(stage)
            pq.write_table(pa.Table.from_pylist(rows, schema=COMPLETIONS_SCHEMA), out / COMPLETIONS)
            store.commit(stage, out, Meter().as_dict(), {})
    return comparison, plan, store


def asking(comparison: Comparison, plan: Plan) -> Iterator[Stage]:
    """Yield the stages that ask a judge, and one by which a method has preferences labelled."""
    yield from (stage for stage in plan.stages.values() if any(isinstance(part, Judge) for part in children(stage)))
    assert comparison.evaluation.labelling is not None
    labeller = Api(model="stub", base_url=SERVER, prompt="harmless", max_tokens=4, seed=5, first_wait=0.02)
    yield LabelPreferences(pairs=comparison.evaluation.labelling.data, judge=labeller)


def answers_to(comparison: Comparison, plan: Plan, store: Store, out: Path) -> dict[str, Any]:
    """Return what judges and a verifier answer, by what they were asked for: verdicts, ratings, labels, findings."""
    found: dict[str, Any] = {}
    for number, stage in enumerate(asking(comparison, plan)):
        folder = out / str(number)
        folder.mkdir(parents=True)
        stage.run(StageIO(out=folder, scratch=folder, read_payload=store.payload, answers=store.answers))
        (judge,) = (part for part in children(stage) if isinstance(part, Judge))
        settings = judge.model_dump(include={"prompt", "asks", "samples", "seed"})
        table = next(folder.glob("*.parquet"), None)
        rows = (
            pq.read_table(table).to_pylist()
            if table is not None
            else [json.loads(line) for line in (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
        )
        found.setdefault(f"{stage.KIND} {judge.NAME} {json.dumps(settings, sort_keys=True)}", []).extend(rows)
    task = comparison.evaluation.tasks[0]
    prompt = task.prompts()[2]
    passages = (Passage(title="Cats", text="A cat is called 猫."), Passage(title="", text="No."))
    verifier = ApiVerifier(model="stub", base_url=SERVER, max_tokens=4, first_wait=0.02)
    asked = [Asked(prompt=prompt, claim=claim, passages=passages) for claim in ("It is a cat.", "It is no cat.")]
    io = StageIO(out=out, scratch=out, read_payload=store.payload, answers=store.answers)
    found["verify"] = [finding.model_dump() for finding in verifier.verify(task, asked, io)]
    return found


def moved(file: Path, changed: Callable[[dict[str, Any]], bool]) -> int:
    """Put questions that are asked otherwise today under the keys that they have now; return how many there are."""
    count = 0
    with sqlite3.connect(file) as base:
        for key, text in base.execute("SELECT key, question FROM answers").fetchall():
            body = json.loads(text)
            if changed(body):
                text = json.dumps(body, sort_keys=True, separators=(",", ":"))
                place = (hashlib.sha256(text.encode()).hexdigest(), text, key)
                base.execute("UPDATE answers SET key = ?, question = ? WHERE key = ?", place)
                count += 1
    return count


def with_a_seed_of_its_own(body: dict[str, Any]) -> bool:
    further = bool(body["sample"] or body["again"])
    if further:
        body["seed"] = seed_of(body["seed"], body["sample"], body["again"])
    return further


def with_a_fence(body: dict[str, Any]) -> bool:
    (message,) = body["messages"]
    for first, second in permutations([TEXTS["base"][1].strip(), TEXTS["sft"][1]]):
        before = f"1: {first}\n2: {second}\nBetter:"
        shown, fence = fenced({"first": first, "second": second}, ("first", "second"), ("1:", "2:", "better:"))
        if before in message["content"]:
            after = f"1: {shown['first']}\n2: {shown['second']}\nBetter:"
            message["content"] = f"{fence}\n{message['content'].replace(before, after)}"
            return True
    return False


def test_answers_are_found_by_the_keys_of_their_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNMENT_BENCH_OFFLINE", "1")
    comparison, plan, store = comparison_with_texts(tmp_path)
    store.answers.mkdir(parents=True)
    shutil.copy(BEFORE / FILE, store.answers)
    (paid,) = forecast(plan, store).paid
    # Three pairs in both orders, by two judges, both asked again and one twice each time; six grades; six ratings. The
    # second answers, of twice six questions, were asked for with the seed of the first: they are none of today's.
    # Nor is "1: no, 2: no", shown in two orders twice by `bare`, which stands within a fence today.
    assert (paid.calls, paid.answered) == (2 * (6 + 12) + 6 + 6, 48 - 12 - 4)
    assert moved(store.answers / FILE, with_a_seed_of_its_own) == 12
    assert moved(store.answers / FILE, with_a_fence) == 4
    (paid,) = forecast(plan, store).paid
    assert (paid.answered, paid.usd) == (48, 0.0)
    found = answers_to(comparison, plan, store, tmp_path / "out")
    assert json.loads(json.dumps(found)) == json.loads((BEFORE / "verdicts.json").read_text(encoding="utf-8"))
    assert {row["status"] for rows in found.values() for row in rows if "status" in row} == {"ok"}
    with sqlite3.connect(store.answers / FILE) as base:
        assert base.execute("SELECT COUNT(*) FROM answers").fetchone() == (48 + 12 + 2,)  # labels; findings


def test_people_are_asked_the_same_questions(tmp_path: Path) -> None:
    """The ids, the texts, the order and the sides; their answers are in the verdicts above."""
    _, plan, store = comparison_with_texts(tmp_path)
    (cell,) = (cell for cell in (*plan.cells, *plan.waiting) if cell.judge_label == "human")
    ours, theirs = (stored_rows(store.payload(answers)) for answers in (cell.stage.a, cell.stage.b))
    pairs = [one.pair for one in presentations(cell.stage.a.task, ours, theirs, "first") if one.answered]
    write_csv(questions_for_annotators(pairs, seed=0), tmp_path / "asked.csv")
    asked, before = (
        list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines(keepends=True)))
        for file in (tmp_path / "asked.csv", BEFORE / "human.csv")
    )
    assert len(asked) == 3
    assert [{**row, "answer": "", "annotator": ""} for row in before] == asked
