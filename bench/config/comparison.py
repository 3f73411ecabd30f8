"""The Comparison: what a comparison file says, checked and resolved, as one frozen value."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from bench.core.benchmark import LmEvalTask
from bench.core.checker import Extractor, Knowledge, Verifier
from bench.core.data import DataSpec
from bench.core.frozen import Frozen
from bench.core.judge import Judge
from bench.core.method import Lora, Method, Shared
from bench.core.metrics import FEWEST_FACTS, WIN_RATE
from bench.core.policy import Kept, PolicySpec
from bench.core.task import Task


class Common(Shared):
    """What all arms share, ``lora`` where an arm has none of its own, and ``seeds``: one training run for each.

    ``dtype`` has been given to ``base`` and ``small`` already, where they do not say their own.
    """

    dtype: Annotated[
        Kept,
        Field(description="what base and small, and all that starts from them, compute in; trained weights: float32"),
    ] = "float32"
    seeds: Annotated[
        tuple[NonNegativeInt, ...],
        Field(
            min_length=1,
            json_schema_extra={"uniqueItems": True},
            description="training seeds: one training run of every method for each",
        ),
    ]


class Arm(Frozen):
    """One treatment under the name that the file gives it.

    A replicate has the same settings as the arm it repeats, and training randomness of its own. ``lora`` is the
    adapter of this arm (the common one unless the file says otherwise). ``start`` and ``reference``: policies made
    elsewhere in the place of its supervised start, and of the start as the reference of its loss.
    """

    ADDED: ClassVar[frozenset[str]] = frozenset({"start", "reference"})

    name: str
    method: Method
    lora: Lora | None
    replicate: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        Field(description="a name for an independent repetition: an A/A control"),
    ] = None
    start: PolicySpec | None = None
    reference: PolicySpec | None = None


class Named(Frozen):
    """A judge under the name that rows and tables give it, which is no part of the judge and of no stage's key."""

    label: str
    judge: Judge


class Labelling(Frozen):
    """How often judges agree with the labels that a data set of preferences holds."""

    data: DataSpec
    judges: tuple[Named, ...]


class Factuality(Frozen):
    """How the claims of responses are found and checked, on the tasks of those names.

    ``knowledge`` is None for a verifier that asks the task.
    """

    tasks: tuple[str, ...]
    extractor: Extractor
    knowledge: Annotated[Knowledge | None, Field(description="what a verifier retrieves passages from")] = None
    verifier: Verifier
    gamma: Annotated[
        float,
        Field(ge=0, description="FActScore counts a response with no more claims than this for less; 0 is no penalty"),
    ] = FEWEST_FACTS


class GapClosed(Frozen):
    """A question: which share of the gap from ``start`` to ``goal`` the arm ``of`` closes. None: every judge."""

    of: str
    start: str
    goal: str
    metric: str
    judge: str | None = None


class AlignmentTax(Frozen):
    """What a method may cost on benchmarks: worse than ``versus`` by less than ``margin``, on each metric's scale."""

    versus: str
    margin: Annotated[float, Field(gt=0)] = 0.02


class StatisticsTable(Frozen):
    """A file that the statistics read, by the digest of its bytes."""

    path: str
    digest: str

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})


class LengthControl(Frozen):
    """How a win rate at equal length is estimated beside the plain one; see docs/statistics.md for the models.

    Only ``glm`` reads the rest. ``difficulty`` of a prompt: not in the model, ``estimated`` from the other methods of
    this run, or ``by_id`` from ``difficulty_file``. Calibration rows tell what length does where it was changed on
    purpose: a ``calibration`` table, or the verdicts on ``calibration_arms``, which are the arm ``versus`` made
    verbose or concise.
    """

    model: Literal["none", "glm", "ratio", "log_ratio", "matched"] = "none"
    difficulty: Literal["none", "estimated", "by_id"] = "none"
    difficulty_file: StatisticsTable | None = None
    calibration: StatisticsTable | None = None
    calibration_arms: tuple[str, ...] = ()


class Evaluation(Frozen):
    """How all arms are scored. ``contrasts`` are the pairs (a, b) that the statistics will test, in order.

    ``tasks`` are answered and their answers scored and judged; ``benchmarks`` are tasks of lm-eval, which scores by
    itself. ``judges`` compare the responses of two arms. ``versus`` is the arm that win rates are against, None
    without any; ``divergence`` is one too.
    """

    tasks: tuple[Task, ...]
    benchmarks: tuple[LmEvalTask, ...] = ()
    judges: tuple[Named, ...]
    orders: Literal["both", "first"] = "both"
    retest: Annotated[
        NonNegativeInt,
        Field(description="on how many prompts of a pair a judge that draws noise is asked again with other noise"),
    ] = 50
    length_control: Annotated[
        LengthControl, Field(description="how a second win rate is estimated at equal length")
    ] = LengthControl()
    draws: PositiveInt = 1
    contrasts: tuple[tuple[str, str], ...]
    ratings: Annotated[tuple[Named, ...], Field(description="judges that rate every response on their own scale")] = ()
    divergence: Annotated[
        str | None, Field(description="the KL divergence of every arm from the policy of this one")
    ] = None
    labelling: Labelling | None = None
    factuality: Factuality | None = None
    measurements: Annotated[
        tuple[str, ...], Field(description="further measurements, each by its name or as a .py file beside this one")
    ] = ()
    versus: str | None = None
    gap_closed: Annotated[
        tuple[GapClosed, ...], Field(description="which share of the gap between two methods a third one closes")
    ] = ()
    tax: Annotated[
        AlignmentTax | None, Field(description="within which margin every arm must keep the benchmarks of this one")
    ] = None


