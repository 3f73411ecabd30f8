"""A finished run made of synthetic numbers: 4 arms, 3 seeds, 60 prompts, one task, one judge in both orders."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from scipy import stats

from bench.config.comparison import Arm, Common, Comparison, Criterion, Evaluation, Named
from bench.core.judge import Judge, Pair, Verdict
from bench.core.method import Budget, Given, Lora, Method
from bench.core.policy import Decoding, PolicySpec, Pretrained
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task
from bench.report.page.markdown import write_report
from bench.results.conclusions.all import CONCLUSIONS, Conclusions
from bench.results.conclusions.contrast import Contrast
from bench.results.records import AUDIT, RECORDS
from bench.results.summary import SUMMARY, ArmAtSeed, ArmFacts, Missing, RunSummary, StageFacts
from bench.statistics.judges.audit import judge_audits
from tests.records import Record
from tests.report.synthetic_words import write_words

ARMS = ("base", "sft", "dpo", "dpo_again")
SEEDS = (0, 1, 2)
PROMPTS = 60
TASK = "questions"
PAIRS = (("dpo", "sft"), ("base", "sft"), ("dpo_again", "sft"), ("dpo", "dpo_again"))
SKILL = {"base": -1.2, "sft": 0.0, "dpo": 0.9, "dpo_again": 0.9}
LENGTH = {"base": 14.0, "sft": 18.0, "dpo": 24.0, "dpo_again": 24.5}


class Treatment(Method):
    beta: float = 0.1

    def policy(self, given: Given) -> PolicySpec:
        return given.base


class Questions(Task):
    NAME: ClassVar[str] = TASK
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        return ()

    def decoding(self) -> Decoding:
        return Decoding()


class Gold(Judge):
    NAME: ClassVar[str] = "gold"
    VERSION: ClassVar[int] = 1

    def compare(self, task: Task, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return []

    def rate(self, task: Task, prompt: Prompt, response: str) -> Verdict:
        return Verdict(value=0.0)


def comparison(arms: Sequence[str] = ARMS, gate: tuple[Criterion, ...] = ()) -> Comparison:
    return Comparison(
        name="synthetic",
        path="synthetic/comparison.yaml",
        question="Does preference training beat supervised fine-tuning at equal data?",
        given=Common(
            base=Pretrained(repo="a/base"), lora=Lora(), budget=Budget(axis="examples", value=4000), seeds=SEEDS
        ),
        arms=tuple(Arm(name=name, method=Treatment(), lora=None) for name in arms),
        evaluation=Evaluation(tasks=(Questions(),), judges=(Named(label="gold", judge=Gold()),), contrasts=PAIRS),
        gate=gate,
    )


def gate_lines() -> tuple[Criterion, ...]:
    return (
        Criterion(metric="win_rate", method="dpo", versus="sft", judge="gold", superior_by=0.0),
        Criterion(metric="factual_error_rate", method="dpo", versus="sft", not_worse_by=0.02),
        Criterion(metric="win_rate", method="dpo", versus="dpo_again", equivalent_within=0.2),
        Criterion(metric="win_rate", method="base", versus="sft", superior_by=0.0),
    )


def table_of(records: Iterable[Record]) -> pa.Table:
    """Return the records as a table of SCHEMA in canonical order, so that equal records give equal bytes."""
    rows = [record.model_dump() for record in records]
    return RECORDS.in_order(pa.Table.from_pylist(rows, schema=RECORDS.schema))


def records(rename: Mapping[str, str]) -> list[Record]:
    """Rows with a shared prompt difficulty, a shift per training seed, and a judge that leans to the first shown."""
    rng = np.random.default_rng(7)
    rows: list[Record] = []
    skill = {(arm, seed): SKILL[arm] + rng.normal(0, 0.15) for arm in ARMS for seed in SEEDS}
    for number in range(PROMPTS):
        here: dict[str, Any] = {
            "task": TASK,
            "prompt": f"q{number:03d}",
            "cluster": f"c{number // 2}",
            "kind": "question" if number % 3 else "request",
        }
        for seed in SEEDS:
            for arm in ARMS:
                own = {**here, "method": rename.get(arm, arm), "run": seed, "draw": 0, "source": "task"}
                tokens = float(max(2, round(rng.gamma(6.0, LENGTH[arm] / 6.0))))
                wrong = float(rng.random() < 0.35 - 0.08 * skill[arm, seed])
                rows.append(Record(**own, metric="response_tokens", value=tokens))
                rows.append(Record(**own, metric="ended", value=float(tokens < 40)))
                if number == 5 and arm == "base":
                    rows.append(Record(**own, metric="factual_error_rate", value=None, status="undefined"))
                else:
                    rows.append(Record(**own, metric="factual_error_rate", value=wrong))
            for a, b in PAIRS:
                gap = skill[a, seed] - skill[b, seed] + rng.normal(0, 0.8)
                for order in ("first", "second"):
                    lean = 0.25 if order == "first" else -0.25
                    value = float(rng.random() < 1 / (1 + math.exp(-(gap + lean))))
                    pair = {**here, "method": rename.get(a, a), "versus": rename.get(b, b), "run": seed, "draw": 0}
                    pair |= {"source": "gold", "metric": "win_rate", "order": order}
                    lost = number == 11 and seed == 1 and order == "second"
                    rows.append(Record(**pair, value=None, status="unparsed") if lost else Record(**pair, value=value))
    return rows


def controls(rows: Sequence[Record]) -> list[Record]:
    """What the control judges longer_wins and first_wins say of the same pairs."""
    lengths = {(row.prompt, row.method, row.run): row.value for row in rows if row.metric == "response_tokens"}
    found = []
    for row in rows:
        if row.versus is not None:
            own, other = (lengths[row.prompt, arm, row.run] or 0.0 for arm in (row.method, row.versus))
            longer = 0.5 if own == other else float(own > other)
            said: dict[str, Any] = {"metric": "control", "status": "ok"}
            found.append(row.model_copy(update={**said, "source": "longer_wins", "value": longer}))
            first = float(row.order == "first")
            found.append(row.model_copy(update={**said, "source": "first_wins", "value": first}))
    return found


def characters(rows: Sequence[Record]) -> list[Record]:
    """The length of every response in characters, which the records leave out so that their tables stay narrow."""
    found = [row for row in rows if row.metric == "response_tokens"]
    return [row.model_copy(update={"metric": "response_characters", "value": 5 * (row.value or 0.0)}) for row in found]


def contrast(rows: Sequence[Record], pair: tuple[str, str], metric: str) -> Contrast:
    """A t interval over the training seeds, enough for a report (the real statistics have tests of their own)."""
    a, b = pair
    win = metric == "win_rate"
    null = 0.5 if win else 0.0

    def mean(method: str, seed: int, versus: str | None) -> float:
        found = [
            row.value
            for row in rows
            if (row.metric, row.method, row.run, row.versus) == (metric, method, seed, versus) and row.value is not None
        ]
        return float(np.mean(found))

    if win:
        per_run = [mean(a, seed, b) for seed in SEEDS]
    else:
        per_run = [mean(a, seed, None) - mean(b, seed, None) for seed in SEEDS]
    estimate = float(np.mean(per_run))
    also = {"conservative_win_rate": estimate, "conservative_win_rate_low": estimate - 0.1,
            "conservative_win_rate_high": estimate + 0.1, "order_consistency": 0.8} if win else {}  # fmt: skip
    error = max(float(np.std(per_run, ddof=1)) / math.sqrt(len(SEEDS)), 0.012 if win else 0.02)
    degrees = 12.0
    reach = float(stats.t.ppf(0.975, degrees)) * error
    p = float(2 * stats.t.sf(abs(estimate - null) / error, degrees))
    higher = {"win_rate": True, "factual_error_rate": False}.get(metric)
    better = (estimate > null) == (higher is not False)
    adjusted = min(1.0, 3 * p)
    word = "better" if higher is not None else "higher"
    verdict = "undecided" if adjusted > 0.05 else f"{'a' if better else 'b'} {word}"
    return Contrast(
        a=a, b=b, task=TASK, metric=metric, judge="gold" if win else None, estimate=estimate, low=estimate - reach,
        high=estimate + reach, level=0.95, null_value=null, p=p, p_adjusted=adjusted, test="crossed random effects",
        standard_error=error, degrees_of_freedom=degrees, smallest_detectable=3.05 * error,
        mean_a=None if win else mean(a, 0, None), mean_b=None if win else mean(b, 0, None), n_prompts=PROMPTS, n_runs=3,
        n_missing=1 if win else 0, speaks_about="the training procedure", verdict=verdict, family=metric,
        higher_is_better=higher, is_control=a.startswith("dpo") and b.startswith("dpo"), per_run=tuple(per_run),
        also=also,
    )  # fmt: skip


def summary(rename: Mapping[str, str], question: str) -> RunSummary:
    """Stages shared between arms, learning curves of two objectives, and one missing cell."""
    stages: dict[str, StageFacts] = {}
    provenance = {"device": "cpu", "processor": "some processor", "cores": 2, "threads": "1", "python": "3.11.9"}

    def stage(
        key: str, kind: str, flops: float, seconds: float, log: Sequence[Mapping[str, float]] = (), **told: Any
    ) -> str:
        cost = {"flops": flops, "trained_tokens": flops / 5e6, "seconds": seconds, "examples": 4000.0}
        if kind in ("generate", "judge"):
            cost = {"flops": flops, "generated_tokens": flops / 2e6, "seconds": seconds}
        columns = {name: tuple(row[name] for row in log) for name in (log[0] if log else ())}
        stages[key] = StageFacts(kind=kind, cost=cost, provenance=provenance, log=columns, **told)
        return key

    rng = np.random.default_rng(11)
    arms: dict[str, ArmFacts] = {}
    for arm in ARMS:
        runs = {}
        for seed in SEEDS:
            keys = [stage("world", "train/pretrain", 2.4e12, 61.0)]
            if arm != "base":
                steps = range(0, 200, 2)
                log = [{"step": s, "loss": 1.1 + 1.5 * math.exp(-s / 40) + rng.normal(0, 0.05)} for s in steps]
                keys.append(stage(f"sft-{seed}", "train/sft", 8.1e11, 14.2 + seed, log))
            if arm.startswith("dpo"):
                log = [
                    {
                        "step": s,
                        "loss": 0.69 * math.exp(-s / 300) + rng.normal(0, 0.02),
                        "chosen_ratio": s / 200 + rng.normal(0, 0.1),
                        "rejected_ratio": -s / 150 + rng.normal(0, 0.1),
                        "accuracy": 0.5 + 0.4 * (1 - math.exp(-s / 60)) + rng.normal(0, 0.03),
                    }
                    for s in range(0, 200, 2)
                ]
                keys.append(stage(f"{arm}-{seed}", "train/dpo", 1.3e12, 25.5 + seed, log))
            answers = stage(f"generate-{arm}-{seed}", "generate", 3e10, 4.0)
            runs[str(seed)] = ArmAtSeed(stages=tuple(keys), answers=(answers,))
        fields: dict[str, Any] = {} if arm == "base" else {"epochs": 1, "learning_rate": 5e-4 if arm == "sft" else 1e-4}
        if arm.startswith("dpo"):
            fields |= {"beta": 0.1, "sft": {"learning_rate": 5e-4, "epochs": 1}}
        arms[rename.get(arm, arm)] = ArmFacts(
            method=arm.removesuffix("_again"), fields=fields, about=f"What {arm} is, in one line.",
            lora=None if arm == "base" else {"rank": 8, "alpha": 16.0}, runs=runs,
            replicate="second" if arm == "dpo_again" else None,
        )  # fmt: skip
    return RunSummary(
        name="synthetic", question=question, base="the base model of a small embedded world",
        data={"demonstrations": "800 rows", "preferences": "2,000 pairs"}, seeds=SEEDS, arms=arms, stages=stages,
        metrics={}, versions={"torch": "2.13.0", "transformers": "5.23.0"},
        missing=(Missing(arm="base", run=1, task=TASK, reason="prompt q005 has no claim, so no error rate"),),
    )  # fmt: skip


def build(folder: Path, rename: Mapping[str, str] | None = None, question: str | None = None) -> Comparison:
    """Write a finished run into the folder and return its comparison, arms renamed as asked."""
    names = rename or {}
    asked = question or comparison().question
    rows = records(names)
    pairs = [(names.get(a, a), names.get(b, b)) for a, b in PAIRS]
    found = [contrast(rows, pair, "win_rate") for pair in pairs]
    metrics = ("factual_error_rate", "response_tokens")
    found += [contrast(rows, pair, metric) for metric in metrics for pair in (pairs[0], pairs[3])]
    RECORDS.write(table_of(rows), folder)
    AUDIT.write(table_of(controls(rows)), folder)
    own = comparison([names.get(arm, arm) for arm in ARMS])
    judges, together = judge_audits(table_of([*rows, *characters(rows)]), table_of(controls(rows)), own)
    told = Conclusions(contrasts=tuple(found), judges=judges, judges_together=together)
    CONCLUSIONS.write(told, folder)
    write_words(folder, rows, ARMS, names)
    SUMMARY.write(summary(names, asked), folder)
    return comparison([names.get(arm, arm) for arm in ARMS], () if names else gate_lines())


def write_synthetic(folder: Path) -> None:
    """Write the run and its report, with every picture, into a folder."""
    write_report(folder, build(folder))
