"""Cells: what a plan evaluates, each the arm or pair, the run, the task, and the stage that computes it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.config.comparison import Named
from bench.core.benchmark import LmEvalTask
from bench.core.task import Task
from bench.evaluation.measurements.divergence import Divergence
from bench.evaluation.measurements.judge_controls import AskAgain, CompareByControls
from bench.evaluation.measurements.label_agreement import LabelPairs
from bench.evaluation.measurements.lm_eval import LmEval
from bench.evaluation.measurements.ratings import RateResponses
from bench.evaluation.measurements.scores import ScoreResponses
from bench.evaluation.measurements.token_shift import TokenShift
from bench.evaluation.measurements.win_rate import JudgePairs


@dataclass(frozen=True)
class Scored:
    """The scores of one arm at one run on one task."""

    arm: str
    run: int
    task: Task
    stage: ScoreResponses


@dataclass(frozen=True)
class Judged:
    """One judge's verdicts on one pair of arms at one run on one task."""

    a: str
    b: str
    run: int
    task: Task
    judge: Named
    stage: JudgePairs


@dataclass(frozen=True)
class Controlled:
    """The control judges' verdicts on one pair of arms at one run on one task."""

    a: str
    b: str
    run: int
    task: Task
    stage: CompareByControls


@dataclass(frozen=True)
class AskedAgain:
    """One judge's verdicts with other noise on a sample of the prompts of one pair of arms at one run on one task."""

    a: str
    b: str
    run: int
    task: Task
    judge: Named
    stage: AskAgain


@dataclass(frozen=True)
class Rated:
    """One judge's ratings of one arm's responses at one run on one task."""

    arm: str
    run: int
    task: Task
    judge: Named
    stage: RateResponses


@dataclass(frozen=True)
class Diverged:
    """How far one arm's policy has moved from another's at one run, on one task."""

    arm: str
    run: int
    task: Task
    stage: Divergence


@dataclass(frozen=True)
class Benchmarked:
    """One arm's results on one task of lm-eval at one run."""

    arm: str
    run: int
    task: LmEvalTask
    stage: LmEval


@dataclass(frozen=True)
class Shifted:
    """What steering changed in one proxied arm's answers to one task at one run."""

    arm: str
    run: int
    task: Task
    stage: TokenShift


@dataclass(frozen=True)
class Labelled:
    """One judge's labels of the preference data.

    ``run`` is the training seed whose models the judge takes, None for a judge that takes none; ``again`` is the same
    judge with other noise, None for one that draws none.
    """

    judge: Named
    run: int | None
    stage: LabelPairs
    again: LabelPairs | None


Cell = Scored | Judged | Controlled | AskedAgain | Rated | Diverged | Labelled | Benchmarked | Shifted
