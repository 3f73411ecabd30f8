"""The plan: every stage a comparison needs, keyed by content, so that equal stages coincide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.config.comparison import Comparison
from bench.core.frozen import children, digest
from bench.core.policy import PolicySpec
from bench.core.reward import REWARD_MODEL_KIND
from bench.core.stage import Stage, stages_in
from bench.evaluation.generate import Generate
from bench.evaluation.measurement import bound, judges_in
from bench.evaluation.measurements.divergence import divergence_bound
from bench.evaluation.measurements.ratings import RateResponses
from bench.evaluation.measurements.scores import ScoreResponses
from bench.pipeline.planning.asked import benchmarks, divergences, labellers, shifts
from bench.pipeline.planning.audited import controls, second_calls
from bench.pipeline.planning.cells import (
    AskedAgain,
    Benchmarked,
    Cell,
    Controlled,
    Diverged,
    Judged,
    Labelled,
    Rated,
    Scored,
    Shifted,
)
from bench.pipeline.planning.choices import Weighed, choice_stages, choices_weighed
from bench.pipeline.planning.facts import Checked, claim_stages, claims_checked
from bench.pipeline.planning.judged import judgings
from bench.pipeline.planning.policies import policy_of


@dataclass(frozen=True)
class Plan:
    """All stages of a comparison by key, in an order in which inputs come first, and what each cell rests on.

    ``waiting`` are cells whose judge cannot be asked yet (``Judge.waits_for``); their stages are not among ``stages``.
    """

    comparison: Comparison
    policies: dict[tuple[str, int], PolicySpec]
    scored: tuple[Scored, ...]
    judged: tuple[Judged, ...]
    rated: tuple[Rated, ...]
    diverged: tuple[Diverged, ...]
    labelled: tuple[Labelled, ...]
    benchmarked: tuple[Benchmarked, ...]
    shifted: tuple[Shifted, ...]
    controlled: tuple[Controlled, ...]
    asked_again: tuple[AskedAgain, ...]
    checked: tuple[Checked, ...]
    weighed: tuple[Weighed, ...]
    stages: dict[str, Stage]
    waiting: tuple[Judged, ...] = ()

    def labels(self) -> dict[str, str]:
        """Return a name for every stage that a person can place: its kind, and the arm and seed it is for.

        A stage that several cells rest on is named after the first arm, and how many more there are.
        """
        users: dict[str, list[str]] = {key: [] for key in self.stages}
        for (arm, run), policy in self.policies.items():
            for key in closure(stages_in(policy)):
                users[key].append(f"{arm}, seed {run}")
        for stage, user in self._asked():
            users[stage.key].append(user)
        return {key: f"{self.stages[key].KIND} ({in_short(names or ['a judge'])})" for key, names in users.items()}

    def _asked(self) -> Iterator[tuple[Stage, str]]:
        """Yield every evaluation stage with the cell it is for."""
        for scored in self.scored:
            for stage in (scored.stage, scored.stage.responses):
                yield stage, f"{scored.arm}, seed {scored.run}"
        pairs: list[Judged | Controlled | AskedAgain] = [*self.judged, *self.controlled, *self.asked_again]
        for judged in pairs:
            yield judged.stage, f"{judged.a} vs {judged.b}, seed {judged.run}"
        for rated in self.rated:
            yield rated.stage, f"{rated.arm} by {rated.judge.label}, seed {rated.run}"
        for diverged in self.diverged:
            for part in (diverged.stage, diverged.stage.responses):
                yield part, f"{diverged.arm}, seed {diverged.run}"
        for benchmarked in self.benchmarked:
            yield benchmarked.stage, f"{benchmarked.arm} on {benchmarked.task.name}, seed {benchmarked.run}"
        for shifted in self.shifted:
            yield shifted.stage, f"{shifted.arm}, seed {shifted.run}"
        yield from claim_stages(self.checked)
        yield from choice_stages(self.weighed)
        for labelled in self.labelled:
            yield labelled.stage, labelled.judge.label
            if labelled.again is not None:
                yield labelled.again, f"{labelled.judge.label}, second call"

    def own_rewards(self) -> dict[str, tuple[str, ...]]:
        """Return for every judge the arms that learnt from it, judges of which there are none left out.

        Such an arm rests on a reward model that the judge rests on too, or asks the judge itself: as its reward, its
        labeller, or to choose among responses. That judge's view of that arm says how well the arm learnt to please it.
        """
        found: dict[str, list[str]] = {}
        cells: list[Judged | Rated] = [*self.judged, *self.rated]
        # Two judges may share a name where one compares and the other rates.
        asked = {(cell.judge.label, cell.run, digest(cell.judge.judge)): cell.judge.judge for cell in cells}
        rests_on = {which: closure(stages_in(judge)).keys() for which, judge in asked.items()}
        for (arm, run), policy in self.policies.items():
            stages = closure(stages_in(policy))
            models = {key for key, stage in stages.items() if stage.KIND == REWARD_MODEL_KIND}
            teachers = {digest(judge) for part in (policy, *stages.values()) for judge in judges_in(part)}
            for (label, at, name), inputs in rests_on.items():
                same = models & inputs or name in teachers
                if at == run and same and arm not in found.setdefault(label, []):
                    found[label].append(arm)
        return {label: tuple(arms) for label, arms in found.items() if arms}

    def bounds(self) -> dict[str, float]:
        """Return the largest divergence, in nats, of arms of which only that is known.

        It is known of arms that choose among what the arm writes from which divergences are measured.
        """
        reference = self.comparison.evaluation.divergence
        found: dict[str, float] = {}
        for (arm, run), policy in self.policies.items():
            bound = divergence_bound(policy)
            if bound is not None and reference is not None and self.policies[reference, run] in children(policy):
                found[arm] = bound
        return found

    def stages_of_arm(self, arm: str, run: int) -> tuple[Stage, ...]:
        """Return every stage that one arm's policy rests on at one run, inputs first."""
        return tuple(closure(stages_in(self.policies[arm, run])).values())


