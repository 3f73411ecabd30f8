"""The plan: every stage a comparison needs, keyed by content, so that equal stages coincide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench.config.comparison import Arm, Comparison
from bench.core.errors import BenchError, did_you_mean
from bench.core.frozen import children, digest
from bench.core.method import Given, Shared
from bench.core.policy import BestOf, Instructed, PolicySpec
from bench.core.reward import REWARD_MODEL_KIND
from bench.core.stage import Stage, stages_in
from bench.evaluation.api.api_settings import ApiSettings
from bench.evaluation.measurement import Cell, Design, judges_in
from bench.evaluation.measurements.divergence import divergence_bound
from bench.pipeline.brought.told import told_of_arms
from bench.pipeline.checks.models_planned import check_model_kinds, check_packed_weights


@dataclass(frozen=True)
class Plan:
    """All stages of a comparison by key, in an order in which inputs come first, and the cells that rest on them.

    ``waiting`` are cells whose judge cannot be asked yet (``Judge.waits_for``); their stages are not among ``stages``.
    ``told``: a line for everything that a reader must know of arms that rest on what was made elsewhere.
    """

    design: Design
    cells: tuple[Cell[Any], ...]
    waiting: tuple[Cell[Any], ...]
    stages: dict[str, Stage]
    told: tuple[str, ...] = ()

    @property
    def comparison(self) -> Comparison:
        """The comparison that is planned."""
        return self.design.comparison

    @property
    def policies(self) -> Mapping[tuple[str, int], PolicySpec]:
        """The policies by arm and training seed."""
        return self.design.policies

    def of(self, name: str) -> tuple[Cell[Any], ...]:
        """Return the cells of the measurement of that name, those that wait left out."""
        return tuple(cell for cell in self.cells if name == cell.measurement.NAME)

    def labels(self) -> dict[str, str]:
        """Return a readable name for every stage: its kind, and the arm and seed it is for.

        A stage that several arms or cells rest on is named after the first, and how many more there are; one that only
        leads to a cell's own stage after the first cell that it leads to.
        """
        users: dict[str, list[str]] = {key: [] for key in self.stages}
        for (arm, seed), policy in self.policies.items():
            for key in closure(stages_in(policy)):
                users[key].append(f"{arm}, seed {seed}")
        for cell in self.cells:
            users[cell.stage.key].append(cell.label())
        for cell in self.cells:
            for key in closure(cell.stage.inputs()):
                users[key] = users[key] or [cell.label()]
        return {key: f"{self.stages[key].KIND} ({in_short(names)})" for key, names in users.items()}

    def own_rewards(self) -> dict[str, tuple[str, ...]]:
        """Return for every judge the arms that learnt from it, judges of which there are none left out.

        Such an arm rests on a reward model that the judge rests on too, or asks the judge itself: as its reward, its
        labeller, or to choose among responses. That judge's view of that arm says how well the arm learnt to please it.
        """
        found: dict[str, list[str]] = {}
        judging = ((cell.seed, cell.judge) for cell in self.cells if cell.arms and cell.judge is not None)
        # Two judges may share a name where one compares and the other rates.
        judges = {(named.label, seed, digest(named.judge)): named.judge for seed, named in judging}
        rests_on = {which: closure(stages_in(judge)).keys() for which, judge in judges.items()}
        for (arm, seed), policy in self.policies.items():
            stages = closure(stages_in(policy))
            models = {key for key, stage in stages.items() if stage.KIND == REWARD_MODEL_KIND}
            teachers = {digest(judge) for part in (policy, *stages.values()) for judge in judges_in(part)}
            for (label, at, name), inputs in rests_on.items():
                same = models & inputs or name in teachers
                if at == seed and same and arm not in found.setdefault(label, []):
                    found[label].append(arm)
        return {label: tuple(arms) for label, arms in found.items() if arms}

    def bounds(self) -> dict[str, float]:
        """Return the largest divergence, in nats, of arms of which only that is known.

        It is known of arms that choose among what the arm writes from which divergences are measured.
        """
        reference = self.comparison.evaluation.divergence
        found: dict[str, float] = {}
        for (arm, seed), policy in self.policies.items():
            bound = divergence_bound(policy)
            if bound is not None and reference is not None and self.policies[reference, seed] in children(policy):
                found[arm] = bound
        return found

    def stages_of_arm(self, arm: str, seed: int) -> tuple[Stage, ...]:
        """Return every stage that one arm's policy rests on at one seed, inputs first."""
        return tuple(closure(stages_in(self.policies[arm, seed])).values())


