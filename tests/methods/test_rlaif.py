"""RLAIF and Constitutional AI: what they plan, and a tiny run of each. Figures of METHODS 3(e) and 9(e)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import chisquare

from bench.config.load import load_comparison
from bench.core.data import Made
from bench.core.datasets import read_demonstrations
from bench.core.errors import BenchError, ConfigError, StageError
from bench.core.method import Given
from bench.core.policy import Decoding, Tuned
from bench.core.reward import FileReward, JudgeReward
from bench.core.stage import Stage
from bench.evaluation.judges.likelihood import Likelihood
from bench.models.load import load_policy
from bench.pipeline.plan import make_plan
from methods._train.feedback.label_pairs import LabelPreferences, SamplePairs
from methods._train.feedback.revise import Principle, Revise, named_principles, principle_of
from methods.constitutional import Constitutional
from methods.dpo import DPO
from methods.rlaif import RLAIF
from methods.sft import SFT
from tests.evaluation.judges.scripted import LABELLER
from tests.methods.learners import BY_PRINCIPLE, LETTERS, Rewarded, Words, labeller
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, log, pretrained

QUICK: dict[str, Any] = {"lr": 5e-3, "epochs": 1, "batch_size": 4, "start": {"lr": 5e-3, "epochs": 1, "batch_size": 4}}
SHORT = Decoding(temperature=1.0, max_new_tokens=5)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    base = pretrained(tmp_path / "model")
    return Given(
        base=base,
        demonstrations=data(tmp_path / "demonstrations.jsonl", DEMONSTRATIONS),
        preferences=data(tmp_path / "preferences.jsonl", PREFERENCES),
        prompts=data(tmp_path / "prompts.jsonl", [{"prompt": row["prompt"]} for row in DEMONSTRATIONS]),
        labeller=Likelihood.model_validate(labeller(tmp_path, base)),
        seed=0,
    )


def last_stage(method: Any, given: Given) -> Any:
    spec = method.policy(given)
    assert isinstance(spec, Tuned)
    return spec.by


def inside(stage: Stage) -> list[Stage]:
    return [stage, *(deeper for part in stage.inputs() for deeper in inside(part))]


def test_the_labels_take_the_place_of_the_preferences(given: Given) -> None:
    stage = last_stage(RLAIF(then=DPO()), given)
    assert isinstance(stage.data, Made)
    labels = stage.data.by
    assert isinstance(labels, LabelPreferences)
    assert (labels.pairs, labels.judge) == (given.preferences, given.labeller)
    assert stage.reference.data == stage.data
    own = last_stage(RLAIF(then=DPO(), labeller=Words()), given)
    assert own.data.by.judge == Words()
    assert own.init == stage.init == SFT().policy(given)


def test_sampled_pairs_come_from_the_start_of_the_learner(given: Given) -> None:
    then = DPO.model_validate(QUICK)
    stage = last_stage(RLAIF(then=then, pairs="sampled", decoding=SHORT), given)
    samples = stage.data.by.pairs.by
    assert isinstance(samples, SamplePairs)
    assert samples.policy == stage.init
    assert (samples.prompts, samples.decoding, samples.seed) == (given.prompts, SHORT, 0)


def test_a_direct_reward_is_the_rating(given: Given) -> None:
    method = RLAIF(then=Rewarded(), reward="direct")
    assert last_stage(method, given).reward == JudgeReward(judge=given.labeller)
    assert not any(isinstance(stage, LabelPreferences) for stage in inside(last_stage(method, given)))


def test_a_labeller_that_cannot_be_asked_so_is_told_when_planning(given: Given) -> None:
    fields = {"policy": LABELLER, "prompt": "atlas", "rationale": "greedy", "max_rationale_tokens": 12}
    reasoning = Likelihood.model_validate(fields)
    with pytest.raises(BenchError, match="'atlas' asks for no rationale under `rate`"):
        RLAIF(reward="direct", labeller=reasoning).policy(given)
    assert RLAIF(labeller=reasoning, then=DPO()).policy(given).kind == "tuned"
    by_principle = Likelihood.model_validate({"policy": LABELLER, "prompt": "principle"})
    with pytest.raises(BenchError, match="the judge has no principles"):
        RLAIF(labeller=by_principle, then=DPO()).policy(given)


def test_needs_are_those_of_the_parts() -> None:
    assert RLAIF(then=DPO()).needs() == {"labeller", "preferences"}
    assert RLAIF(then=DPO(), labeller=Words()).needs() == {"preferences"}
    assert RLAIF(then=DPO(), pairs="sampled").needs() == {"labeller", "prompts"}
    assert RLAIF(then=Rewarded()).needs() == {"labeller", "preferences", "prompts"}
    assert RLAIF(then=Rewarded(), reward="direct").needs() == {"labeller", "prompts"}
    assert RLAIF(then=RLAIF(then=DPO(), labeller=Words())).needs() == {"labeller", "preferences"}
    assert Constitutional(then=DPO()).needs() == {"labeller", "prompts"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"then": SFT()}, "sft reads no preferences"),
        ({"then": Rewarded(reward=FileReward(path="p", digest="d"))}, "reads no preferences with these settings"),
        ({"then": DPO(), "reward": "direct"}, "learns from no reward"),
        ({"then": Rewarded(reward=JudgeReward(judge=Words())), "reward": "direct"}, "a reward of its own"),
        ({"then": Rewarded(), "reward": "direct", "pairs": "sampled"}, "labels no pairs"),
        ({"then": DPO(), "decoding": SHORT}, "decoding is for pairs: sampled"),
    ],
)
def test_what_would_go_unread_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RLAIF(**fields)


def test_what_is_not_given_is_asked_for(given: Given) -> None:
    for field, method in (
        ("labeller", RLAIF(then=DPO())),
        ("preferences", RLAIF(then=DPO())),
        ("prompts", RLAIF(then=DPO(), pairs="sampled")),
        ("prompts", Constitutional(then=DPO())),
    ):
        with pytest.raises(BenchError, match=f"given.{field}"):
            method.policy(given.model_copy(update={field: None}))


def test_rlaif_and_dpo_run(given: Given, bench: Bench) -> None:
    method = RLAIF(then=DPO.model_validate(QUICK), pairs="sampled", decoding=SHORT)
    stage = last_stage(method, given)
    rows = log(bench.payload(stage))
    assert len(rows) == 2
    found = json.loads((bench.payload(stage.data.by) / "diagnostics.json").read_text())
    assert found["labelled"] == found["pairs"] >= 6
    assert (found["compared"], found["agreement"]) == (0, None)


def test_the_principles_are_drawn_alike() -> None:
    principles = named_principles()["english"]
    drawn = Counter(
        principle_of(principles, 3, f"p{prompt}", number).name for prompt in range(500) for number in range(1, 5)
    )
    assert set(drawn) == {principle.name for principle in principles}
    assert chisquare(list(drawn.values())).pvalue > 0.001
    again = [principle_of(principles, 3, "p1", number) for number in range(1, 5)]
    assert again == [principle_of(principles, 3, "p1", number) for number in range(1, 5)]
    assert len({principle.name for principle in again}) > 1


def revise(given: Given, rounds: int, **fields: Any) -> Revise:
    assert given.prompts is not None
    return Revise(
        policy=given.base,
        prompts=given.prompts,
        helpful=None,
        principles=named_principles()["brief"],
        rounds=rounds,
        decoding=SHORT,
        seed=0,
    ).model_copy(update=fields)


def test_every_round_gives_one_demonstration_per_prompt(given: Given, bench: Bench) -> None:
    none = revise(given, 0)
    first = read_demonstrations(Made(by=none), bench.io("none")) if bench.payload(none) else []
    assert [row.prompt[0].content for row in first] == [row["prompt"] for row in DEMONSTRATIONS]
    two = revise(given, 2, helpful=given.demonstrations)
    lines = (bench.payload(two) / "revisions.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    rows = read_demonstrations(Made(by=two), bench.io("two"))
    assert len(rows) == 2 * 8 + 8
    assert len(told) == 3 * 8
    originals = [row["response"] for row in told if row["round"] == 0]
    assert originals == [row.response for row in first]
    revisions = [row for row in told if row["round"] > 0]
    assert sorted(row.response for row in rows[:16]) == sorted(row["response"] for row in revisions)
    assert {row["principle"] for row in revisions} <= {"harm", "truth"}
    assert [row.response for row in rows[16:]] == [row["response"] for row in DEMONSTRATIONS]
    assert bench.ios[two.key].meter.generated_tokens > 0


def test_revisions_do_not_depend_on_an_interruption(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("methods._train.feedback.revise.PROMPTS_AT_ONCE", 3)
    stage = revise(given, 1)
    whole = Bench(tmp_path / "whole").payload(stage)
    broken = Bench(tmp_path / "broken")
    written, calls = Revise._written, []

    def interrupted(self: Revise, prompts: Any, chats: Any, what: str, io: Any) -> list[str]:
        calls.append(what)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return written(self, prompts, chats, what, io)

    monkeypatch.setattr(Revise, "_written", interrupted)
    with pytest.raises(KeyboardInterrupt):
        broken.run(stage)
    again = broken.payload(stage)
    assert len(calls) == 5 + 6
    for name in ("rows.jsonl", "revisions.jsonl"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


def test_conversations_of_which_none_fits_are_refused(given: Given, bench: Bench) -> None:
    with pytest.raises(StageError, match=r"of (\d+) prompts \1 leave no room"):
        bench.payload(revise(given, 1, principles=named_principles()["english"]))


def test_constitutional_plans_both_halves(given: Given) -> None:
    then = DPO.model_validate(QUICK)
    stage = last_stage(Constitutional(then=then, decoding=SHORT, rounds=2), given)
    samples = stage.data.by.pairs.by
    assert samples.policy == stage.init
    supervised = stage.init.by
    revisions = supervised.data.by
    assert isinstance(revisions, Revise)
    assert supervised.init == given.base
    assert (revisions.rounds, revisions.helpful) == (2, given.demonstrations)
    assert revisions.policy == then.policy(given).base
    judge = stage.data.by.judge
    assert judge.prompt == "principle"
    assert judge.principles == tuple(one.choice for one in named_principles()["english"])
    assert (judge.rationale, judge.confidence_limit, judge.policy) == ("greedy", 0.6, given.base)
    plain = last_stage(Constitutional(then=then, rationale="none"), given).data.by.judge
    assert (plain.rationale, plain.confidence_limit) == ("none", 1.0)


def test_a_labeller_by_a_prompt_of_its_own_keeps_it(given: Given, tmp_path: Path) -> None:
    own = Likelihood.model_validate({**labeller(tmp_path, LABELLER, BY_PRINCIPLE), "principles": ("x",)})
    mine = (Principle(name="n", critique="c", revision="r", choice="k"),)
    judge = last_stage(Constitutional(then=DPO(), labeller=own, principles=mine), given).data.by.judge
    assert (judge.path, judge.digest, judge.principles) == (own.path, own.digest, ("k",))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"labeller": Words()}, "judge words cannot read"),
        ({"rationale": "none", "confidence_limit": 0.7}, "confidence_limit is for rationale: greedy"),
        ({"then": SFT()}, "sft reads no preferences"),
        ({"principles": ()}, "principles"),
    ],
)
def test_what_constitutional_refuses(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Constitutional(**{"then": DPO(), **fields})


def test_constitutional_runs(given: Given, bench: Bench, tmp_path: Path) -> None:
    own = Likelihood.model_validate({**labeller(tmp_path, given.base, BY_PRINCIPLE), "principles": ("x",)})
    method = Constitutional(
        then=DPO.model_validate(QUICK),
        labeller=own,
        principles=(
            Principle(name="one", critique="what", revision="so", choice="red"),
            Principle(name="two", critique="why", revision="do", choice="tea"),
        ),
        rounds=1,
        decoding=SHORT,
        max_rationale_tokens=4,
    )
    spec = method.policy(given)
    assert isinstance(spec, Tuned)
    stage: Any = spec.by
    bench.payload(stage)
    assert bench.ran.count("train/sft") == 2
    rows = [json.loads(line) for line in (bench.payload(stage.data.by) / "rows.jsonl").read_text().splitlines()]
    assert all(0.5 <= row["probability"] <= 0.6 for row in rows)
    policy = load_policy(spec, bench.io())
    assert policy.generate(
        [tuple(row.prompt) for row in read_demonstrations(given.demonstrations, bench.io())][:1], SHORT, seeds=[0]
    )


COMPARISON = """\
question: Do a labeller's preferences teach as much as people's?
given:
  base: {world: atlas, size: base}
  demonstrations: {world: atlas, split: demonstrations}
  preferences: {world: atlas, split: preferences}
  labeller: {world: atlas, size: labeller}
  seeds: [0]
