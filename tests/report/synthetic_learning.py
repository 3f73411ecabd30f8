"""A finished run in which arms learnt from a reward model: ratings, divergences, labellers, and what stages told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench.config.comparison import Arm, Common, Comparison, Evaluation, GapClosed, Labelling, Named, StatisticsSettings
from bench.core.data import Data
from bench.core.metrics import DIVERGENCE, DIVERGENCE_K3, RATING, WIN_RATE
from bench.core.policy import Pretrained
from bench.results.conclusions.all import CONCLUSIONS, Conclusions
from bench.results.labels import LABELS, LABELS_SCHEMA
from bench.results.records import RECORDS
from bench.results.summary import SUMMARY, ArmAtSeed, ArmFacts, LabellerFacts, RunSummary, StageFacts
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.contrasts.gap_closed import gaps_closed
from bench.statistics.judges.labellers import agreements
from tests.records import Record
from tests.report.synthetic import TASK, Gold, Questions, Treatment, table_of

SEEDS = (0, 1, 2)
PROMPTS = 40
# Arm: its method, square root of its divergence, true gain, gain by the reward model.
ARMS: dict[str, tuple[str, float, float, float]] = {
    "sft": ("sft", 0.0, 0.0, 0.0),
    "ppo_strict": ("ppo", 1.2, 0.5, 0.6),
    "ppo": ("ppo", 2.4, 0.8, 1.3),
    "ppo_loose": ("ppo", 4.4, 0.3, 2.2),
    "dpo": ("dpo", 1.9, 0.7, 0.8),
    "dpo_loose": ("dpo", 3.1, 0.6, 0.9),
    "rahf": ("rahf", 1.0, 0.4, 0.4),
    "best_of_16": ("best_of_n", math.sqrt(math.log(16) - 15 / 16), 0.7, 1.4),
}
LEARNT = ("ppo_strict", "ppo", "ppo_loose", "best_of_16")
SIZES = {"small": 1.2e5, "base": 8.6e5, "large": 1.1e7}
REASONS = ("none", "greedy")
BOUND = math.log(16) - 15 / 16


class Learnt(Gold):
    NAME: ClassVar[str] = "reward_model"


def comparison() -> Comparison:
    judges = (Named(label="gold", judge=Gold()), Named(label="reward_model", judge=Learnt()))
    return Comparison(
        name="learning",
        path="learning/comparison.yaml",
        question="How far should a policy move?",
        given=Common(base=Pretrained(repo="a/base"), seeds=SEEDS),
        arms=tuple(Arm(name=name, method=Treatment(beta=0.1 * (1 + n)), lora=None) for n, name in enumerate(ARMS)),
        evaluation=Evaluation(
            tasks=(Questions(),),
            judges=judges,
            contrasts=tuple((arm, "sft") for arm in ARMS if arm != "sft"),
            ratings=judges,
            divergence="sft",
            versus="sft",
            labelling=Labelling(data=Data(path="pairs.jsonl", digest="0" * 64), judges=judges),
            gap_closed=(
                GapClosed(of="rahf", start="sft", goal="ppo", metric=WIN_RATE.name),
                GapClosed(of="rahf", start="ppo_loose", goal="ppo_strict", metric=RATING.name, judge="gold"),
            ),
        ),
        statistics=StatisticsSettings(resamples=500),
    )


def records() -> list[Record]:
    """Rows in which the reward model's gain grows with the divergence and the true gain falls again."""
    rng = np.random.default_rng(5)
    rows: list[Record] = []
    shift = {(arm, seed): rng.normal(0, 0.05) for arm in ARMS for seed in SEEDS}
    for number in range(PROMPTS):
        here: dict[str, Any] = {"task": TASK, "prompt": f"q{number:03d}", "cluster": f"q{number:03d}", "kind": "q"}
        hard = rng.normal(0, 0.7)
        for seed in SEEDS:
            for arm, (_, moved, gain, proxy) in ARMS.items():
                own = {**here, "method": arm, "run": seed, "draw": 0}
                rows.append(Record(**own, metric="response_tokens", source="task", value=float(rng.integers(5, 30))))
                for source, better in (("gold", gain), ("reward_model", proxy)):
                    value = hard + better + shift[arm, seed] + rng.normal(0, 0.6)
                    rows.append(Record(**own, metric=RATING.name, source=source, value=value))
                    if arm != "sft":
                        win = {**own, "metric": WIN_RATE.name, "source": source, "versus": "sft"}
                        likely = 1 / (1 + math.exp(-1.5 * better - shift[arm, seed]))
                        rows += [
                            Record(**win, order=o, value=float(rng.random() < likely)) for o in ("first", "second")
                        ]
                for metric, spread in ((DIVERGENCE.name, 1.0), (DIVERGENCE_K3.name, 0.3)):
                    kl: dict[str, Any] = {"value": None, "status": "undefined"}
                    if arm != "best_of_16":
                        kl = {"value": 0.0 if arm == "sft" else moved**2 + rng.normal(0, spread)}
                    rows.append(Record(**own, metric=metric, source="task", **kl))
    return rows


