"""A whole comparison that runs in seconds: a tiny random model, rows in files, and a lexicon as the judge."""

from __future__ import annotations

import json
from pathlib import Path

from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, pretrained

COMPARISON = """\
question: Does the tiny model learn to avoid the word no?
given:
  base: {path: ../../model, template: "{prompt}?"}
  demonstrations: {path: ../../demonstrations.jsonl}
  preferences: {path: ../../preferences.jsonl}
  seeds: [0, 1]
methods:
  base: {}
  sft: &sft {lr: 0.01, epochs: 2, batch_size: 4}
  dpo: {beta: 0.1, lr: 0.01, epochs: 3, batch_size: 4, start: *sft}
  dpo_again: {method: dpo, beta: 0.1, lr: 0.01, epochs: 3, batch_size: 4, start: *sft, replicate: second}
  dpo_lora: {method: dpo, beta: 0.1, lr: 0.02, epochs: 2, batch_size: 4, lora: {rank: 2}}
evaluate:
  tasks: [{task: prompts, path: ../../prompts.jsonl, max_new_tokens: 6}]
  win_rate: {judges: [{judge: lexicon, path: ../../words.txt}], versus: sft}
gate:
  - {metric: win_rate, method: dpo, versus: sft, judge: lexicon, not_worse_by: 0.9}
"""
WORDS = "no\t-2.0\nred\t2.0\ngreen\t2.0\na\t1.0\ni\t0.5\n"


def write_whole(root: Path, text: str = COMPARISON) -> Path:
    """Write everything below ``root`` and return the comparison's folder."""
    pretrained(root / "model")
    for name, rows in (
        ("demonstrations", DEMONSTRATIONS),
        ("preferences", PREFERENCES),
        ("prompts", [{"prompt": f"{word} {row['prompt']}"} for row in DEMONSTRATIONS for word in ("a", "the", "do")]),
    ):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (root / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (root / "words.txt").write_text(WORDS, encoding="utf-8")
    folder = root / "results" / "whole"
    folder.mkdir(parents=True)
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return folder
