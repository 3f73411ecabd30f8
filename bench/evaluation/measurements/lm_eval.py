"""Benchmarks of lm-eval as a stage: one policy, one task, a row per document and metric."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from pydantic import NonNegativeInt

from bench.core.benchmark import LmEvalTask
from bench.core.policy import PolicySpec
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import MetricInfo

DOCUMENTS = "documents.parquet"
METRICS = "metrics.json"
DOCUMENTS_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
    ]
)


class LmEval(Stage):
    """A policy's results on one task of lm-eval.

    ``documents.parquet`` has a row per document and metric: ``prompt`` is lm-eval's hash of the document (so that
    arms are paired document by document), ``kind`` the task within a group. ``metrics.json`` says of each metric
    whether higher is better, and which metrics lm-eval computes over all documents only and are therefore left out.
    ``seed`` is that of sampled answers, for tasks that sample.
    """

    KIND: ClassVar[str] = "lm_eval"
    VERSION: ClassVar[int] = 1
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    task: LmEvalTask
    seed: NonNegativeInt

    def run(self, io: StageIO) -> None:
        """Evaluate, and write the rows."""
        from bench.evaluation.measurements.lm_eval_run import evaluate  # noqa: PLC0415 - torch and lm_eval load here only

        evaluate(self, io)


def read_metrics(folder: Path) -> list[MetricInfo]:
    """Return the metrics that a finished stage has rows of."""
    found = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return [MetricInfo.model_validate(metric) for metric in found["metrics"]]
