"""Time and memory of statistics and report for a large comparison: 20 methods, 5 seeds, 805 prompts, two judges.

    python -m tests.benchmarks report
    python -m tests.benchmarks.reporting --profile

Rows are made by numpy: every method against one baseline by two judges in both orders, and six metrics of every
response, 800,000 rows together. Beside them lie what a run leaves there: 80,500 responses, 306,000 verdicts with words,
and 612,000 verdicts of the four control judges. What is timed is what `bench report` does with them: contrasts and the
audit of the judges, then the report with its pictures and its sample of prompts. It runs in this process, which must be
a fresh one for its peak of memory to mean something.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.config.comparison import Arm, Common, Comparison, Evaluation, Named
from bench.core.method import Budget
from bench.core.metrics import WIN_RATE, MetricInfo
from bench.core.policy import Pretrained
from bench.pipeline.conclude import conclude
from bench.report.page.markdown import write_report
from bench.results.records import AUDIT, CONTROL, RECORDS, SCHEMA
from bench.results.responses import RESPONSES, RESPONSES_SCHEMA, VERDICTS, VERDICTS_SCHEMA
from bench.results.summary import SUMMARY, ArmAtSeed, ArmFacts, RunSummary, StageFacts
from tests.report.synthetic import TASK, Gold, Questions, Treatment

METHODS, SEEDS, PROMPTS = 20, 5, 805
METRICS = ("quality", "factual_error_rate", "polite", "ended", "response_tokens", "response_characters")
JUDGES = ("one", "two")
CONTROLS = ("longer_wins", "first_wins", "random", "word_overlap")
WORDS = ("water", "boats", "river", "builds", "keeps", "makes", "tools", "strong", "wood", "first", "then", "hands")
RESPONSE_WORDS = 90
MOST_SECONDS, MOST_BYTES = 30.0, 2 * 1024**3
STEPS = 100


def comparison(methods: int, seeds: int) -> Comparison:
    arms = [f"method_{number:02d}" for number in range(methods)]
    return Comparison(
        name="large",
        path="large/comparison.yaml",
        question="Which of twenty methods is best?",
        given=Common(
            base=Pretrained(repo="a/base"), budget=Budget(axis="examples", value=4000), seeds=tuple(range(seeds))
        ),
        arms=tuple(Arm(name=arm, method=Treatment(), lora=None) for arm in arms),
        evaluation=Evaluation(
            tasks=(Questions(),),
            judges=tuple(Named(label=judge, judge=Gold()) for judge in JUDGES),
            contrasts=tuple((arm, arms[0]) for arm in arms[1:]),
            versus=arms[0],
        ),
    )


def rows(methods: int, seeds: int, prompts: int) -> pa.Table:
    """Every row of the comparison: metrics of every response, and verdicts against the first method."""
    rng = np.random.default_rng(0)
    cells = methods * seeds * prompts
    method, seed, prompt = (axis.ravel() for axis in np.indices((methods, seeds, prompts)))
    tables = []
    for place, metric in enumerate(METRICS):
        values = rng.random(cells) if place < 4 else np.round(rng.gamma(6.0, 4.0 + method / 8, cells)) + 1
        values = (values < 0.4 + 0.01 * method).astype(float) if metric in ("polite", "ended") else values
        tables.append(_table((method, seed, prompt), metric, "task", values))
    verdicts = [_verdicts((method, seed, prompt), rng, WIN_RATE.name, judge) for judge in JUDGES]
    return pa.concat_tables([*tables, *verdicts])


def controls(methods: int, seeds: int, prompts: int) -> pa.Table:
    """Every verdict of the control judges, in the columns of the records."""
    rng = np.random.default_rng(2)
    method, seed, prompt = (axis.ravel() for axis in np.indices((methods, seeds, prompts)))
    return pa.concat_tables([_verdicts((method, seed, prompt), rng, CONTROL, name) for name in CONTROLS])


def _verdicts(
    places: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator, metric: str, judge: str
) -> pa.Table:
    """Return one judge's verdicts on every response against the first method's, in both orders."""
    method, seed, prompt = places
    compared = method > 0
    tables = []
    for order, lean in (("first", 0.05), ("second", -0.05)):
        won = (rng.random(len(method)) < 0.45 + 0.01 * method + lean).astype(float)
        if judge == "first_wins":
            won = np.full(len(method), float(order == "first"))
        there = (method[compared], seed[compared], prompt[compared])
        tables.append(_table(there, metric, judge, won[compared], order))
    return pa.concat_tables(tables)


def responses(methods: int, seeds: int, prompts: int) -> pa.Table:
    """Every response, of ninety words."""
    rng = np.random.default_rng(3)
    method, seed, prompt = (axis.ravel() for axis in np.indices((methods, seeds, prompts)))
    count = len(method)
    written = np.array(WORDS)[rng.integers(0, len(WORDS), (count, RESPONSE_WORDS))]
    columns = {
        "task": np.full(count, TASK),
        "prompt": np.char.mod("q%04d", prompt),
        "kind": np.char.mod("kind %d", prompt % 5),
        "chat": np.char.mod('[["user", "How do I build boat %d?"]]', prompt),
        "method": np.char.mod("method_%02d", method),
        "run": seed,
        "draw": np.zeros(count, dtype=np.int64),
        "text": [" ".join(row) for row in written.tolist()],
        "finish": np.full(count, "end"),
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in RESPONSES_SCHEMA], schema=RESPONSES_SCHEMA)


def told(records: pa.Table) -> pa.Table:
    """Return the verdicts among the records as a judge told them: with a sentence each."""
    verdicts = records.filter(pc.equal(records["metric"], WIN_RATE.name))
    said = pc.if_else(pc.greater(verdicts["value"], 0.5), "The first-named answers the question and is kinder.",
                      "The other one is more precise, and leaves nothing out.")  # fmt: skip
    columns = {name: verdicts[name] for name in verdicts.schema.names} | {"judge": verdicts["source"], "text": said}
    return pa.table([columns[name] for name in VERDICTS_SCHEMA.names], schema=VERDICTS_SCHEMA)


def _table(
    places: tuple[np.ndarray, np.ndarray, np.ndarray],
    metric: str,
    source: str,
    values: np.ndarray,
    order: str | None = None,
) -> pa.Table:
    method, seed, prompt = places
    count = len(values)
    named = {
        "task": np.full(count, TASK),
        "prompt": np.char.mod("q%04d", prompt),
        "cluster": np.char.mod("c%04d", prompt),
        "kind": np.char.mod("kind %d", prompt % 5),
        "method": np.char.mod("method_%02d", method),
        "metric": np.full(count, metric),
        "source": np.full(count, source),
        "status": np.full(count, "ok"),
    }
    columns = {name: pa.array(texts) for name, texts in named.items()}
    columns |= {"run": pa.array(seed), "draw": pa.array(np.zeros(count, dtype=np.int64)), "value": pa.array(values)}
    versus = "method_00" if order else None
    columns |= {name: pa.array([text] * count, pa.string()) for name, text in (("versus", versus), ("order", order))}
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def summary(methods: int, seeds: int) -> RunSummary:
    rng = np.random.default_rng(1)
    stages, arms = {}, {}
    for number in range(methods):
        runs = {}
        for seed in range(seeds):
            key = f"train-{number}-{seed}"
            loss = tuple((1.0 + np.exp(-np.arange(STEPS) / 30) + rng.normal(0, 0.05, STEPS)).tolist())
            stages[key] = StageFacts(
                kind="train/dpo",
                cost={"flops": 1e12 * (1 + number), "seconds": 20.0 + number, "trained_tokens": 1e6},
                provenance={"device": "cpu"},
                log={"step": tuple(map(float, range(STEPS))), "loss": loss, "accuracy": loss},
            )
            runs[str(seed)] = ArmAtSeed(stages=(key,))
        arms[f"method_{number:02d}"] = ArmFacts(
            method="dpo", fields={"beta": 0.1 * number}, lora=None, replicate=None, about="One of twenty.", runs=runs
        )
    known = [MetricInfo(name=name, unit="", higher_is_better=None, description="") for name in METRICS]
    return RunSummary(
        name="large", question="Which of twenty methods is best?", base="a/base", data={}, seeds=tuple(range(seeds)),
        arms=arms, stages=stages, metrics={info.name: info.model_dump() for info in (WIN_RATE, *known)}, versions={},
    )  # fmt: skip


def measured(folder: Path, methods: int = METHODS, seeds: int = SEEDS, prompts: int = PROMPTS) -> dict[str, float]:
    """Return seconds of the statistics and of the report, how many rows there were, and the bytes at the peak.

    Processor seconds are what other load on the machine changes least.
    """
    asked, facts = comparison(methods, seeds), summary(methods, seeds)
    table = rows(methods, seeds, prompts)
    RECORDS.write(table, folder)
    AUDIT.write(controls(methods, seeds, prompts), folder)
    RESPONSES.write(responses(methods, seeds, prompts), folder)
    VERDICTS.write(told(table), folder)
    SUMMARY.write(facts, folder)
    spent, began = time.process_time(), time.perf_counter()
    conclude(asked, facts, table, folder)
    middle = time.perf_counter()
    write_report(folder, asked)
    ended = time.perf_counter()
    return {
        "rows": table.num_rows,
        "statistics_seconds": middle - began,
        "report_seconds": ended - middle,
        "processor_seconds": time.process_time() - spent,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "html_bytes": (folder / "report.html").stat().st_size,
    }


def show(profile: cProfile.Profile | None) -> int:
    """Print what was measured and whether it is within bounds; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        if profile is not None:
            profile.enable()
        found = measured(Path(folder))
        if profile is not None:
            profile.disable()
    for name, value in found.items():
        sys.stdout.write(f"{name} {value:,.1f}\n")
    seconds = found["statistics_seconds"] + found["report_seconds"]
    met = seconds < MOST_SECONDS and found["peak_bytes"] < MOST_BYTES and "torch" not in sys.modules
    torch = "loaded" if "torch" in sys.modules else "not loaded"
    sys.stdout.write(f"together {seconds:.1f} s, torch {torch}: {'met' if met else 'NOT met'}\n")
    return 0 if met else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true", help="also print where the time goes, which makes it longer")
    options = parser.parse_args()
    profile = cProfile.Profile() if options.profile else None
    status = show(profile)
    if profile is not None:
        pstats.Stats(profile, stream=sys.stdout).sort_stats("cumulative").print_stats(60)
    return status


if __name__ == "__main__":
    sys.exit(main())
