"""Tests against a margin: superiority, non-inferiority, equivalence. One-sided, from a confidence law."""

from __future__ import annotations

import numpy as np

from bench.results.conclusions.contrast import Contrast
from bench.statistics.tests.betting import BETTING, BettingLaw
from bench.statistics.tests.confidence import Confidence
from bench.statistics.tests.support import Support

SEED_VARIANCE, PROMPT_VARIANCE, PROMPT_DF = "run_variance_of_mean", "prompt_variance_of_mean", "prompt_df"
# Of a moderated contrast: the seeds' own part of the variance, and the prior that it was moderated with.
OWN_VARIANCE, PRIOR_VARIANCE, PRIOR_DF = "own_run_variance_of_mean", "prior_run_variance_of_mean", "prior_run_df"
# Of a contrast with an earlier run: what its seeds add, and the degrees of freedom where they are not n_runs - 1.
SEED_DF, EARLIER_VARIANCE, EARLIER_DF = "run_df", "earlier_run_variance_of_mean", "earlier_run_df"
# Where values have bounds: how many independent prompts they are worth, and the seeds' shares of what a value demands.
TRIALS = "independent_prompts"
SEED_SHARE, EARLIER_SHARE = "run_share_of_demanded", "earlier_run_share_of_demanded"


def from_t(estimate: float, standard_error: float, df: float) -> Confidence:
    """Return the t law around an estimate."""
    return Confidence(estimate, standard_error**2, df)


def law_of_contrast(contrast: Contrast) -> Confidence | None:
    """Return the law of a contrast's mean, on the contrast's own scale.

    It is the law behind the contrast's own p where the contrast carries its variances, else t with the contrast's
    standard error and degrees of freedom. None for a contrast without an estimate or a standard error.
    """
    if contrast.estimate is None or contrast.standard_error is None:
        return None
    parts = contrast.components
    if contrast.test == BETTING:
        return BettingLaw(contrast.estimate, parts[PROMPT_VARIANCE], parts[PROMPT_DF], support=_support(contrast))
    if PROMPT_DF in parts:
        return Confidence(
            estimate=contrast.estimate,
            prompt_variance=parts[PROMPT_VARIANCE],
            prompt_df=parts[PROMPT_DF],
            seed_variance=parts[SEED_VARIANCE],
            seed_df=parts.get(SEED_DF, max(contrast.n_runs - 1, 0)),
            earlier_seed_variance=parts.get(EARLIER_VARIANCE, 0.0),
            earlier_seed_df=parts.get(EARLIER_DF, 0),
            support=_support(contrast),
        )
    if contrast.degrees_of_freedom is None:
        return None
    return from_t(contrast.estimate, contrast.standard_error, contrast.degrees_of_freedom)


def _support(contrast: Contrast) -> Support | None:
    if not contrast.support:
        return None
    values, weights = np.array(contrast.support).T
    share = 1 / contrast.n_runs if contrast.n_runs > 1 else 0.0
    parts = contrast.components
    return Support(values, weights, parts[TRIALS], parts.get(SEED_SHARE, share), parts.get(EARLIER_SHARE, 0.0))


def advantage(contrast: Contrast) -> Confidence | None:
    """Return the law of a's advantage over b: null value 0, positive when a is better, on the metric's scale.

    None for a metric without a direction, and where ``law_of_contrast`` is; the contrast's ``note`` says why.
    """
    law = law_of_contrast(contrast)
    if law is None or contrast.higher_is_better is None:
        return None
    centred = law.minus(contrast.null_value)
    return centred if contrast.higher_is_better else centred.mirrored()


def superiority_p(law: Confidence, margin: float = 0.0) -> float:
    """Return the p-value of "a is better than b by more than ``margin``" (the null: by at most the margin)."""
    return float(law.below(margin))


def non_inferiority_p(law: Confidence, margin: float) -> float:
    """Return the p-value of "a is worse than b by less than ``margin``"."""
    return float(law.below(-margin))


def inferiority_p(law: Confidence, margin: float = 0.0) -> float:
    """Return the p-value of "a is worse than b by more than ``margin``": the proof of a regression."""
    return float(law.above(-margin))


def equivalence_p(law: Confidence, margin: float) -> float:
    """Return the p-value of "a and b differ by less than ``margin``": two one-sided tests (Schuirmann 1987)."""
    return max(float(law.below(-margin)), float(law.above(margin)))


def one_sided_bounds(law: Confidence, level: float) -> tuple[float, float]:
    """Return the lower and the upper one-sided bound, each at ``level``."""
    return law.interval(2 * level - 1)
