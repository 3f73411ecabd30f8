"""A tiny comparison that plans cells of every measurement, and runs in seconds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.evaluation.checkers.encoders import classifier
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, pretrained

LM_EVAL_TASKS = Path(__file__).parent / "lm_eval_tasks"
WORDS = "no\t-2.0\nred\t2.0\na\t1.0\ni\t0.5\n"
QUIZ = """\
Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers
adversarial,one,ask one,red.,red.; pink.,no.; no no.
adversarial,two,ask two,red.,red.; pink.,no.; no no.
"""
PLAIN = """\
question: Is whatever is missing told?
given:
  base: {path: ../../model, template: "{prompt}?"}
  small: {path: ../../small, template: "{prompt}?"}
  demonstrations: {path: ../../demonstrations.jsonl}
  preferences: {path: ../../preferences.jsonl}
  max_length: 64
  seeds: [0, 1]
methods:
  base: {}
  sft: {lr: 0.05, epochs: 3, batch_size: 4}
evaluate:
  tasks:
    - {task: prompts, path: ../../prompts.jsonl, max_new_tokens: 5}
"""
OPTIONAL = """\
    - {task: truthfulqa, path: ../../quiz.csv, multiple_choice: likelihood, max_new_tokens: 4}
    - {lm_eval: tiny_choice, folder: ../../lm_eval}
  win_rate:
    judges: [{judge: lexicon, path: ../../words.txt}, random]
    retest: 4
    versus: sft
  ratings:
    - {judge: lexicon, path: ../../words.txt}
    - {judge: lexicon, name: strict, path: ../../words.txt, tie_below: 1}
  divergence: {from: base}
  labelling: {data: {path: ../../preferences.jsonl}, judges: [random], limit: 4}
  factuality:
    tasks: [prompts]
    extractor: sentences
    verifier: {verifier: nli, path: ../../classifier}
    knowledge: {path: ../../pages.jsonl, passages: 1}
gate:
  - {metric: win_rate, method: proxy_tuning, versus: sft, judge: lexicon, not_worse_by: 0.9}
"""
PROXIED = "  proxy_tuning: {expert: {method: sft, lr: 0.03, epochs: 2, batch_size: 4}}\n"
EVERYTHING = PLAIN.replace("evaluate:\n", f"{PROXIED}evaluate:\n") + OPTIONAL


@contextmanager
def without_list_of_packages() -> Iterator[None]:
    """Within the block lm-eval does not describe the machine: ``pip list``, over a second each time, and more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "")
        yield


def write_everything(root: Path, text: str = EVERYTHING) -> Path:
    """Write all that the comparison reads below ``root``, and return the comparison's folder."""
    pretrained(root / "model", 0)
    pretrained(root / "small", 1)
    classifier(root / "classifier", seed=7)
    for name, rows in (
        ("demonstrations", DEMONSTRATIONS),
        ("preferences", PREFERENCES),
        ("prompts", [{"prompt": row["prompt"]} for row in DEMONSTRATIONS]),
        ("pages", [{"title": word, "text": f"{word} is red"} for word in ("one", "two", "i")]),
    ):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (root / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (root / "words.txt").write_text(WORDS, encoding="utf-8")
    (root / "quiz.csv").write_text(QUIZ, encoding="utf-8")
    shutil.copytree(LM_EVAL_TASKS, root / "lm_eval", ignore=shutil.ignore_patterns("__pycache__"))
    folder = root / "results" / "everything"
    folder.mkdir(parents=True)
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return folder
