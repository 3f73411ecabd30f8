"""Two synthetic runs of which every picture of a report can be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.metrics import LENGTH_CONTROLLED, WIN_RATE
from bench.report.inputs import Inputs, read_inputs
from bench.results.conclusions.all import Conclusions
from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.factuality import Estimate, FactualRates
from bench.results.conclusions.length_recovery import LengthRecovery
from bench.results.conclusions.ranking import RankedMethod, Ranking
from bench.results.conclusions.tax import Tax, TaxVerdict
from bench.results.summary import ShiftFacts, TokenFacts
from tests.report import synthetic, synthetic_learning

TASK = synthetic.TASK
FIT = {"length_coefficient": 0.4, "bias_coefficient": 0.1, "length_scale": 20.0}


def learning(folder: Path) -> Inputs:
    """Arms that learnt from reward models, with labellers, layers and updates."""
    return read_inputs(folder, synthetic_learning.build(folder))


def everything_else(folder: Path) -> Inputs:
    """Two judges, adjusted intervals, length control, a ranking, benchmarks, claims and tokens."""
    comparison = synthetic.build(folder)
    known = read_inputs(folder, comparison)
    rows = synthetic.records({})
    by_another = [row.model_copy(update={"source": "biased"}) for row in rows if row.metric == WIN_RATE.name]
    table = synthetic.table_of([*rows, *synthetic.characters(rows), *by_another])
    conclusions = known.conclusions.model_copy(
        update={
            "contrasts": tuple(contrasts(known.conclusions)), "rankings": (ranking(),), "tax": tuple(taxes()),
            "factual_rates": tuple(rates()), "length_recovery": (recovery(),),
        }
    )  # fmt: skip
    summary = known.summary.model_copy(update={"shifts": shifts()})
    return Inputs(comparison=comparison, summary=summary, conclusions=conclusions, records=table)


def contrasts(known: Conclusions) -> list[Contrast]:
    """The win rates with adjusted intervals, those at equal length, both by a second judge; all else as it was."""
    wins = [item for item in known.contrasts if item.metric == WIN_RATE.name]
    wins.append(wins[0].model_copy(update={"a": "base", "b": "dpo", "verdict": "undecided", "is_control": False}))
    found = []
    for judge, moved in (("biased", 0.06), ("gold", 0.01)):
        for number, item in enumerate(wins):
            ends: dict[str, float] = {
                "adjusted_low": (item.low or 0.0) - 0.02,
                "adjusted_high": (item.high or 0.0) + 0.02,
            }
            role = "primary" if judge == "gold" else "secondary"
            plain = item.model_copy(update={**ends, "judge": judge, "role": role})
            by = moved * (1 + number) / 4
            also = {name: value * (1 + number) for name, value in FIT.items()}
            equal: dict[str, Any] = {
                "metric": LENGTH_CONTROLLED.name,
                "estimate": (item.estimate or 0.0) + by,
                "role": "secondary",
            }
            equal |= {name: end + by for name, end in ends.items()}
            found += [plain, plain.model_copy(update={**equal, "also": also})]
    others = [item for item in known.contrasts if item.metric != WIN_RATE.name]
    return [*found, *(item.model_copy(update={"role": "secondary"}) for item in others)]


def ranking() -> Ranking:
    """Four methods, of which the last has no finite strength."""
    ends = {"dpo": (0.9, 0.5, 1.3), "dpo_again": (0.8, 0.4, 1.2), "sft": (0.0, 0.0, 0.0), "base": (-9.0, None, None)}
    places = tuple(
        RankedMethod(name=name, strength=strength, standard_error=None if low is None else 0.2, low=low, high=high,
                     rank_low=1, rank_high=4, models_low=1 + place, models_high=min(4, 2 + place))
        for place, (name, (strength, low, high)) in enumerate(ends.items())
    )  # fmt: skip
    pairs = (("dpo", "dpo_again"), ("dpo_again", "sft"), ("base",))
    return Ranking(
        task=TASK, judge="gold", anchor="sft", ties="half wins", tie_strength=None, n_judgements=720, n_prompts=60,
        n_missing=0, n_runs=3, level=0.95, speaks_about="the training procedure", places=places, groups=pairs,
        models_groups=pairs, unconnected=(("dpo", "dpo_again", "sft"), ("base",)),
    )  # fmt: skip


def taxes() -> list[Tax]:
    lines: list[tuple[str, str, float, TaxVerdict]] = [
        ("dpo", "facts", -0.004, "kept"), ("dpo_again", "facts", -0.09, "lost"), ("dpo", "sums", -0.02, "undecided"),
    ]  # fmt: skip
    return [
        Tax(arm=arm, versus="sft", task=task, metric="correct", margin=0.02, level=0.95, advantage=at, lower=at - 0.013,
            upper=at + 0.011, p=0.03, mean_arm=0.5 + at, mean_versus=0.5, verdict=verdict, n_prompts=60, n_runs=3,
            n_missing=0, speaks_about="the training procedure")
        for arm, task, at, verdict in lines
    ]  # fmt: skip


def rates() -> list[FactualRates]:
    def about(value: float, reach: float | None = 0.05) -> Estimate:
        ends: dict[str, Any] = {name: None for name in ("standard_error", "low", "high")}
        if reach is not None:
            ends = {"standard_error": reach / 2, "low": value - reach, "high": value + 1.1 * reach}
        return Estimate(value=value, **ends)

    return [
        FactualRates(arm=arm, task=task, n_prompts=60, n_runs=3, n_responses=180, n_claims=100, error_rate=error,
                     error_rate_with_irrelevant=None, correct=correct, incorrect=about(0.3), answered=about(0.8),
                     factscore=None, factscore_without_penalty=None, gamma=10, level=0.95, per_run=(),
                     speaks_about="the training procedure")
        for arm, task, error, correct in (
            ("base", TASK, about(0.6), about(1.2)), ("sft", TASK, about(0.5, None), about(1.4, None)),
            ("dpo", "lives", about(0.4), about(1.9)), ("dpo_again", "lives", None, about(0.0)),
        )
    ]  # fmt: skip


def recovery() -> LengthRecovery:
    return LengthRecovery(
        task=TASK, judge="biased", gold="gold", versus="sft", arms=("dpo",), truth=(0.6,), longer=(30.0,), pairs=1,
        prompts=60, runs=3, verdicts=6, draws=0, level=0.95, estimates=(),
    )  # fmt: skip


def shifts() -> tuple[ShiftFacts, ...]:
    """Two policies with more tokens than are drawn."""

    def token(text: str, by: float) -> TokenFacts:
        return TokenFacts(text=text, written=3, per_thousand=by, logprob_change=0.1)

    return tuple(
        ShiftFacts(arm=arm, task=TASK, positions=90, other_choice=0.2, logprob_change=0.1,
                   raised=tuple(token(f"up{n}", 20.0 - n) for n in range(12)),
                   lowered=tuple(token(f"down{n}", -15.0 + n) for n in range(3)))
        for arm in ("dpo", "dpo_again")
    )  # fmt: skip
