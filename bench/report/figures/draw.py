"""All pictures of a comparison: each by its name, which is that of its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bench.core.metrics import LENGTH_CONTROLLED
from bench.report.figures.costs import cost_bars, quality_against_cost
from bench.report.figures.curves import earlier_curves, learning_curves
from bench.report.figures.factuality import precision_and_coverage
from bench.report.figures.forest import forest
from bench.report.figures.frontier import frontier
from bench.report.figures.judge_audit import judge_audit
from bench.report.figures.labellers import labeller_sizes
from bench.report.figures.layers import representation_layers
from bench.report.figures.length_control import length_control
from bench.report.figures.length_effect import length_effect
from bench.report.figures.lengths import length_distributions
from bench.report.figures.matrix import win_rate_matrix
from bench.report.figures.over_optimisation import over_optimisation
from bench.report.figures.ranking import ranking
from bench.report.figures.reward_models import reward_model_checks
from bench.report.figures.seeds import seed_spread
from bench.report.figures.tax import tax
from bench.report.figures.tokens import token_shifts
from bench.report.figures.updates import update_curves
from bench.report.inputs import Inputs
from bench.report.page.content import Picture
from bench.results.conclusions.contrast import Contrast

# Draws one picture of a run into a folder under a name; None where it has nothing to show.
Draw = Callable[[Inputs, Path, str], Picture | None]


def _treatments(inputs: Inputs) -> list[Contrast]:
    return [item for item in inputs.primary if not item.is_control]


def _forest(inputs: Inputs, folder: Path, name: str) -> Picture | None:
    beside = [item for item in inputs.further if item.metric == LENGTH_CONTROLLED.name]
    return forest(inputs.primary, beside, folder, name)


def _seed_spread(inputs: Inputs, folder: Path, name: str) -> Picture | None:
    summary = inputs.summary
    return seed_spread(inputs.primary, list(summary.arms), summary.seeds, folder, name)


def _length_control(inputs: Inputs, folder: Path, name: str) -> Picture | None:
    return length_control(inputs.conclusions.contrasts, inputs.conclusions.length_recovery, folder, name)


def _frontier(inputs: Inputs, folder: Path, name: str) -> Picture | None:
    return frontier(inputs.records, inputs.summary, inputs.comparison.evaluation.divergence, folder, name)


def _over_optimisation(inputs: Inputs, folder: Path, name: str) -> Picture | None:
    return over_optimisation(inputs.records, inputs.summary, inputs.comparison.evaluation.divergence, folder, name)


# Every picture, in reading order.
PICTURES: Mapping[str, Draw] = {
    "forest": _forest,
    "win_rate_matrix": lambda of, folder, name: win_rate_matrix(_treatments(of), list(of.summary.arms), folder, name),
    "seed_spread": _seed_spread,
    "judge_audit": lambda of, folder, name: judge_audit(of.conclusions.judges, folder, name),
    "ranking": lambda of, folder, name: ranking(of.conclusions.rankings, folder, name),
    "tax": lambda of, folder, name: tax(of.conclusions.tax, folder, name),
    "quality_and_cost": lambda of, folder, name: quality_against_cost(_treatments(of), of.summary, folder, name),
    "cost": lambda of, folder, name: cost_bars(of.summary, folder, name),
    "response_length": lambda of, folder, name: length_distributions(of.records, list(of.summary.arms), folder, name),
    "factuality": lambda of, folder, name: precision_and_coverage(of.conclusions.factual_rates, folder, name),
    "length_control": _length_control,
    "length_effect": lambda of, folder, name: length_effect(of.records, of.conclusions.contrasts, folder, name),
    "learning_curves": lambda of, folder, name: learning_curves(of.summary, folder, name),
    "earlier_stages": lambda of, folder, name: earlier_curves(of.summary, folder, name),
    "updates": lambda of, folder, name: update_curves(of.summary, folder, name),
    "frontier": _frontier,
    "over_optimisation": _over_optimisation,
    "reward_models": lambda of, folder, name: reward_model_checks(of.summary, folder, name),
    "representations": lambda of, folder, name: representation_layers(of.summary, folder, name),
    "token_shifts": lambda of, folder, name: token_shifts(of.summary.shifts, folder, name),
    "labellers": lambda of, folder, name: labeller_sizes(of.conclusions.labellers, of.summary, folder, name),
}


def draw_all(inputs: Inputs, folder: Path) -> list[Picture]:
    """Return the pictures written to the folder, in reading order; those that have nothing to show are left out."""
    drawn = [draw(inputs, folder, name) for name, draw in PICTURES.items()]
    return [picture for picture in drawn if picture is not None]
