"""The plan counts as the stages do, and keeps what it counted."""

from __future__ import annotations

from pathlib import Path

from bench.core.datasets import read_preferences
from bench.core.lengths import DataAsked, LengthsAsked, LengthsFound, PromptsAsked
from bench.core.policy import Instructed
from bench.core.task import user
from bench.engine.store import Store
from bench.models.count_lengths import counted
from bench.models.load import load_model
from bench.pipeline.lengths import KEPT, kept, readers_of
from methods._train.pairs.score_reference import pair_examples
from tests.methods.tiny import PREFERENCES, Bench, data, pretrained


def test_the_counts_are_those_of_the_stages(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    rows = data(tmp_path / "p.jsonl", [*PREFERENCES, {"prompt": "say " * 20, "chosen": "a", "rejected": "b"}])
    found = counted(LengthsAsked(data=(DataAsked(rows_of="preferences", data=rows, reader=base, max_length=30),)))
    io = Bench(tmp_path / "bench").io()
    _, counts = pair_examples(load_model(base, io), read_preferences(rows, io), 30)
    assert found.data == (counts,)
    assert counts.prompts_cut == 1


def test_prompts_that_leave_no_room_with_instructions(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    asked = Instructed(base=base, instruction="be brief")
    chats = (user("a"), user("x" * 100), user("x" * 120))
    prompts = tuple(PromptsAsked(chats=chats, new_tokens=20, reader=reader) for reader in (base, asked))
    assert counted(LengthsAsked(prompts=prompts)).too_long == (1, 2)
    assert list(readers_of(asked)) == [asked]


def test_what_was_counted_is_not_counted_again(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    asked = LengthsAsked(prompts=(PromptsAsked(chats=(user("a"),), new_tokens=2, reader=base),))
    store = Store(tmp_path / "store")
    assert kept(asked, store) == LengthsFound(too_long=(0,))
    (path,) = (store.root / KEPT).iterdir()
    path.write_text(LengthsFound(too_long=(1,)).model_dump_json(), encoding="utf-8")
    assert kept(asked, store) == LengthsFound(too_long=(1,))
    path.write_text("{", encoding="utf-8")
    assert kept(asked, store) == LengthsFound(too_long=(0,))
