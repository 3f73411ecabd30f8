"""Benchmarks of lm-eval as a stage: one policy, one task, a row per document and metric."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import NonNegativeInt

from bench.core.benchmark import LmEvalTask
from bench.core.errors import StageError
from bench.core.metrics import MetricInfo
from bench.core.policy import Outputs, PolicySpec
from bench.core.stage import Resources, Stage, StageIO
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows
from bench.results.records import RECORDS
from bench.results.tables import TableFile

# The filter of a task that names none; metrics of other filters are named after theirs.
NO_FILTER = "none"
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
    VERSION: ClassVar[int] = 3
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)
    CAUSAL_ONLY: ClassVar[str] = "reads a context and its continuation as one text"

    policy: PolicySpec
    task: LmEvalTask
    seed: NonNegativeInt

    def run(self, io: StageIO) -> None:
        """Evaluate, and write the rows."""
        evaluate(self, io)


def read_metrics(folder: Path) -> list[MetricInfo]:
    """Return the metrics that a finished stage has rows of."""
    found = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return [MetricInfo.model_validate(metric) for metric in found["metrics"]]


def evaluate(stage: LmEval, io: StageIO) -> None:
    """Run the task on the policy, and write ``documents.parquet`` and ``metrics.json``."""
    # Both load torch, and lm_eval configures logging when imported.
    import lm_eval  # noqa: PLC0415

    from bench.evaluation.measurements._lm_eval_examples import ExamplesApart  # noqa: PLC0415
    from bench.evaluation.measurements._lm_eval_model import NobodyLM, PolicyLM  # noqa: PLC0415
    from bench.models.load import load_policy  # noqa: PLC0415

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    task = stage.task
    # Outputs made elsewhere can be asked nothing new: their documents are there, without a value.
    policy = None if isinstance(stage.policy, Outputs) else load_policy(stage.policy, io)
    # Its progress bars would run through the run's own; what goes wrong is raised.
    with generators_kept(), redirect_stderr(StringIO()):
        model = NobodyLM() if policy is None else PolicyLM(policy, io, task.prompt, stage.seed)
        try:
            tasks = ExamplesApart(include_path=task.folder, include_defaults=task.folder is None)
            tasks.examples = task.num_fewshot
            results: Any = lm_eval.simple_evaluate(
                model=model,
                tasks=[task.name],
                num_fewshot=task.num_fewshot,
                limit=task.limit,
                bootstrap_iters=0,
                log_samples=True,
                task_manager=tasks,
                apply_chat_template=task.prompt == "chat",
            )
        except (KeyError, ValueError, OSError, ImportError) as error:
            raise StageError(
                f"lm-eval cannot run the task {task.name!r}: {type(error).__name__}: {error}\nLook whether its name is "
                "right (`lm-eval ls tasks`), its data is on this machine, and what it imports is installed."
            ) from error
    rows, whole = rows_of(results["samples"])
    if policy is None:
        rows = [{**row, "value": None, "status": "undefined"} for row in rows]
    if not rows:
        raise StageError(f"lm-eval has no number per document for the task {task.name!r}, so arms cannot be compared.")
    metrics = [
        {
            "name": name,
            "unit": "lm-eval's",
            "higher_is_better": higher_is_better(results.get("higher_is_better", {}), name),
            "description": f"{name} of lm-eval {task.harness}",
        }
        for name in sorted({row["metric"] for row in rows})
    ]
    cut = {**asdict(model.cut), "examples_left_out": tasks.left_out}
    text = json.dumps({"metrics": metrics, "without_documents": whole, "cut": cut}, indent=2)
    (io.out / METRICS).write_text(text + "\n", encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows, schema=DOCUMENTS_SCHEMA), io.out / DOCUMENTS)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Give the global random generators back as they were: lm-eval seeds those of Python, numpy and torch."""
    import torch  # noqa: PLC0415 - not when planning

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002, TID251 - kept, not drawn from
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002, TID251


def rows_of(samples: Mapping[str, list[dict[str, Any]]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row per document and metric, and the metrics that have no number per document.

    A document that stands twice in a task is told apart by its place among its like. All metrics of a document are
    undefined where a continuation of it could not be read: the likeliest of the others would not be the answer.
    """
    rows: list[dict[str, Any]] = []
    whole: set[str] = set()
    for name, documents in samples.items():
        seen: Counter[tuple[str, str]] = Counter()
        for document in sorted(documents, key=lambda one: (one["filter"], one["doc_id"])):
            at = (document["doc_hash"], document["filter"])
            prompt = document["doc_hash"] if not seen[at] else f"{document['doc_hash']}-{seen[at]}"
            seen[at] += 1
            unread = any(_is_undefined(answer) for answers in document["resps"] for answer in answers)
            for metric in document["metrics"]:
                value = document[metric]
                label = metric if document["filter"] == NO_FILTER else f"{metric}@{document['filter']}"
                if not isinstance(value, bool | int | float | np.number):
                    whole.add(label)
                    continue
                number = float(value)
                known = bool(np.isfinite(number)) and not unread
                rows.append(
                    {
                        "prompt": prompt,
                        "kind": name,
                        "draw": 0,
                        "metric": label,
                        "value": number if known else None,
                        "status": "ok" if known else "undefined",
                    }
                )
    return rows, sorted(whole)


def _is_undefined(answer: Any) -> bool:
    return isinstance(answer, tuple | list) and len(answer) == 2 and answer[0] != answer[0]  # noqa: PLR0124 - NaN


def read_cut(folder: Path) -> dict[str, int]:
    """Return how many requests a finished stage cut or left undefined, and of how many (``requests``)."""
    found = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return {str(name): int(count) for name, count in found["cut"].items()}


def higher_is_better(directions: Mapping[str, Mapping[str, bool | None]], metric: str) -> bool | None:
    """Return what lm-eval says of a metric, None where its tasks say nothing or differ."""
    name = metric.partition("@")[0]
    found = {one[name] for one in directions.values() if name in one}
    return found.pop() if len(found) == 1 else None


class Benchmarks(Measurement):
    """Tasks of lm-eval: a value per document and metric."""

    NAME: ClassVar[str] = "lm_eval"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 7
    TABLES: ClassVar[tuple[TableFile, ...]] = (RECORDS,)

    def cells(self, design: Design) -> Iterator[Cell[LmEval]]:
        """Yield every arm at every seed on every task of lm-eval."""
        for task in design.evaluation.benchmarks:
            for (arm, seed), policy in design.policies.items():
                yield Cell(self, LmEval(policy=policy, task=task, seed=seed), arm, seed, task)

    def rows(self, cell: Cell[LmEval], payload: Payload, design: Design) -> Rows:
        """Yield one row per document and metric, each document a cluster of its own."""
        rows = pq.read_table(payload(cell.stage) / DOCUMENTS)
        yield RECORDS, rows.append_column("cluster", rows["prompt"])

    def metrics(self, design: Design, payloads: Sequence[Path]) -> Iterable[MetricInfo]:
        """Return what lm-eval measured, which is known once a cell is finished."""
        return (metric for payload in payloads for metric in read_metrics(payload))
