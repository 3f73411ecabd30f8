"""What the labels of pairs mean to a loss: the one rule for soft labels and margins, for all methods on pairs.

A label of probability p is the expectation over the two hard labels::

    L = p loss(chosen, rejected, m) + (1 - p) loss(rejected, chosen, -m)

with the reference's log-probabilities in the same order as the policy's, and m the margin, by how much the first is the
better one. For DPO that is the cross-entropy to p (the form of cDPO, https://ericmitchell.ai/cdpo.pdf, with
1 - p in the place of its flip rate), for a reward model that of RLAIF (arXiv:2309.00267); IPO's minimiser for two
responses is h = (2 p - 1) / (2 beta), as in its paper (arXiv:2310.12036). Where every p is 1 nothing more is computed.

Methods that take the chosen response for good text and the rejected one for bad have no expectation to take: they read
a row in the order of its label (``in_order``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.datasets import Preference
from bench.core.errors import StageError
from bench.core.row_formats.program_row import EVEN
from bench.models.tokenised.token_rows import TokenRows
from methods._train.pairs.logprobs import NO_MARGIN, PairLogprobs


@dataclass(frozen=True)
class PairLabels:
    """The labels of rows, float32, both of shape (rows,), and whether any probability of the data is below 1.

    ``probability``: that the chosen response is the better one. ``margin``: by how much it is.
    """

    probability: Tensor
    margin: Tensor
    soft: bool

    def at(self, rows: Sequence[int]) -> PairLabels:
        """Return the labels of these rows."""
        numbers = list(rows)
        return PairLabels(self.probability[numbers], self.margin[numbers], self.soft)

    def right(self, difference: Tensor) -> Tensor:
        """Return how right a policy is that tells the pairs apart by ``difference``, chosen minus rejected: (pairs,).

        1 where the response with the label of more than one half is strictly ahead, else 0; one half where the label
        is one half.
        """
        ahead = (difference * (self.probability - EVEN) > 0).float()
        return torch.where(self.probability == EVEN, EVEN, ahead)


def labels_of(rows: TokenRows, device: torch.device) -> PairLabels:
    """Return the labels of rows."""
    return as_labels(rows.probability, rows.margin, device)


def as_labels(probability: NDArray[np.float64], margin: NDArray[np.float64], device: torch.device) -> PairLabels:
    """Return labels of shape (rows,) as what losses read."""
    likely, better = (torch.from_numpy(np.array(one, dtype=np.float32)).to(device) for one in (probability, margin))
    return PairLabels(likely, better, soft=bool((np.asarray(probability) != 1).any()))


def expected_loss(
    loss: Callable[[PairLogprobs, PairLogprobs, Tensor], Tensor],
    policy: PairLogprobs,
    reference: PairLogprobs,
    labels: PairLabels,
) -> Tensor:
    """Return ``loss(policy, reference, margin)`` in expectation over the labels. Shape: (pairs,)."""
    as_written = loss(policy, reference, labels.margin)
    if not labels.soft:
        return as_written
    swapped = loss(policy.swapped(), reference.swapped(), -labels.margin)
    return labels.probability * as_written + (1 - labels.probability) * swapped


def refuse_margins(margins: NDArray[np.float64], where: str) -> None:
    """Raise StageError where a row has a margin, for a loss that has no place for one. ``margins``: shape (rows,)."""
    (found,) = np.nonzero(margins)
    if len(found):
        margin = float(margins[found[0]])
        raise StageError(f"{where}: row {found[0] + 1} of the preferences has margin {margin:g}. {NO_MARGIN}")


@dataclass(frozen=True)
class Order:
    """The order of rows by their labels: the places of those that are ``kept``, and which of these are turned round.

    ``undecided``: so many were left out.
    """

    kept: NDArray[np.int64]
    turned: NDArray[np.bool_]
    undecided: int

    def counts(self) -> dict[str, int]:
        """Return the counts by name, nothing where every row stayed as it was."""
        found = {"swapped_pairs": int(self.turned.sum()), "undecided_pairs": self.undecided}
        return found if any(found.values()) else {}


def order_of_labels(probability: NDArray[np.float64], margin: NDArray[np.float64], where: str) -> Order:
    """Return how rows are put in the order of their labels: below one half swapped, at one half left out.

    Raises StageError for a margin, and where no row is left.
    """
    refuse_margins(margin, where)
    (kept,) = np.nonzero(probability != EVEN)
    if not len(kept):
        raise StageError(f"{where}: every pair has probability 0.5, so no response is the better one of a pair.")
    return Order(kept, probability[kept] < EVEN, len(probability) - len(kept))


def turned(rows: TokenRows, order: Order) -> TokenRows:
    """Return the rows of an order, each with the better response first. Their labels are not read any more."""
    found = rows.picked(order.kept)
    return found.responding(np.where(order.turned[:, None], found.chosen[:, ::-1], found.chosen))


def in_order(rows: Sequence[Preference], where: str) -> tuple[list[Preference], Order]:
    """Return pairs in the order of their labels, and what that changed; see ``order_of_labels``."""
    probability = np.array([row.probability for row in rows], dtype=np.float64)
    order = order_of_labels(probability, np.array([row.margin for row in rows], dtype=np.float64), where)
    kept = zip(order.kept.tolist(), order.turned.tolist(), strict=True)
    return [_swapped(rows[place]) if swap else rows[place] for place, swap in kept], order


def _swapped(row: Preference) -> Preference:
    return replace(
        row,
        chosen=row.rejected,
        rejected=row.chosen,
        probability=1 - row.probability,
        chosen_ended=row.rejected_ended,
        rejected_ended=row.chosen_ended,
    )
