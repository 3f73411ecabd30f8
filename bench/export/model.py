"""One arm's policy as a folder for others: weights that transformers loads, and a model card."""

from __future__ import annotations

import errno
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.core.errors import BenchError, DamagedArtefact, DataError, did_you_mean
from bench.core.policy import BestOf, Built, Instructed, Outputs, PolicySpec, Pretrained, Proxy, Tuned
from bench.core.stage import Stage, StageIO, stages_in
from bench.engine.store import Store
from bench.export.model_card import Exported, model_card
from bench.pipeline.plan import Plan
from bench.results.conclusions.contrast import Contrast
from bench.results.summary import RunSummary

CARD = "README.md"
PolicyForm = Literal["merged", "adapter"]


@dataclass(frozen=True)
class PolicyChoice:
    """Which policy is wanted: the arm, its training seed (None: the first), and whether an adapter is merged."""

    arm: str
    seed: int | None = None
    form: PolicyForm = "merged"


def export_policy(
    plan: Plan, store: Store, summary: RunSummary, contrasts: Sequence[Contrast], wanted: PolicyChoice, folder: Path
) -> Path:
    """Return the folder after writing a policy and its model card into it; torch is imported here.

    What is at ``folder`` when this returns is whole: it is written beside it and renamed. Raises BenchError for an arm
    or a seed that the comparison lacks, for a policy that is not one model, and for a folder that is not empty;
    DataError where a stage that the policy rests on is not in the store.
    """
    seed = _seed(plan, wanted)
    spec = plan.policies[wanted.arm, seed]
    model = one_model(plan, wanted.arm, spec)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder} is there already and not empty. Choose another folder, or remove it first.")
    for stage in stages_in(spec):
        _finished(store, stage, plan, wanted.arm)
    exported = Exported(wanted.arm, seed, model, wanted.form)
    card = model_card(plan.comparison, summary, contrasts, exported)
    partial = folder.with_name(f".{uuid.uuid4().hex}.exported")
    partial.mkdir(parents=True)
    try:
        _write(model, wanted.form, StageIO(partial, partial, store.payload), partial)
        (partial / CARD).write_text(str(card), encoding="utf-8")
        partial.rename(folder)  # onto an empty folder too
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        raise BenchError(f"{folder}: another command has written there meanwhile. Choose another folder.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def one_model(plan: Plan, arm: str, spec: PolicySpec) -> Pretrained | Built | Tuned:
    """Return the policy when one folder of weights can hold it; raises BenchError with the reason when none can."""
    match spec:
        case Pretrained() | Built() | Tuned():
            return spec
        case Instructed():
            reason = (
                f"it is a model that reads an instruction in front of every chat ({spec.instruction!r}), and weights "
                "without that instruction are another policy"
            )
        case Proxy():
            reason = (
                "it is three models that write together (a base, an expert and an antiexpert), and no single model has "
                "these logits"
            )
        case BestOf():
            reason = f"it is the best of {spec.n} responses of another policy, a choice and not a model"
        case Outputs():
            reason = "it is outputs made elsewhere, texts and not a model"
    parts = [other for other in _inside(plan, spec) if other != arm]
    if parts:
        instead = f"What it is made of can be exported: {', '.join(parts)}."
    else:
        instead = f"These arms can be exported: {', '.join(_exportable(plan)) or 'none of this comparison'}."
    raise BenchError(f"'{arm}' cannot be exported as one model: {reason}. {instead}")


def _inside(plan: Plan, spec: PolicySpec) -> list[str]:
    """Return the arms whose policies are parts of a policy at the same seed."""
    parts: tuple[PolicySpec, ...]
    match spec:
        case Instructed() | BestOf():
            parts = (spec.base,)
        case Proxy():
            parts = (spec.base, spec.expert, spec.antiexpert)
        case _:
            parts = ()
    return list(dict.fromkeys(arm for (arm, _), policy in plan.policies.items() if policy in parts))


def _exportable(plan: Plan) -> list[str]:
    found = (arm for (arm, _), policy in plan.policies.items() if isinstance(policy, Pretrained | Built | Tuned))
    return list(dict.fromkeys(found))


def _seed(plan: Plan, wanted: PolicyChoice) -> int:
    """Return the training seed that is meant; raises BenchError for an arm or a seed that is not there."""
    arms = [arm.name for arm in plan.comparison.arms]
    if wanted.arm not in arms:
        raise BenchError(f"there is no method '{wanted.arm}' in the comparison. {did_you_mean(wanted.arm, arms)}")
    seeds = plan.comparison.given.seeds
    seed = seeds[0] if wanted.seed is None else wanted.seed
    if seed not in seeds:
        raise BenchError(f"there is no training seed {seed}; the comparison has {list(seeds)}. Choose one by --seed.")
    return seed


def _finished(store: Store, stage: Stage, plan: Plan, arm: str) -> None:
    again = f"bench run {Path(plan.comparison.path).parent}{' --portable' if store.holds_portable else ''}"
    try:
        found = store.find(stage)
    except DamagedArtefact as damage:
        raise DataError(f"{damage}. Run `{again}`: it is set aside and computed again.") from damage
    if found is None:
        raise DataError(
            f"{stage.label()}, which '{arm}' rests on, is not in the store {store.root}. Run `{again}`: "
            "stages that are there are not computed again."
        )


def _write(model: Pretrained | Built | Tuned, form: PolicyForm, io: StageIO, folder: Path) -> None:
    from bench.models.for_transformers import write_adapter, write_model  # noqa: PLC0415 - torch, which only an export needs

    if form == "merged":
        write_model(model, io, folder)
    elif isinstance(model, Tuned):
        write_adapter(model, io, folder)
    else:
        raise BenchError(
            "--adapter keeps the adapter of a trained policy, and this one was not trained. Leave it away."
        )