def labels() -> pa.Table:
    """Labels of six labellers that get better with size and lean to the first position when small."""
    rng = np.random.default_rng(9)
    rows: list[dict[str, Any]] = []
    for size, skill in zip(SIZES, (0.3, 0.9, 1.6), strict=True):
        for reason, bonus in zip(REASONS, (0.0, 0.3), strict=True):
            for row in range(200):
                gold = float(rng.normal(0.8, 1.0))
                taste = skill + bonus * (gold > 0) + rng.normal(0, 0.8)
                for call in (0, 1) if reason == "greedy" else (0,):
                    for order, lean in (("first", 0.9), ("second", -0.9)):
                        value = 1 / (1 + math.exp(-(taste + lean / skill + rng.normal(0, 0.1))))
                        same = {"judge": f"{size}_{reason}", "run": None, "call": call, "row": row, "order": order}
                        rows.append({**same, "value": value, "status": "ok", "label": 1.0, "gold": gold})
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def updates(seed: int, moved: float) -> dict[str, tuple[float | None, ...]]:
    rng = np.random.default_rng([3, seed, round(10 * moved)])
    steps = np.arange(0, 60)
    rise = 1 - np.exp(-steps / 20)
    columns = {
        "step": steps,
        "reward": 2 * rise + rng.normal(0, 0.1, 60),
        "kl": moved**2 * rise + rng.normal(0, 0.05, 60),
        "entropy": 2.5 - rise + rng.normal(0, 0.05, 60),
        "clip_fraction": 0.1 * rise + rng.uniform(0, 0.02, 60),
        "value_loss": 0.5 * (1 - rise) + rng.uniform(0.05, 0.1, 60),
        "explained_variance": 0.7 * rise + rng.normal(0, 0.05, 60),
        "response_tokens": 12 + 8 * rise + rng.normal(0, 0.6, 60),
        "without_end": 0.3 * (1 - rise) + rng.uniform(0, 0.05, 60),
    }
    return {name: tuple(float(value) for value in values) for name, values in columns.items()}


def held_out(seed: int) -> dict[str, Any]:
    def share(value: float, pairs: int) -> dict[str, Any]:
        return {"value": value, "low": value - 0.04, "high": value + 0.04, "pairs": pairs}

    bins = [
        {"from": 0.5 + 0.1 * k, "to": 0.6 + 0.1 * k, "pairs": 40, "confidence": 0.55 + 0.1 * k, "accuracy": accuracy}
        for k, accuracy in enumerate((0.52, 0.6, 0.71, 0.78, 0.88 - 0.02 * seed))
    ]
    names = ("much shorter", "shorter", "as long", "longer", "much longer")
    return {
        "trained_pairs": 1800, "references": 600, "shift": 0.1, "scale": 1.0,
        "held_out": {
            "pairs": 200, "labelled": 200, "accuracy": share(0.74 + 0.01 * seed, 200), "loss": 0.55 + 0.01 * seed,
            "least_loss": 0.3, "brier": 0.2, "calibration_error": 0.03, "calibration": bins,
            "by_length": [
                {"better_is": name, "split_at_tokens": 4.0, **share(0.6 + 0.05 * k + 0.01 * seed, 40)}
                for k, name in enumerate(names)
            ],
            "prefers_longer": {"model": 0.66, "label": 0.58, "pairs": 150},
        },
    }  # fmt: skip


