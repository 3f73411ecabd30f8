"""All that the statistics conclude: contrasts, shares of a gap closed, and how well labellers label."""

from __future__ import annotations

import json
from typing import Literal

from bench.core.frozen import Frozen
from bench.results.conclusions.contrast import Contrast, SpeaksAbout
from bench.results.conclusions.factuality import ErrorReduction, FactualRates
from bench.results.conclusions.judge_audit import AnnotatorsTogether, Imitations, JudgeAudit, JudgesTogether
from bench.results.conclusions.length_recovery import LengthRecovery
from bench.results.conclusions.ranking import Ranking
from bench.results.conclusions.tax import Tax
from bench.results.conclusions.variance import Decomposition, SeedSpread
from bench.results.documents import JsonFile


class GapShare(Frozen):
    """Which share of the gap between ``start`` and ``goal`` the arm ``of`` closes, on one metric.

    ``share`` = (mean of ``of`` - mean of ``start``) / (mean of ``goal`` - mean of ``start``) = ``gain`` / ``gap``, with
    Fieller's interval ``low`` to ``high``, and a percentile interval of the paired cluster bootstrap beside it. Where
    the interval of the gap contains 0 there may be no gap to close a share of: ``status`` is ``undefined``, and the
    share and its intervals are None.
    """

    of: str
    start: str
    goal: str
    task: str
    metric: str
    judge: str | None
    status: Literal["ok", "undefined"]
    share: float | None
    low: float | None
    high: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None
    level: float
    gain: float | None
    gap: float | None
    gap_low: float | None
    gap_high: float | None
    n_prompts: int
    n_runs: int
    speaks_about: SpeaksAbout
    own_reward: tuple[str, ...] = ()
    note: str = ""


class Proportion(Frozen):
    """A share of ``n`` pairs with Wilson's interval; all None for no pairs."""

    n: int
    share: float | None
    low: float | None
    high: float | None


class LabellerAgreement(Frozen):
    """How one judge labels the preference data; see ``bench.statistics.judges.labellers`` for each quantity."""

    judge: str
    run: int | None
    pairs: int
    usable: int
    labels: Proportion
    gold: Proportion | None
    first_order: Proportion
    flips: Proportion
    flips_to_first: Proportion
    position_p: float | None
    retest: Proportion | None
    confidence: float | None
    level: float


class Conclusions(Frozen):
    """What ``contrasts.json`` holds."""

    contrasts: tuple[Contrast, ...]
    gap_closed: tuple[GapShare, ...] = ()
    labellers: tuple[LabellerAgreement, ...] = ()
    judges: tuple[JudgeAudit, ...] = ()
    judges_together: tuple[JudgesTogether, ...] = ()
    imitations: tuple[Imitations, ...] = ()
    annotators_together: tuple[AnnotatorsTogether, ...] = ()
    factual_rates: tuple[FactualRates, ...] = ()
    error_reductions: tuple[ErrorReduction, ...] = ()
    variance: tuple[Decomposition, ...] = ()
    seed_spreads: tuple[SeedSpread, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    tax: tuple[Tax, ...] = ()
    length_recovery: tuple[LengthRecovery, ...] = ()


def _text(conclusions: Conclusions) -> str:
    """Return the conclusions as JSON; what was not asked for is left out."""
    whole = conclusions.model_dump()
    kept = {name: value for name, value in whole.items() if value or name == "contrasts"}
    return json.dumps(kept, indent=1, allow_nan=False) + "\n"


CONCLUSIONS = JsonFile(
    "contrasts.json",
    Conclusions,
    "file of contrasts",
    "Run `bench run {folder}`, or `bench report {folder}` where its rows are there.",
    _text,
)
