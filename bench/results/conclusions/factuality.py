"""What is concluded about the claims of responses: rates per arm, and reductions of the error rate per pair."""

from __future__ import annotations

from bench.core.frozen import Frozen
from bench.results.conclusions.contrast import SpeaksAbout


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

    ``both_answered``: the plain difference E_a - E_b on the prompts to which both arms make a claim in every seed and
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
