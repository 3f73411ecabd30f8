"""Estimates of the KL divergence from the reference while a policy learns from reward, and an adaptive coefficient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from methods._train.on_policy.ratio import bounded_expm1

if TYPE_CHECKING:
    from torch import Tensor

Estimator = Literal["k1", "k2", "k3"]
# At most so much of a mistake counts in one adjustment (Ziegler et al. 2019, arXiv:1909.08593, section 2.2).
MOST_ERROR = 0.2


def token_kl(policy: Tensor, reference: Tensor, estimator: Estimator) -> Tensor:
    """Return an estimate of KL(policy || reference) from each token that the policy drew. Shape: the inputs'.

    With d = log pi(y_t) - log pi_ref(y_t), after Schulman, "Approximating KL divergence" (2020)::

        k1 = d                      unbiased, of either sign
        k2 = d^2 / 2                biased, never negative; its gradient is that of KL(pi || pi_ref)
        k3 = exp(-d) - 1 + d        unbiased, never negative; its gradient is that of KL(pi_ref || pi)

    (gradients: of the expectation at tokens that are drawn from the policy, the draw itself held fixed.) The
    exponential of k3 goes on in a line beyond 30 nats (``methods._train.on_policy.ratio``).
    """
    difference = policy - reference
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return difference.square() / 2
    return bounded_expm1(-difference) + difference


def adapted(kl_coefficient: float, observed: float, target: float, horizon: int, responses: int) -> float:
    """Return the KL coefficient after an update whose responses had a mean KL of ``observed`` nats.

    Ziegler et al. 2019, arXiv:1909.08593, section 2.2, as in their code::

        error = clip(observed / target - 1, -0.2, 0.2)
        kl_coefficient <- kl_coefficient * (1 + error * responses / horizon)
    """
    error = min(max(observed / target - 1, -MOST_ERROR), MOST_ERROR)
    return kl_coefficient * (1 + error * responses / horizon)