methods:
  sft:
  dpo:
  rlaif_dpo: {method: rlaif, then: dpo}
  reasoned:
    method: rlaif
    labeller:
      judge: likelihood
      policy: {world: atlas, size: labeller}
      path: ./mine.yaml
      rationale: greedy
      max_rationale_tokens: 4
    then: {method: dpo, beta: 0.2}
evaluate:
  tasks: [atlas_questions]
"""


def test_a_comparison_names_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(LETTERS, encoding="utf-8")
    (tmp_path / "comparison.yaml").write_text(COMPARISON, encoding="utf-8")
    found = load_comparison(tmp_path)
    plan = make_plan(found)
    kinds = Counter(stage.KIND for stage in plan.stages.values())
    assert kinds["label_preferences"] == 2
    one: Any = plan.policies["rlaif_dpo", 0]
    assert one.by.data.by.judge.prompt == "helpful"
    reasoned: Any = plan.policies["reasoned", 0]
    assert reasoned.by.data.by.judge.texts().compare.answers == ("a", "b")
    assert one.by.init == reasoned.by.init == plan.policies["sft", 0]


def test_a_plan_that_cannot_be_made_names_the_arm(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(LETTERS, encoding="utf-8")
    judge = "{judge: likelihood, policy: {world: atlas, size: labeller}, prompt: principle}"
    text = COMPARISON.replace("then: dpo}", f"then: dpo, labeller: {judge}}}")
    (tmp_path / "comparison.yaml").write_text(text, encoding="utf-8")
    comparison = load_comparison(tmp_path)
    with pytest.raises(BenchError, match=r"^method 'rlaif_dpo': .*has no principles"):
        make_plan(comparison)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("then: dpo}", "then: sft}", "sft reads no preferences"),
        ("  labeller: {world: atlas, size: labeller}\n", "", "needs given.labeller"),
        ("path: ./mine.yaml", "path: ./yours.yaml", "no such file"),
        ("path: ./mine.yaml", "prompt: helpfull", "Did you mean 'helpful'"),
        ("max_rationale_tokens: 4", "max_rationale_tokens: 4\n      seed: 3", "seed is not read"),
    ],
)
def test_a_wrong_comparison_is_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(LETTERS, encoding="utf-8")
    assert old in COMPARISON
    (tmp_path / "comparison.yaml").write_text(COMPARISON.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as error:
        load_comparison(tmp_path)
    assert len(error.value.problems) == 1
