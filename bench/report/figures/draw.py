"""All pictures of a comparison."""

from __future__ import annotations

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


def draw_all(inputs: Inputs, folder: Path) -> list[Picture]:
    """Return the pictures written to the folder, in reading order; those that have nothing to show are left out."""
    summary, records, reference = inputs.summary, inputs.records, inputs.comparison.evaluation.divergence
    found = inputs.conclusions
    treatments = [item for item in inputs.primary if not item.is_control]
    drawn = (
        forest(
            inputs.primary, [item for item in inputs.further if item.metric == LENGTH_CONTROLLED.name], folder, "forest"
        ),
        win_rate_matrix(treatments, list(summary.arms), folder, "win_rate_matrix"),
        seed_spread(inputs.primary, list(summary.arms), summary.seeds, folder, "seed_spread"),
        judge_audit(found.judges, folder, "judge_audit"),
        ranking(found.rankings, folder, "ranking"),
        tax(found.tax, folder, "tax"),
        quality_against_cost(treatments, summary, folder, "quality_and_cost"),
        cost_bars(summary, folder, "cost"),
        length_distributions(records, list(summary.arms), folder, "response_length"),
        precision_and_coverage(found.factual_rates, folder, "factuality"),
        length_control(found.contrasts, found.length_recovery, folder, "length_control"),
        length_effect(records, found.contrasts, folder, "length_effect"),
        learning_curves(summary, folder, "learning_curves"),
        earlier_curves(summary, folder, "earlier_stages"),
        update_curves(summary, folder, "updates"),
        frontier(records, summary, reference, folder, "frontier"),
        over_optimisation(records, summary, reference, folder, "over_optimisation"),
        reward_model_checks(summary, folder, "reward_models"),
        representation_layers(summary, folder, "representations"),
        token_shifts(summary.shifts, folder, "token_shifts"),
        labeller_sizes(found.labellers, summary, folder, "labellers"),
    )
    return [picture for picture in drawn if picture is not None]
