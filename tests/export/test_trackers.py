"""The same scalars reach every tracker: TensorBoard's events are read back, the other two are stand-ins."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow.compute as pc
import pytest

from bench.core.errors import BenchError
from bench.export.scalars import TrackedRun, tracked_runs
from bench.export.trackers import require, track
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast
from bench.results.records import RECORDS
from bench.results.summary import SUMMARY, RunSummary
from tests.report.synthetic import ARMS, SEEDS, TASK, build


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tracked")
    build(path)
    return path


@pytest.fixture(scope="module")
def told(folder: Path) -> tuple[RunSummary, tuple[Contrast, ...], list[TrackedRun]]:
    summary, contrasts = SUMMARY.read(folder), CONCLUSIONS.read(folder).contrasts
    return summary, contrasts, tracked_runs(summary, contrasts, RECORDS.read(folder))


def test_every_arm_and_seed_is_a_run_with_its_curves_costs_and_results(
    folder: Path, told: tuple[RunSummary, tuple[Contrast, ...], list[TrackedRun]]
) -> None:
    summary, contrasts, runs = told
    assert [run.name for run in runs] == [f"{arm}-seed{seed}" for arm in ARMS for seed in SEEDS] + ["contrasts"]
    run = next(run for run in runs if run.name == "dpo-seed1")
    assert run.group == "dpo"
    assert run.settings["seed"] == 1
    assert run.settings["sft.learning_rate"] == 5e-4
    assert run.settings["lora.rank"] == 8
    assert [curve.name for curve in run.curves] == ["train/sft", "train/dpo"]
    rows = summary.stages["dpo-1"].rows()
    assert [step for step, _ in run.curves[1].rows] == [row["step"] for row in rows]
    assert run.curves[1].rows[3][1]["accuracy"] == rows[3]["accuracy"]
    assert run.final["cost/flops"] == summary.cost_of("dpo", 1)["flops"]
    win = next(item for item in contrasts if (item.a, item.b, item.metric) == ("dpo", "sft", "win_rate"))
    assert run.final[f"{TASK}/win_rate/gold/vs sft"] == win.per_run[1]
    records = RECORDS.read(folder)
    own = records.filter(pc.and_(pc.equal(records["method"], "dpo"), pc.equal(records["run"], 1)))
    own = own.filter(pc.equal(own["metric"], "response_tokens"))
    assert run.final[f"{TASK}/response_tokens"] == pytest.approx(pc.mean(own["value"]).as_py())
    assert runs[-1].final[f"{TASK}/win_rate/gold/dpo vs sft/estimate"] == win.estimate


def test_tensorboard_holds_them_and_a_second_time_replaces_them(
    told: tuple[RunSummary, tuple[Contrast, ...], list[TrackedRun]], tmp_path: Path
) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, _, runs = told
    for _ in range(2):
        track("tensorboard", runs, tmp_path)
    for run in runs:
        read = events.EventAccumulator(str(tmp_path / run.name), size_guidance={"tensors": 0, "scalars": 0}).Reload()
        tags = set(read.Tags()["tensors"])
        assert tags == {f"{curve.name}/{name}" for curve in run.curves for name in curve.rows[0][1]} | run.final.keys()
        for curve in run.curves:
            found = read.Tensors(f"{curve.name}/loss")
            assert [event.step for event in found] == [round(step) for step, _ in curve.rows]
            values = [event.tensor_proto.float_val[0] for event in found]
            assert values == pytest.approx([row["loss"] for _, row in curve.rows])
        for name, value in run.final.items():
            (event,) = read.Tensors(name)
            assert event.tensor_proto.float_val[0] == pytest.approx(value)
        assert json.loads((tmp_path / run.name / "settings.json").read_text()) == dict(run.settings)


class Wandb(ModuleType):
    """What is used of wandb 0.20: init, and a run with define_metric, log, summary and finish."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[SimpleNamespace] = []

    def init(self, *, project: str, group: str, name: str, id: str, config: dict[str, Any], dir: str, mode: str) -> Any:
        assert mode == "offline"
        assert all(run.ended for run in self.runs), "wandb has one run at a time"
        run = SimpleNamespace(
            project=project, group=group, name=name, id=id, config=config, logged=[], steps={}, summary={}, ended=False
        )
        run.define_metric = lambda name, step_metric=None: run.steps.update({name: step_metric})
        run.log = run.logged.append
        run.finish = lambda: setattr(run, "ended", True)
        self.runs.append(run)
        return run


