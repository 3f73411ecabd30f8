"""A folder with plug-ins, data and a comparison that loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

HEAD = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
WEIGHTS = len(HEAD).to_bytes(8, "little") + HEAD  # a safetensors file but for its one byte
STUBS = Path(__file__).parents[1] / "core" / "stubs"
RIGHT = """\
question: Which is best?
given:
  base:
    world: ./world.py
    size: small
  demonstrations:
    path: demos.jsonl
  preferences:
    path: pairs.jsonl
    columns: {chosen: better}
  lora:
    rank: 4
  budget:
    axis: examples
    value: 100
  max_length: 64
  seeds: [0, 1]
methods:
  floor:
    method: ./floor.py
  tuned:
    method: ./tuned.py
    beta: 0.2
  again:
    method: ./tuned.py
    beta: 0.2
    replicate: second
evaluate:
  tasks:
    - ./task.py
    - task: ./file_task.py
      path: prompts.txt
  draws: 1
  win_rate:
    judges:
      - ./judge.py
      - judge: ./strict.py
        margin: 0.5
    versus: floor
    orders: both
    length_control: glm
  contrasts:
    - [tuned, floor]
statistics:
  level: 0.9
  correction: holm
gate:
  - metric: win_rate
    method: tuned
    versus: floor
    judge: stub_judge
    superior_by: 0.0
  - metric: accuracy
    method: tuned
    versus: floor
    not_worse_by: 0.02
"""


def write_rows(path: Path, *rows: object) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with every plug-in and file that RIGHT and its variants name."""
    for stub in STUBS.glob("*.py"):
        shutil.copy(stub, tmp_path / stub.name)
    write_rows(tmp_path / "demos.jsonl", {"prompt": "a", "response": "b"})
    write_rows(tmp_path / "pairs.jsonl", {"prompt": "a", "better": "b", "rejected": "c", "by": 0.5})
    write_rows(tmp_path / "list.jsonl", ["a", "b"])
    write_rows(tmp_path / "empty.jsonl")
    (tmp_path / "bad.jsonl").write_text("{not json\n")
    (tmp_path / "bad.jsonl.gz").write_text("not gzip")
    (tmp_path / "prompts.txt").write_text("hello\n")
    (tmp_path / "other.txt").write_text("hello you\n")
    for name in ("whole", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(WEIGHTS + name[:1].encode())
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path
