"""Plug-ins inside plug-ins, policies and rewards in fields, further sections of ``evaluate``: right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli.catalogue import describe_default, described
from bench.config.comparison import Comparison
from bench.config.fields.written import written
from bench.config.load import load_comparison
from bench.config.schema import json_schema
from bench.core.data import Data, Made
from bench.core.errors import BenchError
from bench.core.frozen import decode, digest, digest_of_file, encode
from bench.core.plugins import METHOD, find
from bench.core.policy import Built, Pretrained
from bench.core.reward import FileReward, JudgeReward, MixedReward, ModelReward, reward_models
from bench.evaluation.judges.reward_model import RewardModelJudge
from bench.pipeline.plan import make_plan
from tests.config.conftest import RIGHT, write_rows
from tests.config.test_wrong import check, refusal

ARM = """\
  outer:
    method: ./outer.py
    strength: 2.0
    then:
      method: ./tuned.py
      beta: 0.3
      schedule: {warmup: 5}
    guide:
      method: ./outer.py
      then: ./floor.py
      anchor: {path: whole}
    labeller:
      judge: ./judge.py
      margin: 0.25
    panel:
      - ./judge.py
      - {world: ./world.py, size: small}
    task: {task: ./task.py, split: dev}
    anchor: {world: ./world.py, size: large, noise: 2}
    pairs:
      path: pairs.jsonl
      columns: {chosen: better}
    reward:
      - model
      - reward: ./reward.py
        weight: 0.5
      - judge: ./strict.py
        margin: 0.5
        task: ./task.py
"""
GIVEN = """\
  small:
    world: ./world.py
    size: small
  prompts:
    path: prompts.jsonl
    columns: {facts: truth}
  labeller:
    path: whole
"""
EVALUATE = """\
  ratings:
    - ./judge.py
    - judge: ./judge.py
      name: wide
      margin: 2.0
  divergence:
    from: floor
  labelling:
    data:
      path: pairs.jsonl
      columns: {chosen: better, margin: by}
    judges:
      - ./judge.py
      - world: ./world.py
        size: large
        name: large
    limit: 7
