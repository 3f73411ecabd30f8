"""How well estimates of a win rate under one judge recover those of the gold judge: what is left of its bias."""

from __future__ import annotations

from bench.core.frozen import Frozen


class Recovered(Frozen):
    """One estimate of every arm's win rate, held against gold's.

    ``labels``: how many prompts' gold verdicts it reads; None for an estimate that reads none. ``values`` (arms) are
    means over seeds, or over draws of the labelled prompts; ``low`` and ``high`` their range over seeds, or the middle
    90% over draws. ``mean_error`` and ``max_error`` are over arms, of absolute differences from gold; ``tau`` is
    Kendall's with gold's ranking and ``reversed`` how many of the pairs that gold distinguishes stand in the wrong
    order, both with ``versus`` itself at one half. Errors, tau and reversed pairs of an estimate with labels are means
    over draws; ``whole`` is then the share of draws without a reversed pair.
    """

    estimator: str
    labels: int | None = None
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean_error: float
    max_error: float
    tau: float
    reversed: float
    whole: float | None = None


class LengthRecovery(Frozen):
    """All estimates under one judge on one task.

    ``arms`` were all judged against ``versus`` by both judges; ``truth`` (arms) are gold's win rates and ``longer``
    (arms) by how many characters an arm's responses are longer on average than those of ``versus``. ``pairs`` is how
    many pairs (``versus`` among them) gold distinguishes at ``level``, without correction; ``verdicts`` how many gold
    verdicts one labelled prompt stands for. ``draws`` is how often the labelled prompts were drawn.
    """

    task: str
    judge: str
    gold: str
    versus: str
    arms: tuple[str, ...]
    truth: tuple[float, ...]
    longer: tuple[float, ...]
    pairs: int
    prompts: int
    runs: int
    verdicts: int
    draws: int
    level: float
    estimates: tuple[Recovered, ...]
