"""The judge audit: what is known of how a judge judged, and the verdicts that were had only to know it.

``audit.parquet`` holds those verdicts, in the schema of the records: of the control judges (metric ``control``, the
control as ``source``), and of judges asked once more with other noise (metric ``retest``); and which responses imitate
the judge's question (metric ``imitation``). They are no records, because
whoever reads records takes a verdict in them for one that counts.
"""

from __future__ import annotations

from typing import Literal

from bench.core.frozen import Frozen

# What became of the second call: the judge draws no noise, nobody asked it again, or it answered.
Retest = Literal["no noise", "not asked", "asked"]
# Why a judge's dependence on length has no slope.
LengthStatus = Literal["ok", "no lengths", "no variation", "separated"]
# Why nothing is said of what a control explains: it prefers one side always (or neither ever), or too few prompts.
ExplainedStatus = Literal["ok", "constant control", "too few prompts"]


class Measure(Frozen):
    """An estimate with its interval at the audit's level, over ``n`` verdicts or pairs; None where there is none."""

    n: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None


class Reference(Frozen):
    """How a judge agrees with one that is nearer to the truth: the share of pairs with the same winner, and kappa."""

    judge: str
    agreement: Measure
    kappa: Measure


class Explained(Frozen):
    """What one control judge explains of the win rate of a over b (see ``bench.statistics.judges.controls``).

    ``agreement``: the share of single verdicts on which judge and control name the same winner. ``when_a``,
    ``when_tie`` and ``when_b``: the win rate where the control prefers a, nobody, b. ``excess`` is the win rate minus
    one half, ``explained`` the part of it that goes with the control's verdicts, and ``share`` the one over the other,
    None where the interval of the excess contains 0.
    """

    control: str
    agreement: Measure
    when_a: Measure
    when_tie: Measure
    when_b: Measure
    status: ExplainedStatus
    excess: Measure
    explained: Measure
    share: Measure


class JudgeAudit(Frozen):
    """How one judge judged one task: a pair of arms, or all pairs (``a`` and ``b`` None).

    ``asked`` verdicts were asked for; ``unparsed``, ``refused`` and ``error`` are shares of them, ``ties`` of the
    usable ones. ``first_shown`` is the mean preference for the response shown first. Of the pairs of responses judged
    in both orders, ``consistent`` is the share judged alike, and ``flips`` of those in which the same position won
    twice; ``flips_to_first`` says how many of these went to the first, with the exact interval, and ``position_p`` is
    the exact p-value of one half. ``retest``: whether it was asked again; ``retested`` the share with the same winner
    both times. ``longer_wins``: the mean preference for the longer response; ``length_slope``: on the logistic scale,
    per unit of tanh of the standardised difference of lengths, positive where length is liked. ``imitations``: pairs of
    responses of which one holds what parts the judge's question, or what passes for its answer.
    """

    judge: str
    task: str
    a: str | None
    b: str | None
    level: float
    asked: int
    unparsed: Measure
    refused: Measure
    error: Measure
    ties: Measure
    first_shown: Measure
    consistent: Measure
    flips: Measure
    flips_to_first: Measure
    position_p: float | None
    retest: Retest
    retested: Measure
    longer_wins: Measure
    length_status: LengthStatus
    length_slope: Measure
    imitations: int = 0
    references: tuple[Reference, ...] = ()
    controls: tuple[Explained, ...] = ()


class Imitations(Frozen):
    """How many responses that were rated, checked or labelled hold what parts the question of the one who read them.

    ``what``: responses ``rated``, responses with such a ``claim``, or pairs ``labelled`` (``task`` None). ``by``: the
    judge or the verifier. ``count`` is summed over methods and training seeds.
    """

    what: Literal["rated", "claim", "labelled"]
    by: str
    task: str | None
    count: int


class JudgesTogether(Frozen):
    """How the judges of a task agree: Krippendorff's alpha of winners (ordinal: b, tie, a) over ``alpha.n`` pairs."""

    task: str
    judges: tuple[str, ...]
    level: float
    alpha: Measure


class AnnotatorsTogether(Frozen):
    """How the annotators behind one human judge agree on a task: Krippendorff's alpha (ordinal) over ``alpha.n`` pairs.

    Only pairs with two annotations or more count.
    """

    task: str
    judge: str
    annotators: int
    level: float
    alpha: Measure