def test_wandb_is_told_the_same(
    told: tuple[RunSummary, tuple[Contrast, ...], list[TrackedRun]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, runs = told
    fake = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    track("wandb", runs, tmp_path)
    assert [run.name for run in fake.runs] == [run.name for run in runs]
    assert len({run.id for run in fake.runs}) == len(runs)
    assert all(run.ended for run in fake.runs)
    for given, run in zip(runs, fake.runs, strict=True):
        assert run.config == given.settings
        assert run.summary == given.final
        assert len(run.logged) == sum(len(curve.rows) for curve in given.curves)
        for curve in given.curves:
            assert run.steps[f"{curve.name}/*"] == f"{curve.name}/step"
    again = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", again)
    track("wandb", runs, tmp_path)
    assert [run.id for run in again.runs] == [run.id for run in fake.runs]


class MlflowClient:
    """What is used of mlflow 3's client, in memory; it refuses what mlflow refuses."""

    stores: dict[str, MlflowClient] = {}

    def __new__(cls, tracking_uri: str) -> MlflowClient:
        return cls.stores.setdefault(tracking_uri, super().__new__(cls))

    def __init__(self, tracking_uri: str) -> None:
        assert tracking_uri.startswith("file:")
        self.runs: dict[str, Any] = getattr(self, "runs", {})
        self.names: dict[str, str] = getattr(self, "names", {})

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=self.names[name]) if name in self.names else None

    def create_experiment(self, name: str) -> str:
        return self.names.setdefault(name, str(len(self.names)))

    def search_runs(self, experiment_ids: list[str]) -> list[Any]:
        return list(self.runs.values())

    def delete_run(self, run_id: str) -> None:
        del self.runs[run_id]

    def create_run(self, experiment_id: str, *, run_name: str, tags: dict[str, str]) -> Any:
        info = SimpleNamespace(run_id=f"run-{len(self.runs)}-{run_name}", run_name=run_name, start_time=5)
        self.runs[info.run_id] = SimpleNamespace(info=info, tags=tags, metrics=[], params=[], ended=False)
        return self.runs[info.run_id]

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(metrics) <= 1000 and len(params) <= 100
        for item in (*metrics, *params):
            assert not set(item.key) & set("<>:|\"'()[],"), item.key
        self.runs[run_id].metrics += metrics
        self.runs[run_id].params += params

    def set_terminated(self, run_id: str) -> None:
        self.runs[run_id].ended = True


def test_mlflow_is_told_the_same_and_a_second_time_replaces_it(
    told: tuple[RunSummary, tuple[Contrast, ...], list[TrackedRun]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, runs = told
    fake, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
    monkeypatch.setattr(fake, "MlflowClient", MlflowClient, raising=False)
    monkeypatch.setattr(
        entities,
        "Metric",
        lambda key, value, timestamp, step: SimpleNamespace(key=key, value=value, step=step),
        raising=False,
    )
    monkeypatch.setattr(entities, "Param", lambda key, value: SimpleNamespace(key=key, value=value), raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    for _ in range(2):
        track("mlflow", runs, tmp_path)
    client = MlflowClient(tmp_path.resolve().as_uri())
    assert [run.info.run_name for run in client.runs.values()] == [run.name for run in runs]
    for given, run in zip(runs, client.runs.values(), strict=True):
        assert run.ended
        assert len(run.metrics) == sum(len(row) for curve in given.curves for _, row in curve.rows) + len(given.final)
        assert {item.value for item in run.params} == {str(value) for value in given.settings.values()}


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "mlflow"])
def test_without_its_package_the_error_names_the_extra(tracker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    with pytest.raises(BenchError, match=rf"needs the package {tracker}: pip install 'alignment-bench\[track\]'"):
        require(tracker)