"""
NESTED = (
    RIGHT.replace("  max_length: 64\n", GIVEN + "  max_length: 64\n")
    .replace("evaluate:\n", ARM + "evaluate:\n")
    .replace("  contrasts:\n", EVALUATE + "  contrasts:\n")
)


@pytest.fixture
def nested(place: Path) -> Path:
    """The folder of plug-ins with prompts."""
    write_rows(place / "prompts.jsonl", {"prompt": "a", "truth": {"x": "y"}})
    (place / "no_reward.py").write_text("def score(prompts, responses):\n    return []\n")
    return place


def load(folder: Path, text: str) -> Comparison:
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return load_comparison(folder)


def outer_of(comparison: Comparison) -> Any:
    return comparison.arm("outer").method


def test_every_form_arrives(nested: Path) -> None:
    found = load(nested, NESTED)
    outer = outer_of(found)
    assert (outer.strength, outer.then.beta, outer.then.schedule.warmup) == (2.0, 0.3, 5)
    assert type(outer.guide) is type(outer)
    assert outer.guide.anchor == Pretrained(path=str(nested / "whole"), digest=outer.guide.anchor.digest)
    assert (outer.labeller.NAME, outer.labeller.margin) == ("stub_judge", 0.25)
    assert [judge.NAME for judge in outer.panel] == ["stub_judge", "likelihood"]
    assert isinstance(outer.panel[1].policy, Built)
    assert (outer.task.NAME, outer.task.split) == ("questions", "dev")
    assert outer.anchor.by.noise == 2
    assert isinstance(outer.pairs, Data)
    assert outer.pairs.columns == {"chosen": "better"}
    first, second, third = outer.reward.parts
    assert (first.reward, first.weight, second.weight) == (ModelReward(), 1.0, 0.5)
    assert isinstance(second.reward, FileReward)
    assert second.reward.digest == digest_of_file(nested / "reward.py")
    assert isinstance(third.reward, JudgeReward)
    assert (third.reward.judge.model_dump(), third.reward.task.NAME) == ({"margin": 0.5}, "questions")
    assert found.given.small.by.what == "small"
    assert found.given.prompts.columns == {"facts": "truth"}
    assert found.given.labeller.policy.path == str(nested / "whole")


def test_the_sections_of_evaluate_arrive(nested: Path) -> None:
    evaluation = load(nested, NESTED).evaluation
    assert [(named.label, named.judge.NAME) for named in evaluation.ratings] == [
        ("stub_judge", "stub_judge"),
        ("wide", "stub_judge"),
    ]
    assert evaluation.divergence == "floor"
    assert evaluation.labelling is not None
    assert evaluation.labelling.data.limit == 7
    assert [named.label for named in evaluation.labelling.judges] == ["stub_judge", "large"]
    plain = load(nested, RIGHT).evaluation
    assert (plain.ratings, plain.divergence, plain.labelling) == ((), None, None)


def test_data_of_a_world_takes_the_limit_too(nested: Path) -> None:
    data = "path: pairs.jsonl\n      columns: {chosen: better, margin: by}"
    text = NESTED.replace(data, "world: ./world.py\n      split: preferences")
    labelling = load(nested, text).evaluation.labelling
    assert labelling is not None
    assert isinstance(labelling.data, Made)
    assert labelling.data.limit == 7


def test_single_rewards(nested: Path) -> None:
    start = NESTED.index("    reward:\n")
    end = NESTED.index("evaluate:\n")
    for text, kind in (
        ("model", ModelReward),
        ("./reward.py", FileReward),
        ("{judge: ./judge.py}", JudgeReward),
        ("{world: ./world.py, size: small, task: ./task.py}", JudgeReward),
        ("[model, ./reward.py]", MixedReward),
    ):
        assert isinstance(outer_of(load(nested, f"{NESTED[:start]}    reward: {text}\n{NESTED[end:]}")).reward, kind)


def test_a_judges_display_name_changes_no_key(nested: Path) -> None:
    renamed = NESTED.replace(
        "      - ./judge.py\n      - judge: ./strict", "      - {judge: ./judge.py, name: one}\n      - judge: ./strict"
    )
    renamed = renamed.replace("judge: stub_judge", "judge: one")
    plain, other = load(nested, NESTED), load(nested, renamed)
    assert [named.label for named in other.evaluation.judges] == ["one", "stub_strict"]
    assert make_plan(plain).stages.keys() == make_plan(other).stages.keys()
    assert {cell.judge_label for cell in make_plan(other).of("win_rate")} == {"one", "stub_strict"}


def test_a_nested_field_is_part_of_the_identity_and_survives_json(nested: Path) -> None:
    outer = outer_of(load(nested, NESTED))
    assert decode(encode(outer)) == outer
    changed = outer_of(load(nested, NESTED.replace("warmup: 5", "warmup: 6")))
    assert digest(changed) != digest(outer)


def test_an_override_reaches_into_a_nested_method(nested: Path) -> None:
    (nested / "comparison.yaml").write_text(NESTED)
    overrides = ["methods.outer.then.beta=0.7", "given.labeller={judge: ./judge.py, margin: 3}"]
    found = load_comparison(nested, overrides=overrides)
    assert outer_of(found).then.beta == 0.7
    assert found.given.labeller is not None
    assert found.given.labeller.NAME == "stub_judge"


def test_a_reward_model_beside_another_judge(nested: Path) -> None:
    text = NESTED.replace(
        "      - judge: ./strict.py\n        margin: 0.5\n    versus",
        "      - judge: reward_model\n        of: best\n    versus",
    ).replace("methods:\n", "methods:\n  best:\n    method: best_of_n\n    n: 4\n", 1)
    found = load(nested, text)
    plan = make_plan(found)
    models = []
    for run in found.given.seeds:
        last = plan.design.bound(found.evaluation.judges, run)[1]
        assert last.label == "reward_model"
        assert isinstance(last.judge, RewardModelJudge)
        assert (last.judge.by,) == reward_models(plan.policies["best", run])
        models.append(last.judge.by)
    assert len({model.key for model in models if model is not None}) == len(found.given.seeds)
    with pytest.raises(BenchError, match="'floor' has learnt from no reward model"):
        make_plan(load(nested, text.replace("of: best", "of: floor")))


def test_a_stage_is_not_written_in_a_file(nested: Path) -> None:
    text = NESTED.replace(
        "      - judge: ./strict.py\n        margin: 0.5\n    versus",
        "      - judge: reward_model\n        of: tuned\n        by: something\n    versus",
    )
    problems = {problem.where.split()[1]: problem.what for problem in refusal(nested, text).problems}
    assert "by" in problems["evaluate.win_rate.judges.1.by"]


def test_needs_of_an_inner_method_are_told_where_it_stands(nested: Path) -> None:
    text = NESTED.replace("  preferences:\n    path: pairs.jsonl\n    columns: {chosen: better}\n", "", 1)
    problems = {problem.where.split()[1]: problem.what for problem in refusal(nested, text).problems}
    assert "method " in problems["methods.outer.then"]
    assert problems["methods.outer.then"].endswith("needs given.preferences")
    without = NESTED.replace("  demonstrations:\n    path: demos.jsonl\n", "", 1)
    problems = {problem.where.split()[1]: problem.what for problem in refusal(nested, without).problems}
    assert problems == {"methods.outer": "method outer needs given.demonstrations"}


EDITS: dict[str, tuple[str, str, str, str]] = {
    # name: (text of NESTED, what stands there instead with "#!" on the line to be named, key path, words)
    "inner method unknown": (
        "then:\n      method: ./tuned.py",
        "then:\n      method: tund_ #!",
        "methods.outer.then.method",
        "unknown method 'tund_'",
    ),
    "inner field typo": ("      beta: 0.3", "      bata: 0.3 #!", "methods.outer.then.bata", "Did you mean 'beta'?"),
    "inner field wrong": ("beta: 0.3", "beta: -1 #!", "methods.outer.then.beta", "greater than 0, not -1"),
    "inner frozen field": ("{warmup: 5}", "{warmpu: 5} #!", "methods.outer.then.schedule.warmpu", "'warmup'"),
    "inner lora": ("beta: 0.3", "beta: 0.3\n      lora: none #!", "methods.outer.then.lora", "unknown key 'lora'"),
    "inner number": ("then: ./floor.py", "then: 3 #!", "methods.outer.guide.then", "name of a method"),
    "inner of inner": (
        "then: ./floor.py",
        "then: {method: ./tuned.py, epochs: few} #!",
        "methods.outer.guide.then.epochs",
        "whole number, not 'few'",
    ),
    "inner missing": ("      then: ./floor.py\n", "", "methods.outer.guide.then", "is missing"),
    "inner null": ("then: ./floor.py", "then: #!", "methods.outer.guide.then", "not empty"),
    "outer beside a wrong inner": (
        "strength: 2.0\n    then:\n      method: ./tuned.py",
        "strength: 2.0\n    then:\n      method: nothing_ #!",
        "methods.outer.then.method",
        "unknown method",
    ),
    "judge field": ("margin: 0.25", "margin: wide #!", "methods.outer.labeller.margin", "must be a number"),
    "judge without name": (
        "      judge: ./judge.py\n      margin: 0.25",
        "      margin: 0.25",
        "methods.outer.labeller",
        "without a text under 'judge'",
    ),
    "judge and world": ("margin: 0.25", "world: atlas #!", "methods.outer.labeller.world", "unknown key 'world'"),
    "panel entry": (
        "{world: ./world.py, size: small}",
        "{world: ./world.py, size: smal} #!",
        "methods.outer.panel.1.size",
        "Did you mean 'small'?",
    ),
    "panel text": (
        "    panel:\n      - ./judge.py\n      - {world: ./world.py, size: small}\n",
        "    panel: x #!\n",
        "methods.outer.panel",
        "must be a list",
    ),
    "task field": (
        "{task: ./task.py, split: dev}",
        "{task: ./task.py, split: test} #!",
        "methods.outer.task.split",
        "must be 'dev' or 'evaluation'",
    ),
    "policy form": (
        "anchor: {path: whole}",
        "anchor: {file: whole} #!",
        "methods.outer.guide.anchor.file",
        "unknown key",
    ),
    "policy folder": (
        "anchor: {path: whole}",
        "anchor: {path: partial} #!",
        "methods.outer.guide.anchor.path",
        "*.safetensors",
    ),
    "pairs column": (
        "    pairs:\n      path: pairs.jsonl\n      columns: {chosen: better}",
        "    pairs:\n      path: pairs.jsonl\n      columns: {choosen: better} #!",
        "methods.outer.pairs.columns.choosen",
        "Did you mean 'chosen'?",
    ),
    "smuggled": ("beta: 0.3", "is: os:system #!", "methods.outer.then.is", "unknown key 'is'"),
    # rewards
    "reward unknown": ("      - model\n", "      - modle #!\n", "methods.outer.reward.0", "Did you mean 'model'?"),
    "reward no file": (
        "reward: ./reward.py",
        "reward: ./rewrad.py #!",
        "methods.outer.reward.1.reward",
        "no such file",
    ),
    "reward no function": (
        "reward: ./reward.py",
        "reward: ./no_reward.py #!",
        "methods.outer.reward.1.reward",
        "defines no function `reward`",
    ),
    "reward broken": (
        "reward: ./reward.py",
        "reward: ./broken.py #!",
        "methods.outer.reward.1.reward",
        "broken on purpose",
    ),
    "reward weight": ("weight: 0.5", "weight: much #!", "methods.outer.reward.1.weight", "must be a number"),
    "reward key": ("weight: 0.5", "wieght: 0.5 #!", "methods.outer.reward.1.wieght", "Did you mean 'weight'?"),
    "reward in reward": (
        "reward: ./reward.py",
        "reward: [model] #!",
        "methods.outer.reward.1.reward",
        "must be a reward",
    ),
    "reward judge field": (
        "        margin: 0.5\n        task: ./task.py",
        "        marign: 0.5 #!\n        task: ./task.py",
        "methods.outer.reward.2.marign",
        "Did you mean 'margin'?",
    ),
    "reward task": (
        "        task: ./task.py\nev",
        "        task: ./tsk.py #!\nev",
        "methods.outer.reward.2.task",
        "no such file",
    ),
    "reward mapping": (
        "      - judge: ./strict.py\n        margin: 0.5\n        task",
        "      - task",
        "methods.outer.reward.2",
        "needs `judge`",
    ),
    "reward empty": (
        ARM[ARM.index("    reward:\n") :],
        "    reward: [] #!\n",
        "methods.outer.reward",
        "at least one reward",
    ),
    "reward number": (
        ARM[ARM.index("    reward:\n") :],
        "    reward: 3 #!\n",
        "methods.outer.reward",
        "must be a reward",
    ),
    "reward learnt by an arm": (
        "judge: ./strict.py\n        margin: 0.5\n        task: ./task.py",
        "judge: reward_model #!\n        of: tuned",
        "methods.outer.reward.2",
        "takes a model from an arm",
    ),
    # given
    "small size": (
        "  small:\n    world: ./world.py\n    size: small",
        "  small:\n    world: ./world.py\n    size: tiny #!",
        "given.small.size",
        "no size 'tiny'",
    ),
    "prompts column": ("{facts: truth}", "{fact: truth} #!", "given.prompts.columns.fact", "Did you mean 'facts'?"),
    "prompts renamed": (
        "path: prompts.jsonl\n    columns: {facts: truth}",
        "path: prompts.jsonl #!\n    columns: {prompt: question}",
        "given.prompts.path",
        "'question'",
    ),
    "labeller unknown": ("  labeller:\n    path: whole", "  labeller: golden_ #!", "given.labeller", "unknown judge"),
    "labeller folder": (
        "  labeller:\n    path: whole",
        "  labeller:\n    path: nowhere #!",
        "given.labeller.path",
        "no such folder",
    ),
    # evaluate
    "rating unknown": (
        "  ratings:\n    - ./judge.py",
        "  ratings:\n    - golden_ #!",
        "evaluate.ratings.0",
        "unknown judge",
    ),
    "rating twice": ("      name: wide\n", "", "evaluate.ratings.1", "add `name: ...`"),
    "rating name": ("name: wide", "name: so wide #!", "evaluate.ratings.1.name", "letters, digits"),
    "rating name empty": ("name: wide", "name: #!", "evaluate.ratings.1.name", "not empty"),
    "rating name typo": ("name: wide", "nmae: wide #!", "evaluate.ratings.1.nmae", "Did you mean 'name'?"),
    "ratings empty": (
        EVALUATE[: EVALUATE.index("  divergence")],
        "  ratings: [] #!\n",
        "evaluate.ratings",
        "at least one judge",
    ),
    "divergence arm": ("from: floor", "from: flor #!", "evaluate.divergence.from", "Did you mean 'floor'?"),
    "divergence key": ("from: floor", "of: floor #!", "evaluate.divergence.of", "unknown key 'of'"),
    "divergence text": (
        "divergence:\n    from: floor",
        "divergence: floor #!",
        "evaluate.divergence",
        "must be a mapping",
    ),
    "labelling data": (
        "data:\n      path: pairs.jsonl",
        "data:\n      path: demos.jsonl #!",
        "evaluate.labelling.data.path",
        "'rejected'",
    ),
    "labelling limit": ("limit: 7", "limit: 0 #!", "evaluate.labelling.limit", "greater than 0"),
    "labelling two limits": (
        "columns: {chosen: better, margin: by}",
        "columns: {chosen: better, margin: by}\n      limit: 3",
        "evaluate.labelling.limit",
        "limit of its own",
    ),
    "labelling size": (
        "size: large\n        name",
        "size: huge #!\n        name",
        "evaluate.labelling.judges.1.size",
        "no size 'huge'",
    ),
    "labelling without judges": (
        EVALUATE[EVALUATE.index("    judges:") :],
        "",
        "evaluate.labelling.judges",
        "is missing",
    ),
    "labelling key": ("limit: 7", "limits: 7 #!", "evaluate.labelling.limits", "Did you mean 'limit'?"),
    "reward model only": (
        "    judges:\n      - ./judge.py\n      - judge: ./strict.py\n        margin: 0.5\n    versus",
        "    judges: #!\n      - judge: reward_model\n        of: tuned\n    versus",
        "evaluate.win_rate.judges",
        "only by the reward model it learnt from: add another judge",
    ),
    "reward model of nobody": (
        "judge: ./strict.py\n        margin: 0.5\n    versus",
        "judge: reward_model\n        of: tunde #!\n    versus",
        "evaluate.win_rate.judges.1.of",
        "Did you mean 'tuned'?",
    ),
}
ELSEWHERE = {  # where what is missing has no line of its own
    "inner missing": "guide:",
    "judge without name": "labeller:\n      margin",
    "reward mapping": "- task: ./task.py\nev",
    "rating twice": "- judge: ./judge.py\n      margin: 2.0",
    "labelling two limits": "limit: 7",
    "labelling without judges": "labelling:",
}
FOLLOWED = {
    "reward model only": 2,
    "divergence key": 2,
    "policy form": 2,
}  # two keys are wrong: the gate's judge is gone


@pytest.mark.parametrize("name", EDITS)
def test_one_wrong_thing_inside(nested: Path, name: str) -> None:
    old, new, key, words = EDITS[name]
    assert NESTED.count(old) >= 1, f"{old!r} is not in the file"
    text = NESTED.replace(old, new, 1)
    if name in ELSEWHERE:
        assert text.count(ELSEWHERE[name]) == 1
        at = text.index("\n", text.index(ELSEWHERE[name]))
        text = f"{text[:at]} #!{text[at:]}"
    error = refusal(nested, text)
    check(error, text, key, words)
    assert len(error.problems) <= FOLLOWED.get(name, 1), str(error)


def test_a_wrong_inner_and_a_wrong_outer_are_both_told(nested: Path) -> None:
    text = NESTED.replace("strength: 2.0", "strength: much").replace("beta: 0.3", "beta: -1")
    assert [problem.where.split()[1] for problem in refusal(nested, text).problems] == [
        "methods.outer.strength",
        "methods.outer.then.beta",
    ]


def test_a_policy_without_a_judge_likelihood_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.config.fields.named_plugins.LIKELIHOOD", "likelihood_that_is_not_there")
    write_rows(place / "prompts.jsonl", {"prompt": "a", "truth": {}})
    assert "unknown judge 'likelihood_that_is_not_there'" in str(refusal(place, NESTED))


def test_listings_show_forms_and_defaults(nested: Path) -> None:
    fields = described(find(METHOD, "./outer.py", nested))["fields"]
    assert fields["then"] == {"type": "method (NAME or {method: NAME, ...})", "required": True, "default": None}
    assert fields["guide"]["type"].endswith("or null")
    assert fields["panel"]["type"].startswith("list of judge")
    assert fields["reward"]["default"] == "model"
    assert describe_default({"a": 1.0e-5, "b": ["x"], "c": {"judge": "gold", "n": 2}}) == (
        "a: 1.0e-05\nb: [x]\nc: {judge: gold, n: 2}"
    )


def test_values_are_written_as_the_file_writes_them(nested: Path) -> None:
    outer = outer_of(load(nested, NESTED))
    assert written(outer.then) == {"method": "./tuned.py", "beta": 0.3, "schedule": {"warmup": 5, "shape": "linear"}}
    assert written(outer.guide.then) == "./floor.py"
    assert written(outer.labeller) == {"judge": "./judge.py", "margin": 0.25}
    assert written(outer.reward)[2]["reward"] == {"judge": "./strict.py", "margin": 0.5, "task": "./task.py"}


def test_the_schema_has_every_form() -> None:
    schema = json_schema()
    sections = schema["properties"]["evaluate"]["properties"]
    assert sections["ratings"]["items"] == sections["win_rate"]["properties"]["judges"]["items"]
    assert "name" in schema["$defs"]["named.gold"]["properties"]
    assert "name" not in schema["$defs"]["judge.gold"]["properties"]
    given = schema["properties"]["given"]["properties"]
    assert given["labeller"]["$ref"].endswith("/judge")
    columns = schema["$defs"]["data.preferences"]["anyOf"][0]["properties"]["columns"]["properties"]
    assert set(columns) >= {
        *("prompt", "chosen", "rejected", "id"),
        *("probability", "margin", "chosen_finish", "rejected_finish"),
        *("completion", "label", "history"),
    }
    assert "messages" not in columns