def summary() -> RunSummary:
    stages: dict[str, StageFacts] = {}
    arms: dict[str, ArmFacts] = {}
    for arm, (method, moved, _, _) in ARMS.items():
        runs = {}
        for seed in SEEDS:
            told: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
            curve = {"step": (0.0, 1.0, 2.0), "loss": (3.0, 2.0 + 0.1 * seed, 1.5)}
            told[f"sft-{seed}"] = (curve, {})
            if arm in LEARNT:
                told[f"rm-{seed}"] = ({**curve, "accuracy": (0.5, 0.6, 0.7)}, held_out(seed))
            if method == "ppo":
                told[f"{arm}-{seed}"] = (updates(seed, moved), {})
            if method == "dpo":
                told[f"{arm}-{seed}"] = (curve, {})
            if method == "rahf":
                layers = [
                    {"layer": n, "fraction": n / 4, "difference_norm": n + 0.2 * seed, "cosine_to_mean": 0.9 - n / 9,
                     "loss": 0.02 * n}
                    for n in (2, 3, 4)
                ]  # fmt: skip
                told[f"rahf-{seed}"] = (curve, {"layers": layers})
            for key, (log, diagnostics) in told.items():
                kind = {"sft": "train/sft", "rm": "train/reward_model"}.get(key.split("-")[0], f"train/{method}")
                cost = {"flops": 1e12, "seconds": 20.0, "trained_tokens": 1e5}
                stages[key] = StageFacts(kind=kind, cost=cost, provenance={}, log=log, diagnostics=diagnostics)
            answers = f"generate-{arm}-{seed}"
            spent = {"generated_tokens": 1000.0, "seconds": 2.0 + (arm == "best_of_16") * 30.0}
            stages[answers] = StageFacts(kind="generate", cost=spent, provenance={})
            runs[str(seed)] = ArmAtSeed(stages=tuple(told), answers=(answers,))
        arms[arm] = ArmFacts(method=method, fields={}, lora=None, replicate=None, about=f"What {arm} is.", runs=runs)
    facts = tuple(
        LabellerFacts(
            judge=f"{size}_{reason}", run=None, parameters=count, samples=reason == "greedy",
            settings={"prompt": "helpful", "rationale": reason, "seed": 0},
        )
        for size, count in SIZES.items()
        for reason in REASONS
    )  # fmt: skip
    return RunSummary(
        name="learning", question=comparison().question, base="a base", data={}, seeds=SEEDS, arms=arms, stages=stages,
        metrics={}, versions={}, own_rewards={"reward_model": LEARNT}, divergence_bounds={"best_of_16": BOUND},
        labellers=facts,
    )  # fmt: skip


def build(folder: Path) -> Comparison:
    """Write a finished run into the folder, concluded by the real statistics, and return its comparison."""
    whole, facts, table = comparison(), summary(), table_of(records())
    metrics = {metric.name: metric for metric in (WIN_RATE, RATING, DIVERGENCE)}
    RECORDS.write(table, folder)
    SUMMARY.write(facts, folder)
    LABELS.write(labels(), folder)
    found = Conclusions(
        contrasts=tuple(compute_contrasts(table, whole, metrics, facts.own_rewards)),
        gap_closed=gaps_closed(table, whole, facts.own_rewards),
        labellers=agreements(labels(), 0.95),
    )
    CONCLUSIONS.write(found, folder)
    return whole
