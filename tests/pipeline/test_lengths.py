"""The plan counts as the stages do, and keeps what it counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.errors import BenchError
from bench.core.lengths import DataAsked, LengthCounts, LengthsAsked, LengthsFound, PromptsAsked
from bench.core.policy import Instructed, Pretrained
from bench.core.task import user
from bench.engine.store import LENGTHS, Store
from bench.models.count_lengths import counted, planning
from bench.models.load import load_model
from bench.models.tokenised.token_rows import preference_rows
from bench.pipeline import lengths as under_test
from bench.pipeline.lengths import kept, planned_lengths, readers_of
from bench.pipeline.plan import make_plan
from methods._train.pairs.score_reference import pair_examples
from tests.methods.tiny import PREFERENCES, Bench, data, pretrained
from tests.whole import COMPARISON, write_whole


def test_the_counts_are_those_of_the_stages(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    rows = data(tmp_path / "p.jsonl", [*PREFERENCES, {"prompt": "say " * 20, "chosen": "a", "rejected": "b"}])
    asked = DataAsked(rows_of="preferences", data=rows, readers=(base,), max_length=30)
    found = counted(LengthsAsked(data=(asked,)), planning(tmp_path / "planned", tmp_path / "tokens"))
    io = Bench(tmp_path / "bench").io()
    policy = load_model(base, io)
    _, counts = pair_examples(policy, preference_rows(rows, policy, io), 30)
    assert found.data == (counts,)
    assert counts.prompts_cut == 1


def test_prompts_that_leave_no_room_with_instructions(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    asked = Instructed(base=base, instruction="be brief")
    chats = (user("a"), user("x" * 100), user("x" * 120))
    prompts = tuple(PromptsAsked(chats=chats, new_tokens=20, reader=reader) for reader in (base, asked))
    assert counted(LengthsAsked(prompts=prompts), planning(tmp_path, None)).too_long == (1, 2)
    assert list(readers_of(asked)) == [asked]


def test_what_was_counted_is_not_counted_again(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    asked = LengthsAsked(prompts=(PromptsAsked(chats=(user("a"),), new_tokens=2, reader=base),))
    store = Store(tmp_path / "store")
    assert kept(asked, store) == LengthsFound(too_long=(0,))
    (path,) = (store.root / LENGTHS).iterdir()
    path.write_text(LengthsFound(too_long=(1,)).model_dump_json(), encoding="utf-8")
    assert kept(asked, store) == LengthsFound(too_long=(1,))
    path.write_text("{", encoding="utf-8")
    assert kept(asked, store) == LengthsFound(too_long=(0,))


def test_the_process_that_counts_loads_no_torch(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    rows = data(tmp_path / "p.jsonl", PREFERENCES)
    asked = LengthsAsked(
        data=(DataAsked(rows_of="preferences", data=rows, readers=(base,), max_length=12),),
        prompts=(PromptsAsked(chats=(user("a"), user("x" * 120)), new_tokens=20, reader=base),),
    )
    code = (
        "import runpy, sys; runpy.run_module('bench.models.count_lengths', run_name='__main__')\n"
        "heavy = {name.partition('.')[0] for name, found in sys.modules.items() if found is not None}\n"
        "assert 'transformers' in heavy\n"
        "sys.exit(' '.join(heavy & {'torch', 'peft', 'pandas', 'scipy', 'matplotlib'}) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=asked.model_dump_json(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = LengthsFound.model_validate_json(done.stdout)
    assert found == counted(asked, planning(tmp_path, None)), "it counts otherwise than where torch is there"
    assert found.too_long == (1,)
    assert found.data[0].prompts_cut


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The requests for which a process would have been started; they are answered here."""
    requests: list[str] = []

    def answer(command: list[str], *, input: str, **_: object) -> subprocess.CompletedProcess[str]:
        requests.append(input)
        found = counted(
            LengthsAsked.model_validate_json(input), planning(tmp_path, Path(command[-1]))
        ).model_dump_json()
        return subprocess.CompletedProcess(command, 0, found, "")

    monkeypatch.setattr(under_test.subprocess, "run", answer)
    return requests


def test_rows_are_counted_with_the_instructions_that_stages_read_before_them(
    tmp_path: Path, started: list[str]
) -> None:
    hir = 'hir: {batch_size: 4, instructions: {good: "be very good", bad: "be bad"}}'
    text = COMPARISON.replace("  base: {}\n", f"  base: {{}}\n  {hir}\n", 1).replace("seeds: [0, 1]", "seeds: [0]")
    comparison = load_comparison(write_whole(tmp_path, text.replace("  seeds:", "  max_length: 32\n  seeds:")))
    plan = make_plan(comparison)
    found = planned_lengths(plan, Store(tmp_path / "store"))
    assert started
    behind = [line for line in found.lines() if line.startswith("  behind instructions: tokens")]
    assert len(behind) == 1
    (stage,) = (one for one in plan.stages.values() if one.KIND == "train/contrast")
    told = json.loads((Bench(tmp_path / "bench").payload(stage) / "diagnostics.json").read_text())["lengths"]
    assert LengthCounts.model_validate(told[0]) in found.data
    assert told[0]["prompts_cut"] > 0
    (plain,) = (one for one, read in zip(found.data, found.read, strict=True) if one.data == "preferences" and not read)
    assert plain.prompts_cut == 0


def test_data_of_which_no_row_fits_are_an_error_of_the_plan(tmp_path: Path, started: list[str]) -> None:
    comparison = load_comparison(write_whole(tmp_path, COMPARISON.replace("  seeds:", "  max_length: 2\n  seeds:")))
    with pytest.raises(BenchError, match=r"no row is left of 8 demonstrations: 8 do not fit into 2 tokens"):
        planned_lengths(make_plan(comparison), Store(tmp_path / "store"))
    assert started


def test_a_plan_starts_one_process_and_then_none(tmp_path: Path, started: list[str]) -> None:
    plan, store = make_plan(load_comparison(write_whole(tmp_path))), Store(tmp_path / "store")
    found = planned_lengths(plan, store)
    (asked,) = map(LengthsAsked.model_validate_json, started)
    assert len(found.data) == len(asked.data) > 1
    assert asked.prompts
    assert planned_lengths(plan, store) == found
    assert len(started) == 1


def test_a_plan_looks_at_files_and_counts_no_tokens_for_a_model_that_is_elsewhere(
    tmp_path: Path, started: list[str]
) -> None:
    comparison = load_comparison(write_whole(tmp_path))
    given = comparison.given.model_copy(update={"base": Pretrained(repo="some/model", revision="0" * 40)})
    plan = make_plan(comparison.model_copy(update={"given": given}))
    found = planned_lengths(plan, Store(tmp_path / "store"))
    assert found.data == ()
    assert "the base model" in "".join(found.unknown)
    assert [one.rows_of for one in found.files] == ["demonstrations", "preferences"]
    assert len(started) == 1