def in_short(names: list[str]) -> str:
    """Return the first name and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def make_plan(comparison: Comparison) -> Plan:
    """Return the plan of a comparison. Nothing is computed, and torch is not imported.

    Raises BenchError, naming the arm, for a method that cannot be planned with what it is given.
    """
    policies = {
        (arm.name, run): policy_of(comparison, arm, run) for arm in comparison.arms for run in comparison.given.seeds
    }
    evaluation = comparison.evaluation
    answers = {
        (task.NAME, arm, run): Generate(policy=policy, task=task, draws=evaluation.draws, seed=run)
        for task in evaluation.tasks
        for (arm, run), policy in policies.items()
    }
    scored = [
        Scored(arm, run, task, ScoreResponses(responses=answers[task.NAME, arm, run]))
        for task in evaluation.tasks
        for arm, run in policies
    ]
    verdicts = tuple(judgings(comparison, policies, answers))
    waiting = tuple(cell for cell in verdicts if cell.judge.judge.waits_for() is not None)
    judged = [cell for cell in verdicts if cell.judge.judge.waits_for() is None]
    rated = [
        Rated(arm, run, task, judge, RateResponses(responses=answers[task.NAME, arm, run], judge=judge.judge))
        for task in evaluation.tasks
        for arm, run in policies
        for judge in bound(evaluation.ratings, policies, run)
    ]
    diverged = tuple(divergences(comparison, policies))
    labelled = tuple(labellers(comparison, policies))
    benchmarked = tuple(benchmarks(comparison, policies))
    shifted = tuple(shifts(policies, answers, evaluation.tasks))
    controlled = tuple(controls(comparison, answers))
    asked_again = tuple(second_calls(comparison, policies, answers))
    checked = tuple(claims_checked(comparison, answers))
    weighed = tuple(choices_weighed(comparison, policies))
    cells: list[Cell | Checked | Weighed] = [
        *scored, *judged, *rated, *diverged, *labelled, *benchmarked, *shifted, *checked, *weighed
    ]  # fmt: skip
    targets: list[Stage] = [cell.stage for cell in [*cells, *controlled, *asked_again]]
    targets += [cell.again for cell in labelled if cell.again is not None]
    return Plan(
        comparison=comparison,
        policies=policies,
        scored=tuple(scored),
        judged=tuple(judged),
        rated=tuple(rated),
        diverged=diverged,
        labelled=labelled,
        benchmarked=benchmarked,
        shifted=shifted,
        controlled=controlled,
        asked_again=asked_again,
        checked=checked,
        weighed=weighed,
        stages=closure(targets),
        waiting=waiting,
    )


def closure(stages: Iterable[Stage]) -> dict[str, Stage]:
    """Return the stages and everything they rest on, by key, inputs before what reads them."""
    found: dict[str, Stage] = {}
    pending: list[tuple[Stage, Iterator[Stage]]] = []
    for target in stages:
        if target.key in found:
            continue
        pending.append((target, iter(target.inputs())))
        while pending:
            stage, rest = pending[-1]
            step = next((candidate for candidate in rest if candidate.key not in found), None)
            if step is None:
                found.setdefault(stage.key, stage)
                pending.pop()
            else:
                pending.append((step, iter(step.inputs())))
    return found
