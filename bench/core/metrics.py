"""Every metric that the bench itself measures: name, unit, direction, and what a value is averaged over."""

from __future__ import annotations

import math

from bench.core.frozen import Frozen


class MetricInfo(Frozen):
    """A metric's own facts: its name, unit, direction, and what a value is averaged over.

    ``chance`` is the value a policy that knows nothing would get, where that is defined. ``bounds`` are the least and
    the greatest value that there can be, where it has such: no test then takes values that were not met for impossible.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    description: str
    chance: float | None = None
    bounds: tuple[float, float] | None = None


# The bounds of a share.
SHARE = (0.0, 1.0)

# What the bench measures of every response, whatever the task.
HYGIENE = (
    MetricInfo(
        name="response_tokens",
        unit="tokens",
        higher_is_better=None,
        description="length of the response in tokens of its own policy, end token included",
    ),
    MetricInfo(
        name="response_characters", unit="characters", higher_is_better=None, description="length of the response text"
    ),
    MetricInfo(
        name="ended",
        unit="share",
        higher_is_better=True,
        description="share of responses that end by themselves",
        bounds=SHARE,
    ),
)


# What judges measure of a pair of responses.
WIN_RATE = MetricInfo(
    name="win_rate",
    unit="share",
    higher_is_better=True,
    description="mean preference for the method's response over the other method's; a tie counts one half",
    chance=0.5,
    bounds=SHARE,
)


# What judges measure of one response.
RATING = MetricInfo(
    name="rating",
    unit="the judge's own scale",
    higher_is_better=True,
    description="how good the judge finds the response",
)


# How far a policy has moved from another one, measured on its own samples at temperature 1.
DIVERGENCE = MetricInfo(
    name="divergence",
    unit="nats",
    higher_is_better=None,
    description="sum over the response's tokens of log pi - log pi_ref: in expectation the KL divergence of sequences",
)


# The same expectation with less variance; it stands beside the first and is not tested again.
DIVERGENCE_K3 = MetricInfo(
    name="divergence_k3",
    unit="nats",
    higher_is_better=None,
    description="sum over the response's tokens of r - 1 - log r, r = pi_ref / pi: the KL divergence, never negative",
)


LENGTH_CONTROLLED = MetricInfo(
    name="length_controlled_win_rate",
    unit="share",
    higher_is_better=True,
    description="the win rate that a regression on the responses' lengths expects at equal length",
    chance=0.5,
    bounds=SHARE,
)


# Metrics on the scale of a preference: 0.5 is no difference.
PREFERENCES = frozenset({WIN_RATE.name, LENGTH_CONTROLLED.name})


MC1 = MetricInfo(
    name="mc1",
    unit="share of questions",
    higher_is_better=True,
    description="the policy finds the best answer more probable than every wrong one",
    bounds=SHARE,
)


MC2 = MetricInfo(
    name="mc2",
    unit="share of probability",
    higher_is_better=True,
    description="the probability of the right answers among all that are offered",
    bounds=SHARE,
)


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
    bounds=SHARE,
)


FACTSCORE = MetricInfo(
    name="factscore",
    unit="share of claims",
    higher_is_better=True,
    description="supported among all claims of a response, lowered for few claims; not defined without a claim",
    bounds=SHARE,
)


FACTUAL_ERROR_RATE = MetricInfo(
    name="factual_error_rate",
    unit="share of claims",
    higher_is_better=False,
    description="unsupported claims of all responses over their supported and unsupported claims: a ratio of sums",
    bounds=SHARE,
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
