"""Three experiment trackers behind one function each: TensorBoard, Weights & Biases offline, MLflow's file store.

Each takes the same runs and writes below a folder; none of them talks to a network. They are optional packages, and
loaded only when asked for.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from bench.core.errors import BenchError
from bench.export.scalars import TrackedRun

TrackerName = Literal["tensorboard", "wandb", "mlflow"]
# MLflow takes at most so many in one call (its REST API, "Log Batch").
METRICS_AT_ONCE, PARAMETERS_AT_ONCE = 1000, 100
# MLflow's names hold letters, digits and these; everything else becomes an underscore.
MLFLOW_NAME = re.compile(r"[^\w\-./ ]")
LONGEST_PARAMETER = 500


def require(tracker: TrackerName) -> None:
    """Raise BenchError where a tracker's package is missing; call it before a run, not after."""
    try:
        importlib.import_module(tracker)
    except ImportError as error:
        raise BenchError(
            f"tracking with {tracker} needs the package {tracker}: pip install 'alignment-bench[track]', or leave "
            "tracking away; the report has the same numbers."
        ) from error


def track(tracker: TrackerName, runs: Sequence[TrackedRun], folder: Path) -> None:
    """Write the runs below a folder with a tracker; what an earlier call wrote there for a run is replaced.

    Raises BenchError where the tracker's package is missing.
    """
    require(tracker)
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[tracker](runs, folder)


def to_tensorboard(runs: Sequence[TrackedRun], folder: Path) -> None:
    """Write one folder of events per run, for ``tensorboard --logdir FOLDER``, with its settings in settings.json."""
    writers = importlib.import_module("tensorboard.summary")
    for run in runs:
        place = folder / _file_name(run.name)
        shutil.rmtree(place, ignore_errors=True)
        writer = writers.Writer(str(place))
        for curve in run.curves:
            for step, values in curve.rows:
                for name, value in values.items():
                    writer.add_scalar(f"{curve.name}/{name}", value, round(step))
        for name, value in run.final.items():
            writer.add_scalar(name, value, 0)
        writer.close()
        settings = json.dumps(dict(run.settings), indent=1, sort_keys=True) + "\n"
        (place / "settings.json").write_text(settings, encoding="utf-8")


def to_wandb(runs: Sequence[TrackedRun], folder: Path) -> None:
    """Write offline runs, which ``wandb sync`` can send; the arm is the group, and every curve has steps of its own."""
    wandb = importlib.import_module("wandb")
    shutil.rmtree(folder / "wandb", ignore_errors=True)
    for run in runs:
        opened = wandb.init(
            project=run.comparison, group=run.group, name=run.name, id=_stable_id(run), config=dict(run.settings),
            dir=str(folder), mode="offline",
        )  # fmt: skip
        for curve in run.curves:
            own_step = f"{curve.name}/step"
            opened.define_metric(own_step)
            opened.define_metric(f"{curve.name}/*", step_metric=own_step)
            for step, values in curve.rows:
                opened.log({own_step: step, **{f"{curve.name}/{name}": value for name, value in values.items()}})
        opened.summary.update(dict(run.final))
        opened.finish()


def to_mlflow(runs: Sequence[TrackedRun], folder: Path) -> None:
    """Write a file store, to be seen by ``mlflow ui --backend-store-uri FOLDER``; a comparison is an experiment."""
    mlflow, entities = importlib.import_module("mlflow"), importlib.import_module("mlflow.entities")
    client = mlflow.MlflowClient(tracking_uri=folder.resolve().as_uri())
    for run in runs:
        experiment = client.get_experiment_by_name(run.comparison)
        number = experiment.experiment_id if experiment is not None else client.create_experiment(run.comparison)
        for old in client.search_runs([number]):
            if old.info.run_name == run.name:
                client.delete_run(old.info.run_id)
        made = client.create_run(number, run_name=run.name, tags={"arm": run.group})
        key, began = made.info.run_id, made.info.start_time
        points = [
            (f"{curve.name}/{name}", value, round(step))
            for curve in run.curves
            for step, values in curve.rows
            for name, value in values.items()
        ] + [(name, value, 0) for name, value in run.final.items()]
        metrics = [entities.Metric(_mlflow_name(name), value, began, step) for name, value, step in points]
        settings = [
            entities.Param(_mlflow_name(name), str(value)[:LONGEST_PARAMETER]) for name, value in run.settings.items()
        ]
        for start in range(0, len(settings), PARAMETERS_AT_ONCE):
            client.log_batch(key, params=settings[start : start + PARAMETERS_AT_ONCE])
        for start in range(0, len(metrics), METRICS_AT_ONCE):
            client.log_batch(key, metrics=metrics[start : start + METRICS_AT_ONCE])
        client.set_terminated(key)


def _mlflow_name(name: str) -> str:
    return MLFLOW_NAME.sub("_", name)


def _file_name(name: str) -> str:
    """Return a name that is one folder on every file system."""
    return re.sub(r"[^\w\-.]", "_", name)


def _stable_id(run: TrackedRun) -> str:
    """Return the same id for the same run of a comparison, so that sending it twice makes one run of it."""
    return hashlib.sha256(f"{run.comparison}\x1f{run.name}".encode()).hexdigest()[:16]


Writer = Callable[[Sequence[TrackedRun], Path], None]
WRITERS: Mapping[TrackerName, Writer] = {"tensorboard": to_tensorboard, "wandb": to_wandb, "mlflow": to_mlflow}