class Primary(Frozen):
    """What the question is about: a metric, and the judge that gives it (None for a metric without a judge)."""

    metric: str
    judge: Annotated[str | None, Field(description="the first declared judge by default")] = None


class StatisticsSettings(Frozen):
    """How certain a verdict must be. ``missing`` says what to do with an incomplete crossing.

    ``primary`` is what the question is about, None for the default (``Comparison.primary``). ``secondary``: verdicts
    on all else stand ``beside`` it, each family corrected by itself, or count ``after_primary`` only (gatekeeping).

    ``interval``: that of the test, or one of the cluster bootstrap over prompts (for one training seed). ``detect`` is
    a difference on the scale of the primary metric: the report says which seeds and prompts it needs.
    ``seed_variance``: each contrast's own, or moderated over the contrasts of its family on the same task. ``test``:
    the default one, or ``betting``, which holds for any skewness of bounded values (one training seed).
    """

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    correction: Literal["holm", "max_t", "benjamini_hochberg", "none"] = "holm"
    test: Annotated[
        Literal["t", "betting"],
        Field(description="the default, or betting: for a metric with bounds and one training seed, at any skewness"),
    ] = "t"
    interval: Literal["t", "bootstrap", "bca"] = "t"
    seed_variance: Literal["moderated", "own"] = "moderated"
    resamples: Annotated[int, Field(ge=200)] = 10_000
    missing: Literal["refuse", "drop_prompts"] = "refuse"
    primary: Annotated[Primary | None, Field(description="what the question is about")] = None
    secondary: Annotated[
        Literal["beside", "after_primary"],
        Field(description="whether verdicts on all else count by themselves, or only after the primary ones"),
    ] = "beside"
    detect: Annotated[float, Field(gt=0)] | None = None


# What `versus` says for "itself in an earlier run"; no arm of a gated comparison may be called so.
BASELINE = "baseline"


class Criterion(Frozen):
    """One line of the gate, declared before the run. Exactly one of the three margins is set.

    ``superior_by``: a must beat b by more than this. ``not_worse_by``: a may be worse than b by less than this.
    ``equivalent_within``: a and b must differ by less than this. Margins are on the metric's scale. With ``versus:
    baseline`` b is the same method in an earlier run, whose values are in a baseline file.
    """

    metric: str
    method: str
    versus: str
    judge: str | None = None
    task: str | None = None
    superior_by: float | None = None
    not_worse_by: Annotated[float, Field(gt=0)] | None = None
    equivalent_within: Annotated[float, Field(gt=0)] | None = None

    @property
    def against_baseline(self) -> bool:
        """Whether the method is held against itself in an earlier run."""
        return self.versus == BASELINE


class GateSettings(Frozen):
    """How the gate decides. ``correction``: over its superiority claims, and over its regressions.

    ``baseline``: the file of the earlier run that ``versus: baseline`` means; None for ``baseline.json`` beside the
    comparison.
    """

    correction: Literal["holm", "none"] = "holm"
    baseline: str | None = None


class Comparison(Frozen):
    """A whole comparison. ``name`` is its folder's name, ``path`` the file it was read from."""

    name: str
    path: str
    question: str
    given: Common
    arms: tuple[Arm, ...]
    evaluation: Evaluation
    statistics: StatisticsSettings = StatisticsSettings()
    gate: tuple[Criterion, ...] = ()
    gate_settings: GateSettings = GateSettings()
    timeout: Annotated[
        Annotated[float, Field(gt=0, allow_inf_nan=False)] | None,
        Field(description="the most seconds that one attempt at a stage may take; no limit where it is left out"),
    ] = None

    # How long a stage may take changes nothing of what it computes.
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path", "timeout"})

    def arm(self, name: str) -> Arm:
        """Return the arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def primary(self) -> Primary | None:
        """What the question is about.

        As the file says; else the win rate of the first declared judge; else the first metric with a better side of
        the first declared task that has one. None without any of these.
        """
        if self.statistics.primary is not None:
            return self.statistics.primary
        if self.evaluation.judges:
            return Primary(metric=WIN_RATE.name, judge=self.evaluation.judges[0].label)
        for task in self.evaluation.tasks:
            for metric in task.METRICS:
                if metric.higher_is_better is not None and metric.name != WIN_RATE.name:
                    return Primary(metric=metric.name)
        return None

    def repeats(self, a: str, b: str) -> bool:
        """Tell whether two arms differ in nothing but ``replicate``: an A/A control."""
        one, other = self.arm(a), self.arm(b)
        return one.replicate != other.replicate and one.method == other.method and one.lora == other.lora
