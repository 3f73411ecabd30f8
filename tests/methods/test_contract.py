"""What every method must do, for every file in methods/: the folder is the list."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch

import methods
from bench.core.data import Data, Made
from bench.core.errors import BenchError
from bench.core.frozen import Frozen, decode, digest, encode
from bench.core.judge import Judge
from bench.core.method import Budget, Given, Lora, Method
from bench.core.policy import Decoding, Instructed, Message, Pretrained, Proxy, Tuned
from bench.core.reward import FileReward, ModelReward
from bench.core.stage import Stage
from bench.evaluation.judges.likelihood import Likelihood
from bench.models.load import load_policy
from methods._train.feedback.revise import Principle
from methods._train.settings import Optimisation
from methods.dpo import DPO
from tests.methods.learners import BY_PRINCIPLE, Rewarded, Words, labeller
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, log, pretrained

FOLDER = Path(methods.__file__).parent
NOT_METHODS = {"__init__", "_shared"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NOT_METHODS)
# Arms that are as they are: nothing given changes them, and nothing is trained.
AS_IT_IS = {"base", "policy", "outputs"}
BROUGHT: dict[str, dict[str, Any]] = {
    "policy": {"model": Pretrained(path="p", digest="d")},
    "outputs": {"path": "p", "digest": "d"},
}
PLANNED = [name for name in NAMES if name not in AS_IT_IS]
TRAINED = [name for name in PLANNED if name != "best_of_n"]  # which chooses among the start's responses
# Methods that train nothing by themselves: what they steer by is the policy of another method.
STEERED = ["proxy_tuning"]
# Methods around another method.
AROUND = {"rlaif", "constitutional"}
THEN = DPO()
# Settings that only some variants read: each field must change the key of one of these.
EXAMPLES: dict[str, tuple[dict[str, Any], ...]] = {
    "rahf": ({}, {"variant": "dual"}),
    "expert_iteration": ({"rounds": 2},),
    "rlaif": ({"then": THEN}, {"then": THEN, "pairs": "sampled"}, {"then": Rewarded()}),
    "constitutional": ({"then": THEN},),
}
ON_POLICY = {"ppo", "rloo", "grpo", "reinforce"}
PRINCIPLES = (
    Principle(name="one", critique="what", revision="so", choice="red"),
    Principle(name="two", critique="why", revision="do", choice="tea"),
)
WITH_REFERENCE = {"dpo", "cdpo", "ipo", "rdpo", "hinge", "kto"}


def method_of(name: str) -> type[Method]:
    module = importlib.import_module(f"methods.{name}")
    found = [
        item
        for _, item in inspect.getmembers(module, inspect.isclass)
        if issubclass(item, Method) and item.__module__ == module.__name__
    ]
    assert len(found) == 1, f"{name}.py must define exactly one Method"
    return found[0]


def made(name: str, **fields: Any) -> Method:
    """The method at its defaults, around DPO if it is around another one."""
    own = BROUGHT.get(name, {"then": THEN} if name in AROUND else {})
    return method_of(name).model_validate({**own, **fields})


@pytest.fixture
def given(tmp_path: Path) -> Given:
    base = pretrained(tmp_path / "model")
    principled = {**labeller(tmp_path, base, BY_PRINCIPLE), "principles": ("red", "tea")}
    return Given(
        base=base,
        small=pretrained(tmp_path / "small", seed=1, hidden=8),
        demonstrations=data(tmp_path / "demonstrations.jsonl", DEMONSTRATIONS),
        preferences=data(tmp_path / "preferences.jsonl", PREFERENCES),
        prompts=data(tmp_path / "prompts.jsonl", [{"prompt": row["prompt"]} for row in DEMONSTRATIONS]),
        labeller=Likelihood.model_validate(principled),
        seed=0,
    )


def tuned(method: Method, given: Given) -> Tuned:
    """The trained policy that a method plans, without an instruction it may read on top or a base that it steers."""
    spec = method.policy(given)
    while isinstance(spec, Instructed | Proxy):
        spec = spec.expert if isinstance(spec, Proxy) else spec.base
    assert isinstance(spec, Tuned)
    return spec


def key_of(method: Method, given: Given) -> str:
    return digest(method.policy(given))


def test_the_folder_is_complete() -> None:
    assert set(NAMES) >= {"base", "sft", "dpo", "cdpo", "ipo", "rdpo", "hinge", "simpo", "orpo", "kto"}
    assert len({method_of(name) for name in NAMES}) == len(NAMES) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_it_is_documented(name: str) -> None:
    method = method_of(name)
    assert method.__doc__
    assert "arXiv" in (sys.modules[method.__module__].__doc__ or "") or name in {*AS_IT_IS, "sft", "cdpo"}


def test_planning_does_not_import_torch() -> None:
    code = (
        "import sys, importlib\n"
        f"[importlib.import_module('methods.' + name) for name in {NAMES!r}]\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, check=False).returncode == 0


@pytest.mark.parametrize("name", TRAINED)
def test_it_plans_and_its_plan_survives_json(name: str, given: Given) -> None:
    spec = tuned(made(name), given)
    again = decode(encode(spec.by))
    assert again == spec.by
    assert again.key == spec.by.key
    assert spec.by.RESOURCES.accelerator


def changed(value: Any, annotation: Any) -> Iterator[Any]:
    """Values of the same kind that differ from the given one, for any field of a method or stage."""
    if get_origin(annotation) is Literal:
        yield from (choice for choice in get_args(annotation) if choice != value)
    elif isinstance(value, Optimisation):
        yield value.model_copy(update={"lr": 0.123})
    elif isinstance(value, Lora):
        yield value.model_copy(update={"rank": value.rank + 1})
    elif isinstance(value, Budget):
        yield value.model_copy(update={"value": value.value + 1})
    elif isinstance(value, Data | Made):
        yield value.model_copy(update={"limit": 3})
    elif isinstance(value, Judge):
        yield Words()
    elif isinstance(value, ModelReward):
        yield FileReward(path="reward.py", digest="d")
    elif isinstance(value, Stage):
        yield from (other for _, other in revised(value, some=True))
    elif isinstance(value, Tuned | Pretrained):
        yield Pretrained(repo="another")
    elif isinstance(value, Instructed):
        yield value.model_copy(update={"instruction": "other"})
    elif isinstance(value, Frozen):
        yield from (other for _, other in revised(value, some=True))
    elif isinstance(value, str):
        yield from ("brief", value + "x")
    elif isinstance(value, tuple):
        yield (value[0] / 2, *value[1:])
    elif isinstance(value, float):
        yield from (value / 2 if value else 0.25, (1 + value) / 2)
    elif isinstance(value, int):
        yield from (value + 1, 2 * value)  # a batch holds whole prompts
    else:
        yield from (
            Budget(axis="examples", value=3.0),
            Lora(),
            7,
            (0.5,),
            Data(path="p", digest="d"),
            method_of("dpo")(),
            Likelihood.model_validate({"policy": Pretrained(repo="judge")}),
        )


def revised(one: Frozen, *, some: bool = False) -> Iterator[tuple[str, Frozen]]:
    """The value with each field changed in turn; every field (or ``some``) must have a change that is valid."""
    for name, info in type(one).model_fields.items():
        fields = {other: getattr(one, other) for other in type(one).model_fields}
        found = []
        for value in changed(fields[name], info.annotation):
            try:
                found.append(type(one)(**{**fields, name: value}))
            except ValueError:
                continue
        assert found or some, f"no valid change of {name}"
        if found:
            yield name, found[0]


@pytest.mark.parametrize("name", PLANNED)
def test_every_field_of_the_method_changes_the_key(name: str, given: Given) -> None:
    seen: set[str] = set()
    for example in EXAMPLES.get(name, ({},)):
        method = method_of(name)(**example)
        key = key_of(method, given)
        for field, other in revised(method, some=True):
            assert isinstance(other, Method)
            assert key_of(other, given) != key, field
            seen.add(field)
    assert seen == set(method_of(name).model_fields)


@pytest.mark.parametrize("name", TRAINED)
def test_every_field_of_the_stage_changes_its_key(name: str, given: Given) -> None:
    stage = tuned(made(name), given).by
    for part in (stage, *stage.inputs()):
        for field, other in revised(part):
            assert isinstance(other, Stage)
            assert other.key != part.key, field


@pytest.mark.parametrize("name", TRAINED)
def test_everything_given_reaches_the_plan(name: str, given: Given) -> None:
    method = made(name)
    key = tuned(method, given).by.key
    budget = Budget(axis="examples", value=2.0)
    for update in (
        {"seed": 1},
        {"lora": Lora()},
        {"budget": budget},
        {"max_length": 50},
        {"small" if name in STEERED else "base": Pretrained(repo="x")},
    ):
        assert tuned(method, given.model_copy(update=update)).by.key != key, update


@pytest.mark.parametrize("name", PLANNED)
def test_it_says_what_it_needs(name: str, given: Given) -> None:
    method = made(name)
    assert method.needs() >= method.NEEDS
    assert method.needs()
    for need in method.needs():
        with pytest.raises(BenchError, match=need):
            method.policy(given.model_copy(update={need: None}))


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in STEERED])
def test_nonsense_is_refused(name: str) -> None:
    method = method_of(name)
    numbers = [field for field, value in made(name) if isinstance(value, int | float)]
    assert len(numbers) >= 7 or name in AROUND
    for field in numbers:
        with pytest.raises(ValueError, match=field):
            method.model_validate({field: -1})
    with pytest.raises(ValueError, match="bata"):
        method.model_validate({"bata": 1})


@pytest.mark.parametrize("name", NAMES)
def test_a_method_survives_json(name: str) -> None:
    method = made(name)
    assert decode(encode(method)) == method


def test_methods_share_what_is_alike(given: Given) -> None:
    starts, references = set(), set()
    for name in WITH_REFERENCE:
        stage = tuned(made(name), given).by
        starts |= {part.key for part in stage.inputs() if part.KIND == "train/sft"}
        references |= {
            part.key
            for part in stage.inputs()
            if part.KIND == "reference_logprobs" and "pairs" in part.model_dump().values()
        }
    assert starts == {tuned(made("sft"), given).by.key}
    assert len(references) == 1


def quick(name: str) -> Method:
    if name in STEERED:
        return method_of(name)(expert=quick("sft"))
    settings: dict[str, Any] = {"lr": 5e-3, "epochs": 2, "batch_size": 4, "warmup": 0.0}
    if "start" in method_of(name).model_fields:
        settings["start"] = {**settings, "epochs": 1}
    if name == "hir":
        settings["instructions"] = "brief"
    if name == "expert_iteration":
        fields = {"n": 2, "decoding": {"max_new_tokens": 6}, "reward_model": {"lr": 5e-3, "batch_size": 4}}
        settings |= fields
    if name in ON_POLICY:
        fields = {"updates": 4, "prompts_per_update": 2, "samples": 2, "max_new_tokens": 6}
        settings |= {**fields, "reward_model": {"lr": 5e-3, "batch_size": 4}}
    if name == "rahf":
        settings |= {"alpha": 1.0, "contrast": {"instructions": "brief", "lr": 5e-3, "batch_size": 4}}
    if name in AROUND:
        settings = {"then": quick("dpo"), "decoding": Decoding(max_new_tokens=5)}
        own = (
            {"pairs": "sampled"}
            if name == "rlaif"
            else {"rounds": 1, "max_rationale_tokens": 4, "principles": PRINCIPLES}
        )
        settings |= own
    return method_of(name).model_validate(settings)


@pytest.mark.parametrize("lora", [None, Lora(rank=4, dropout=0.1)], ids=["full", "lora"])
def test_all_train_and_load(given: Given, bench: Bench, lora: Lora | None) -> None:
    given = given.model_copy(update={"lora": lora})
    chat = (Message(role="user", content="ask one"),)
    start = load_policy(tuned(quick("sft"), given).base, bench.io()).loglikelihood([(chat, "red.")])
    seen = set()
    for name in TRAINED:
        spec = tuned(quick(name), given)
        folder = bench.payload(spec.by)
        # RAHF writes hidden states with an adapter in any case.
        assert (folder / "policy" / "adapter_config.json").is_file() == (lora is not None or name == "rahf")
        rows = log(folder)
        assert len(rows) == 4
        policy = load_policy(spec, bench.io())
        found = policy.loglikelihood([(chat, "red.")])[0].logprob
        assert found != start[0].logprob
        seen.add(found)
        assert policy.generate([chat], Decoding(max_new_tokens=3), seeds=[0])
        if name in {"dpo", "cdpo", "rdpo"} and lora is None:
            assert rows[0]["loss"] == pytest.approx(0.693147, abs=1e-5)
            assert rows[0]["accuracy"] <= 1
            assert rows[-1]["loss"] < rows[0]["loss"]
    assert len(seen) == len(TRAINED)
    # The start was trained once and the reference scored once, for all; expert iteration trains on its own responses.
    # A method around another one has labels of its own, and constitutional a start of its own.
    assert bench.ran.count("reference_logprobs") == 2 + len(AROUND)
    assert bench.ran.count("train/sft") == 4 + len(STEERED)


def test_the_reference_stays_as_it_was(given: Given, bench: Bench) -> None:
    spec = tuned(quick("dpo"), given)
    start = spec.base
    assert isinstance(start, Tuned)
    before = {path.name: path.read_bytes() for path in (bench.payload(start.by) / "policy").iterdir()}
    bench.payload(spec.by)
    assert before == {path.name: path.read_bytes() for path in (bench.payload(start.by) / "policy").iterdir()}


def test_preferences_alone_start_from_the_base(given: Given) -> None:
    spec = tuned(made("dpo"), given.model_copy(update={"demonstrations": None}))
    assert spec.base == given.base


def test_two_seeds_differ_and_one_seed_repeats(given: Given, tmp_path: Path) -> None:
    found = []
    for number, seed in enumerate((0, 1, 0)):
        spec = tuned(quick("sft"), given.model_copy(update={"seed": seed, "lora": Lora(rank=4)}))
        policy = load_policy(spec, Bench(tmp_path / str(number)).io())
        found.append(torch.cat([part.flatten() for part in policy.model.parameters()]))
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
