"""What a generation tells of its answers."""

from __future__ import annotations

import json
from pathlib import Path

from bench.core.frozen import digest_of_file
from bench.core.stage import DIAGNOSTICS_FILE
from bench.evaluation.generate import Generate, stored_rows
from tasks.prompts import Prompts
from tests.methods.tiny import DEMONSTRATIONS, Bench, data, pretrained

SPECIAL = {"<pad>", "<bos>", "<unk>"}


def test_answers_with_special_tokens_are_counted(tmp_path: Path) -> None:
    path = data(tmp_path / "prompts.jsonl", [{"prompt": row["prompt"]} for row in DEMONSTRATIONS]).path
    task = Prompts(path=path, digest=digest_of_file(Path(path)), max_new_tokens=8, temperature=1.0)
    folder = Bench(tmp_path).payload(Generate(policy=pretrained(tmp_path / "model"), task=task, draws=2, seed=0))
    texts = [row["text"] for row in stored_rows(folder)]
    found = sum(any(name in text for name in SPECIAL) for text in texts)
    assert 0 < found < 16
    told = json.loads((folder / DIAGNOSTICS_FILE).read_text())["spelling"]
    assert told == {"changed": 0, "spelt": 0, "written": found, "responses": 16}
