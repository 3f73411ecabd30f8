"""Two processes that train together: the weights of one process with the same batches."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import methods
from bench.core.errors import StageError
from bench.core.method import Given, Lora
from bench.core.policy import Tuned
from bench.core.stage import Progress, Stage, StageIO
from bench.engine import launch
from bench.engine.events import ALONE, Together
from bench.engine.execute import execute
from bench.engine.store import Store
from methods._train.loop import checkpoint, ranks
from methods._train.settings import RewardModelSettings
from methods.dpo import DPO
from methods.kto import KTO
from methods.sft import SFT
from tests.fakes import Number
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, data, log, pretrained
from tests.methods.together import Several

SETTINGS = {"lr": 1e-2, "epochs": 2, "batch_size": 5, "weight_decay": 0.1, "max_grad_norm": 0.5}


def test_a_batch_is_shared_out_evenly() -> None:
    lengths = [9, 1, 8, 2, 7, 3, 6, 4]
    batch = np.array([7, 0, 3, 2, 5, 4])
    dealt = ranks.shares(batch, lengths, 2)
    assert [share.tolist() for share in dealt] == [[0, 7, 5], [2, 4, 3]]
    assert sorted(np.concatenate(dealt).tolist()) == sorted(batch.tolist())
    assert [sum(lengths[index] for index in share) for share in dealt] == [16, 17]
    again = ranks.shares(batch[::-1], lengths, 2)
    assert [share.tolist() for share in again] == [share.tolist() for share in dealt]
    assert ranks.shares(batch, lengths, 1)[0] is batch


def test_there_may_be_less_than_one_example_for_each_process() -> None:
    assert [share.tolist() for share in ranks.shares(np.array([3]), [1] * 4, 3)] == [[3], [], []]


def test_in_one_process_nothing_is_exchanged() -> None:
    values = torch.ones(2)
    assert (ranks.count(), ranks.rank(), ranks.is_main()) == (1, 0, True)
    assert ranks.summed(values) is values
    assert ranks.gathered(values) == [values]


def stages(folder: Path) -> list[Stage]:
    """SFT twice, DPO, KTO with an adapter, a reward model; the last batch of each is a single example."""
    given = Given(
        base=pretrained(folder / "model"), preferences=data(folder / "preferences.jsonl", PREFERENCES), seed=0
    )
    taught = given.model_copy(
        update={"preferences": None, "demonstrations": data(folder / "demonstrations.jsonl", DEMONSTRATIONS)}
    )
    specs = [
        SFT.model_validate(SETTINGS).policy(taught),
        SFT.model_validate(SETTINGS).policy(taught.model_copy(update={"seed": 1})),
        DPO.model_validate(SETTINGS).policy(given),
        KTO.model_validate(SETTINGS).policy(given.model_copy(update={"lora": Lora(rank=4)})),
    ]
    reward_model = methods.reward_model(given, RewardModelSettings.model_validate({**SETTINGS, "held_out": 0.0}))
    return [*(spec.by for spec in specs if isinstance(spec, Tuned)), reward_model]


def run(stage: Stage, store: Store, together: Together = ALONE) -> list[Progress]:
    told: list[Progress] = []
    assert execute(stage, store, "cpu", told.append, pytest.fail, together)
    return told


def leave_a_checkpoint(stage: Stage, scratch: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a stage in this process until its second step, as if it were killed there."""

    def kill(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE_OF_TIME", float("inf"))
    (scratch / "out").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        stage.run(StageIO(scratch / "out", scratch, store.payload, on_progress=kill))
    assert (scratch / checkpoint.FILE).is_file()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Several, Path]:
    """The stages, run in one process, and the root of the store that holds them and what they rest on."""
    folder = tmp_path_factory.mktemp("alone")
    whole, root = Several(stages=tuple(stages(folder))), folder / "store"
    one = Store(root)
    for reference in {stage.key: stage for part in whole.stages for stage in part.inputs()}.values():
        run(reference, one)
    run(whole, one)
    return whole, root


@pytest.mark.slow
def test_two_processes_train_to_the_weights_of_one(
    alone: tuple[Several, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weights that each of the two holds, and with weights divided over them: one launch trains both."""
    whole, root = alone
    both = Several(stages=whole.stages, ways=("replicated", "sharded"))
    parts, one, two = whole.stages, Store(root), Store(shutil.copytree(root, tmp_path / "two"))
    for way in both.ways:
        leave_a_checkpoint(parts[1], two.scratch(both) / way / parts[1].key, two, monkeypatch)
    told = run(both, two, Together(2, "sharded"))

    found = json.loads((two.payload(both) / "processes.json").read_text())
    assert [(rank, launched) for rank, _, launched in found] == [(0, "sharded"), (1, "sharded")]
    assert len({process for _, process, _ in found}) == 2
    assert told[-1].done == told[-1].total == 4
    for way in both.ways:
        for part in parts:
            mine, theirs = one.payload(whole) / part.key, two.payload(both) / way / part.key
            assert_same(mine, theirs, f"{way} {part.label()}")
    costs = [found.cost for store, stage in ((one, whole), (two, both)) if (found := store.find(stage)) is not None]
    expected = {name: amount * len(both.ways) for name, amount in costs[0].items()}
    assert {**expected, "seconds": 0} == {**costs[1], "seconds": 0}


def assert_same(mine: Path, theirs: Path, label: str) -> None:
    """Two folders of a trained stage hold the same files, weights and log, but for rounding."""
    assert sorted(path.name for path in mine.rglob("*")) == sorted(path.name for path in theirs.rglob("*"))
    for file in mine.rglob("*.safetensors"):
        single, both = load_file(file), load_file(theirs / file.relative_to(mine))
        assert single.keys() == both.keys()
        for name, values in single.items():
            assert (values - both[name]).abs().max() < 1e-5, (label, name)
    assert len(log(mine)) == len(log(theirs)) == 4
    for row, other in zip(log(mine), log(theirs), strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_a_launch_of_fewer_processes_than_asked_for_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(folder: Path, _processes: int) -> list[str]:
        return [sys.executable, "-m", "bench.engine.distributed", str(folder)]

    monkeypatch.setattr(launch, "command", alone)
    with pytest.raises(StageError, match="2 processes were asked for, but 1 came together"):
        run(Several(stages=()), Store(tmp_path), Together(2))


def test_a_launched_process_runs_no_bench_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StageError, match="launched as one of 2.*Start `bench run` directly"):
        run(Number(value=1, journal=str(tmp_path / "journal")), Store(tmp_path))


def test_a_stage_that_cannot_be_shared_out_runs_in_one_process(tmp_path: Path) -> None:
    store, stage = Store(tmp_path / "store"), Number(value=1, journal=str(tmp_path / "journal"))
    run(stage, store, Together(2))
    found = store.find(stage)
    assert found is not None
    assert found.provenance["processes"] == 1
