"""Every field of every stage moves the key. The stages are found by import, so none escapes."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

import bench
import methods
import tasks
from bench.config.comparison import Factuality
from bench.config.load import load_comparison
from bench.core.benchmark import LmEvalTask
from bench.core.checker import Knowledge, PagesFile
from bench.core.data import Data
from bench.core.errors import BenchError
from bench.core.frozen import Frozen, Open, children, digest
from bench.core.judge import Judge
from bench.core.method import Budget, Given, Lora
from bench.core.plugins import METHOD, WORLD, listing
from bench.core.policy import Adapter, Pretrained, Proxy
from bench.core.stage import Stage, stages_in
from bench.evaluation.checkers.extractors.atomic import AtomicFacts
from bench.evaluation.checkers.retrievers.bm25 import BM25
from bench.evaluation.checkers.verifiers.nli import Inference
from bench.evaluation.generate import Generate
from bench.evaluation.judge_texts import JudgeTexts, TextPair
from bench.evaluation.judges.api import Api
from bench.evaluation.judges.human import Human
from bench.evaluation.judges.lexicon import Lexicon
from bench.evaluation.judges.likelihood import Likelihood
from bench.evaluation.judges.reward_model import RewardModelJudge
from bench.evaluation.measurements.divergence import Divergence
from bench.evaluation.measurements.factuality.factual_errors import checked
from bench.evaluation.measurements.judge_controls import CompareByControls
from bench.evaluation.measurements.judge_retest import AskAgain
from bench.evaluation.measurements.label_agreement import LabelPairs
from bench.evaluation.measurements.lm_eval import LmEval
from bench.evaluation.measurements.multiple_choice import WeighChoices
from bench.evaluation.measurements.ratings import RateResponses
from bench.evaluation.measurements.token_shift import TokenShift
from bench.pipeline.plan import closure, make_plan
from methods.dpo import DPO
from tests.fakes import Number

ROOT = Path(__file__).resolve().parents[2]
PAID = Api.model_validate({"model": "m", "base_url": "http://localhost/v1", "temperature": 0.7, "samples": 2})
AROUND = {"rlaif", "constitutional"}  # methods around another one
# Arms made elsewhere, which are nothing without what was brought.
BROUGHT: dict[str, dict[str, Any]] = {
    "policy": {"model": Pretrained(path="p", digest="own", adapters=(Adapter(path="p", digest="d"),))},
    "outputs": {"path": "p", "digest": "d", "columns": {"prompt": "question"}},
}


def stage_classes() -> set[type[Stage]]:
    """All concrete stages of the three packages."""
    for package in (bench, methods, tasks):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.startswith(("bench.models", "bench.engine.worker", "methods._train", "tasks._atlas")):
                importlib.import_module(module.name)
    found, pending = set(), [Stage]
    while pending:
        for cls in pending.pop().__subclasses__():
            pending.append(cls)
            ours = cls.__module__.startswith(("bench.", "methods.", "tasks.")) and cls.__module__ in sys.modules
            if ours and "KIND" in cls.__dict__:
                found.add(cls)
    return found


def planned_stages() -> list[Stage]:
    """One plan of everything: every method on fake data, and the quickstart."""
    number = Number(value=1, journal="j")
    given = Given(
        base=Pretrained(path="p", digest="d"),
        small=Pretrained(path="p", digest="small"),
        demonstrations=Data(path="p", digest="d"),
        preferences=Data(path="p", digest="d"),
        prompts=Data(path="p", digest="d"),
        labeller=Likelihood.model_validate({"policy": Pretrained(path="p", digest="d")}),
        lora=Lora(),
        budget=Budget(axis="examples", value=10.0),
        seed=3,
    )
    variants: list[tuple[str, dict[str, Any]]] = [
        (name, BROUGHT.get(name, {"then": DPO()} if name in AROUND else {})) for name in listing(METHOD)
    ]
    variants += [("rahf", {"variant": "dual"}), ("rlaif", {}), ("constitutional", {}), ("rlaif", {"reward": "direct"})]
    variants += [("rlaif", {"then": DPO(), "pairs": "sampled"}), ("ppo", {"ptx": 1.0})]
    policies = [listing(METHOD)[name].cls(**fields).policy(given) for name, fields in variants]
    labelled = given.model_copy(update={"preferences": Data(path="p", digest="d", format="unpaired")})
    policies.append(listing(METHOD)["kto"].cls().policy(labelled))
    stages = closure(stage for policy in policies for stage in stages_in(policy))
    stages |= make_plan(load_comparison(ROOT / "results" / "quickstart")).stages
    for entry in listing(WORLD).values():
        world = entry.cls()
        specs = [*(world.policy(size) for size in world.sizes()), *(world.data(split, 5) for split in world.splits())]
        stages |= closure(stage for spec in specs for stage in stages_in(spec))
    learnt = RewardModelJudge(of="best_of_n").bound(lambda name: listing(METHOD)[name].cls().policy(given))
    proxied = next(policy for policy in policies if isinstance(policy, Proxy))
    benchmark = LmEvalTask(name="x", harness="1", digest="d", folder="p")
    factuality = Factuality(
        tasks=("t",),
        extractor=AtomicFacts.model_validate({"policy": Pretrained(path="p", digest="d")}),
        verifier=Inference(path="p", digest="d"),
        knowledge=Knowledge(source=PagesFile(path="p", digest="d"), retriever=BM25()),
    )
    answers = next(stage for stage in stages.values() if isinstance(stage, Generate))
    stages |= closure(
        [
            LmEval(policy=proxied, task=benchmark, seed=0),
            TokenShift(responses=answers.model_copy(update={"policy": proxied})),
            RateResponses(responses=answers, judge=learnt),
            CompareByControls(a=answers, b=answers, orders="both"),
            AskAgain(a=answers, b=answers, judge=learnt, orders="both", prompts=5),
            Divergence(responses=answers, reference=answers.policy),
            checked(answers, factuality),
            WeighChoices(policy=answers.policy, task=answers.task),
            LabelPairs(data=Data(path="p", digest="d"), judge=learnt),
            JudgeTexts(pairs=(TextPair(prompt=answers.task.prompts()[0], a="one", b="other"),), judge=learnt),
            *(
                LabelPairs(data=Data(path="p", digest="d"), judge=judge)
                for judge in (PAID, Human(path="p", digest="d"))
            ),
        ]
    )
    assert number.key not in stages
    return list(stages.values())


def replacements(value: Any) -> Iterator[Any]:
    """Values that differ from this one, of kinds that a field may take; validation chooses."""
    if isinstance(value, Frozen):
        for name in type(value).model_fields:
            if name not in value.LOCATIONS:
                for other in replacements(getattr(value, name)):
                    try:
                        yield value.model_copy(update={name: other})
                    except (ValidationError, BenchError, TypeError):
                        continue
    if isinstance(value, Judge):
        yield Lexicon(path="p", digest="d")
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value / 2, value * 2)
    elif isinstance(value, str):
        yield from ("both", "first", "evaluation", "dev", "mean", "sum", "linear", "constant", "pairs", value + "x")
    elif isinstance(value, tuple):
        yield from (value[:-1], value + value[-1:], (*value, "x"))
        yield from ((other, *value[1:]) for other in replacements(value[0])) if value else ()
    elif isinstance(value, dict):
        yield {**value, "another": "x"}
    elif value is None:
        yield from (1, 0.5, "x", Lora(), Budget(axis="tokens", value=3.0))


def changed(stage: Stage, name: str) -> Stage | None:
    """Return the stage with that one field changed, or None when no valid change was found."""
    before = getattr(stage, name)
    annotation = type(stage).model_fields[name].annotation
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    for other in (*choices, *replacements(before)):
        if other == before:
            continue
        try:
            return stage.model_copy(update={name: other})
        except (ValidationError, BenchError):
            continue
    return None


def test_every_stage_of_the_packages_is_examined() -> None:
    missing = {cls.__name__ for cls in stage_classes()} - {type(stage).__name__ for stage in planned_stages()}
    assert not missing
    assert len(stage_classes()) >= 15


def test_every_field_of_every_stage_moves_its_key() -> None:
    # Of each class the stage with the most fields set: a field that is None says little of what else it may hold.
    planned = sorted(planned_stages(), key=lambda stage: sum(value is not None for _, value in stage))
    examples = {type(stage): stage for stage in planned}
    fields = 0
    for cls, stage in examples.items():
        for name in cls.model_fields:
            other = changed(stage, name)
            assert other is not None, f"{cls.__name__}.{name}: no other valid value found"
            assert other.key != stage.key, f"{cls.__name__}.{name} is not in the key"
            fields += 1
    assert fields > 100


def test_every_field_of_every_part_moves_the_key() -> None:
    """Deeper than fields of the stage: settings, adapters, decodings, tasks, judges, data."""
    seen: set[tuple[type, str]] = set()
    for stage in planned_stages():
        for name in type(stage).model_fields:
            part = getattr(stage, name)
            if not isinstance(part, Frozen) or isinstance(part, Stage):
                continue
            for inner in type(part).model_fields:
                if inner in part.LOCATIONS or (type(part), inner) in seen:
                    continue
                for other in replacements(getattr(part, inner)):
                    try:
                        copy = stage.model_copy(update={name: part.model_copy(update={inner: other})})
                    except (ValidationError, BenchError, TypeError):
                        continue
                    if getattr(part, inner) != other:
                        assert copy.key != stage.key, f"{type(part).__name__}.{inner} is not in the key"
                        seen.add((type(part), inner))
                        break
    assert len(seen) >= 40


def test_versions_of_tasks_and_judges_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {type(stage).__name__: stage for stage in planned_stages()}
    for stage in (stages["Generate"], stages["JudgePairs"]):
        for part in children(stage):
            if isinstance(part, Open) and not isinstance(part, Stage):
                before = stage.model_copy().key
                monkeypatch.setattr(type(part), "VERSION", 99)
                assert stage.model_copy().key != before
                monkeypatch.undo()


def test_what_is_in_the_key_of_a_paid_judge() -> None:
    """All that changes an answer, and nothing that only says how it is had."""
    moved = {}
    for name in Api.model_fields:
        for other in [*FURTHER.get(name, ()), *replacements(getattr(PAID, name))]:
            try:
                copy = PAID.model_copy(update={name: other})
            except (ValidationError, BenchError, TypeError):
                continue
            if getattr(copy, name) != getattr(PAID, name):
                moved[name] = digest(copy) != digest(PAID)
                break
    assert moved.keys() == Api.model_fields.keys() - {"path"}  # which takes the place of `prompt`
    assert {name for name, moves in moved.items() if not moves} == PAID.LOCATIONS - {"path"}
    assert len(Api.LOCATIONS) == 10


# Other values of fields that take few.
FURTHER: dict[str, tuple[Any, ...]] = {
    "base_url": ("https://elsewhere/v1",),
    "limit_as": ("max_completion_tokens",),
    "asks": ("grades",),
    "reasoning": ("written",),
    "ties": ("allowed",),
    "prices": ({"input": 1.0, "output": 2.0},),
    "spending_limit": ({"calls": 10},),
    "prompt": ("harmless",),
}