def in_short(names: list[str]) -> str:
    """Return the first name and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def make_plan(comparison: Comparison) -> Plan:
    """Return the plan of a comparison. Nothing is computed, and torch is not imported.

    Raises BenchError, naming the arm, for a method that cannot be planned with what it is given, and for what cannot be
    done with the kind of a model.
    """
    policies = {
        (arm.name, seed): policy_of(comparison, arm, seed) for arm in comparison.arms for seed in comparison.given.seeds
    }
    design = Design(comparison, policies)
    check_gate(design)
    check_choice(design)
    told = told_of_arms(design)
    check_servers(comparison)
    cells = [cell for measurement in design.measurements for cell in measurement.cells(design)]
    # What is asked a second time comes behind all that is asked once.
    ready = sorted((cell for cell in cells if waits_for(cell) is None), key=lambda cell: cell.call)
    waiting = tuple(cell for cell in cells if waits_for(cell) is not None)
    plan = Plan(design, tuple(ready), waiting, closure(cell.stage for cell in ready), told)
    check_model_kinds(plan.stages, plan.labels)
    check_packed_weights(plan.stages, plan.labels)
    return plan


def policy_of(comparison: Comparison, arm: Arm, seed: int) -> PolicySpec:
    """Return the policy of one arm at one seed; raises BenchError naming the arm where its method cannot make one."""
    try:
        policy = arm.method.policy(given_for(comparison, arm, seed))
        for name in ("start", "reference"):
            if getattr(arm, name) is not None:
                without = arm.model_copy(update={name: None})
                if digest(arm.method.policy(given_for(comparison, without, seed))) == digest(policy):
                    raise BenchError(f"its `{name}:` changes nothing: it reads none, or has the same. Drop it.")
    except BenchError as error:
        raise BenchError(f"method '{arm.name}': {error}") from error
    return policy


def given_for(comparison: Comparison, arm: Arm, seed: int) -> Given:
    """Return what one arm is given at one seed."""
    shared = {name: getattr(comparison.given, name) for name in Shared.model_fields}
    own = {"lora": arm.lora, "start": arm.start, "reference": arm.reference}
    return Given(**{**shared, **own, "seed": training_seed(seed, arm.replicate)})


def training_seed(seed: int, replicate: str | None) -> int:
    """Return the seed of all training randomness of an arm: the given one, or one of its own for a replicate.

    A replicate repeats the whole procedure (its SFT start too), so a contrast with the arm it repeats shows what the
    instrument calls a difference when there is none.
    """
    if replicate is None:
        return seed
    return int.from_bytes(hashlib.sha256(f"{replicate}\x1f{seed}".encode()).digest()[:4], "big")


def check_gate(design: Design) -> None:
    """Raise BenchError for a criterion on a metric that nothing here measures.

    The comparison file has been checked for the metrics of this program; what other measurements measure is known here.
    """
    if not design.evaluation.measurements:
        return
    known = {metric.name for one in design.measurements for metric in one.metrics(design, ())}
    for criterion in design.comparison.gate:
        if criterion.metric not in known:
            near = did_you_mean(criterion.metric, known)
            raise BenchError(f"gate: nothing here measures '{criterion.metric}'. {near}")


def check_choice(design: Design) -> None:
    """Raise BenchError for an arm that chooses among several responses on a task whose responses are all equal."""
    for arm in design.comparison.arms:
        policy = design.policies[arm.name, design.seeds[0]]
        while isinstance(policy, Instructed | BestOf):
            greedy = [task.NAME for task in design.evaluation.tasks if task.decoding().is_greedy]
            if isinstance(policy, BestOf) and policy.n > 1 and greedy:
                raise BenchError(
                    f"method '{arm.name}' gives the best of {policy.n} responses, which are all equal on "
                    f"{', '.join(greedy)}: decoding is greedy there (temperature 0 or top_k 1). Give the task a "
                    f"temperature above 0, or leave out the task or '{arm.name}'."
                )
            policy = policy.base


def check_servers(comparison: Comparison) -> None:
    """Raise BenchError where one name of a model, in one version, is asked for at two servers.

    The server is in no key of an answer, so that one that moves keeps its answers: two would share theirs unseen.
    """
    servers: dict[tuple[str, str | None], dict[str, str]] = {}
    for asker in api_settings_in(comparison):
        address = urlsplit(asker.base_url)
        where = f"{address.scheme}://{address.netloc.lower()}{address.path.rstrip('/')}"
        servers.setdefault((asker.model, asker.version), {}).setdefault(where, asker.base_url)
    for (model, version), found in servers.items():
        if len(found) > 1:
            named = model if version is None else f"{model} (version {version})"
            raise BenchError(
                f"the model {named} is asked for at {' and at '.join(found.values())}. An answer is stored under the "
                "name of its model, whoever serves it, so that these would share their answers. Where they are two "
                "models, or one in two forms, add `version: ...` to tell them apart; where they are one, write the "
                "same base_url."
            )


def api_settings_in(value: Any) -> Iterator[ApiSettings]:
    """Yield the settings of everything in a value that asks a model behind an API: judges, labellers, verifiers."""
    for part in children(value):
        if isinstance(part, ApiSettings):
            yield part
        yield from api_settings_in(part)


def waits_for(cell: Cell[Any]) -> str | None:
    """Return what the judge of a cell waits for; None where it can be asked, and where there is no judge."""
    return None if cell.judge is None else cell.judge.judge.waits_for()


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
