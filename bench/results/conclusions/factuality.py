"""What is concluded about the claims of responses: rates per arm, and reductions of the error rate per pair."""

from __future__ import annotations

import math

from bench.results.conclusions.contrast import SpeaksAbout
from bench.core.frozen import Frozen
from bench.core.task import MetricInfo

SUPPORTED_CLAIMS = MetricInfo(
    name="supported_claims",
    unit="claims per response",
    higher_is_better=True,
    description="claims of a response that something supports; a response without claims has none",
)
UNSUPPORTED_CLAIMS = MetricInfo(
    name="unsupported_claims",
    unit="claims per response",
    higher_is_better=False,
    description="claims of a response that nothing supports; a response without claims has none",
)
IRRELEVANT_CLAIMS = MetricInfo(
    name="irrelevant_claims",
    unit="claims per response",
    higher_is_better=None,
    description="claims of a response that could be neither true nor false of what was asked",
)
ANSWERED = MetricInfo(
    name="answered",
    unit="share of responses",
    higher_is_better=None,
    description="share of responses that make a claim; the others abstain",
)
FACTSCORE = MetricInfo(
    name="factscore",
    unit="share of claims",
    higher_is_better=True,
    description="supported among all claims of a response, lowered for few claims; not defined without a claim",
)
FACTUAL_ERROR_RATE = MetricInfo(
    name="factual_error_rate",
    unit="share of claims",
    higher_is_better=False,
    description="unsupported claims of all responses over their supported and unsupported claims: a ratio of sums",
)
# What is counted in each response, in the order of the tables.
COUNTED = (SUPPORTED_CLAIMS, UNSUPPORTED_CLAIMS, IRRELEVANT_CLAIMS, ANSWERED, FACTSCORE)
# What the statistics test: the counts, and the error rate that they make from them.
FACTUALITY_METRICS = (FACTUAL_ERROR_RATE, *COUNTED)
# FActScore's gamma: a response with fewer facts is penalised (Min et al. 2023, arXiv 2305.14251).
FEWEST_FACTS = 10.0


def fact_score(supported: int, facts: int, gamma: float) -> float | None:
    """Return supported / facts * min(1, exp(1 - gamma / facts)), None for a response without facts.

    FActScore with its length penalty (Min et al. 2023, arXiv 2305.14251, section 3.1); ``gamma`` = 0 is none.
    """
    return supported / facts * math.exp(min(0.0, 1 - gamma / facts)) if facts else None


class Estimate(Frozen):
    """A rate or a mean with its standard error and interval; these are None where one cluster of prompts is all."""

    value: float
    standard_error: float | None
    low: float | None
    high: float | None


class FactualRates(Frozen):
    """How factual one arm's responses to one task are.

    ``error_rate`` = unsupported / (supported + unsupported) claims, over all responses; with the irrelevant ones on
    both sides it is ``error_rate_with_irrelevant``, None where there are none. ``correct`` and ``incorrect`` claims
    per response and ``answered``, the share of responses with a claim, are over all responses. ``factscore`` is over
    the answered ones, with the penalty of ``gamma``. What rests on claims is None where no response makes any.
    ``per_run`` holds the error rate of every training seed.
    """

    arm: str
    task: str
    n_prompts: int
    n_runs: int
    n_responses: int
    n_claims: int
    error_rate: Estimate | None
    error_rate_with_irrelevant: Estimate | None
    correct: Estimate
    incorrect: Estimate
    answered: Estimate
    factscore: Estimate | None
    factscore_without_penalty: float | None
    gamma: float
    level: float
    per_run: tuple[float | None, ...]
    speaks_about: SpeaksAbout


class ErrorReduction(Frozen):
    """By which share ``a``'s error rate is lower than ``b``'s: 1 - E_a / E_b, with an interval from log(E_a / E_b).

    ``both_answered``: the plain difference E_a - E_b on the prompts to which both arms make a claim in every run and
    draw, of which there are ``n_both_answered``; abstaining on hard prompts cannot lower it. What cannot be had is
    None, with the reason in ``note``.
    """

    a: str
    b: str
    task: str
    reduction: float | None
    low: float | None
    high: float | None
    log_ratio_standard_error: float | None
    both_answered: Estimate | None
    n_both_answered: int
    n_prompts: int
    n_runs: int
    level: float
    speaks_about: SpeaksAbout
    is_control: bool = False
    note: str = ""
