"""Arms made elsewhere, from their lines in a comparison to its report: checkpoints, adapters, outputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model

from bench.config.load import load_comparison
from bench.core.errors import BenchError, ConfigError
from bench.core.policy import Outputs, Pretrained, Proxy, Tuned
from bench.engine.inline import InlineEngine
from bench.engine.scheduler import Outcome
from bench.engine.store import Store
from bench.pipeline.brought.defaults import defaults_of_arm
from bench.pipeline.compare import compare
from bench.pipeline.plan import make_plan
from bench.pipeline.report_again import report_again
from bench.pipeline.standing import standing_of
from bench.pipeline.summarise import facts_of
from tests.engine.test_scheduler import Notes
from tests.methods.tiny import model, pretrained
from tests.sketched import sketched
from tests.whole import write_whole

GIVEN = """\
question: Which is better?
given:
  base: {path: ../../model, template: "{prompt}?"}
  small: {path: ../../small, template: "{prompt}?"}
  seeds: [0, 1]
methods:
  base: {}
"""
ARMS = """\
  other: {method: policy, path: ../../other, template: "{prompt}!", dtype: bfloat16}
  lora: {method: policy, adapter: ../../adapter}
  mine: {method: outputs, path: ../../mine.jsonl}
  steered: {method: proxy_tuning, expert: {method: policy, path: ../../other, template: "{prompt}?"}}
"""
EVALUATE = """\
evaluate:
  divergence: {from: base}
  tasks: [{task: prompts, path: ../../prompts.jsonl, max_new_tokens: 4, limit: 6}]
  win_rate: {judges: [{judge: lexicon, path: ../../words.txt}], versus: base}
gate:
  - {metric: win_rate, method: mine, versus: base, judge: lexicon, not_worse_by: 0.9}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_whole(tmp_path, GIVEN + ARMS + EVALUATE)
    pretrained(tmp_path / "other", seed=5)
    pretrained(tmp_path / "small", seed=1, hidden=8)
    config = LoraConfig(task_type="CAUSAL_LM", r=3, target_modules="all-linear", init_lora_weights=False)
    adapted = get_peft_model(model(0), config)
    adapted.peft_config["default"].base_model_name_or_path = "somebody/else-7b"
    adapted.save_pretrained(str(tmp_path / "adapter"))
    prompts = (tmp_path / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{"instruction": json.loads(line)["prompt"], "output": "red green"} for line in prompts]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def edited(folder: Path, old: str, new: str) -> Path:
    file = folder / "comparison.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


def test_they_run_to_the_report_and_stand_without_their_files(folder: Path) -> None:
    comparison = load_comparison(folder)
    plan, store = make_plan(comparison), Store(folder / "store")
    other, mine, steered = (plan.policies[name, 0] for name in ("other", "mine", "steered"))
    assert isinstance(other, Pretrained)
    assert other.dtype == "bfloat16"
    assert isinstance(mine, Outputs)
    assert isinstance(steered, Proxy)
    told = "\n".join(plan.told)
    for words in (
        "other: other was made elsewhere: what its training cost is not known here",
        "other: it reads prompts with another chat template than the base",
        "lora: the adapter adapter says that it was trained on somebody/else-7b, and is put on model",
        "mine: 18 of 24 rows of mine.jsonl answer no prompt of this comparison",
        "mine: not available without a policy: divergence from base",
    ):
        assert words in told
    assert {stage.KIND for stage in plan.stages.values() if stage.KIND.startswith("train")} == set()
    engine = InlineEngine(store)
    try:
        with sketched():
            result = compare(plan, store, engine, Notes())
    finally:
        engine.close()
    assert result.outcome.failed == {}
    assert not result.summary.missing
    won = {item.a: item.estimate for item in result.contrasts if item.metric == "win_rate"}
    assert won["mine"] == 1.0
    assert result.summary.arms["lora"].brought == ("model + adapter",)
    assert result.summary.arms["base"].brought == ()
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "| other | made elsewhere |" in report
    assert "| base | 0 |" in report
    assert "was made elsewhere: what its training cost is not known here" in report
    for name in ("other", "adapter"):
        shutil.rmtree(folder.parents[1] / name)
    (folder.parents[1] / "mine.jsonl").unlink()
    standing = standing_of(folder)
    assert standing.stale == ()
    assert {line.rpartition("/")[2] for line in standing.not_compared} >= {
        "not compared: other is not here", "not compared: adapter is not here", "not compared: mine.jsonl is not here"
    }  # fmt: skip
    with sketched():
        assert report_again(standing, folder, standing.lines).read_text(encoding="utf-8").count("made elsewhere") > 3


WRONG = {
    "no form": ("path: ../../other, template", "template", "one of world, path, repo, gguf, and has none"),
    "a typo": ("path: ../../other, template", "path: ../../other, templat", "Did you mean 'template'?"),
    "no such folder": ("path: ../../other, template", "path: ../../others, template", "no such folder"),
    "an adapter as a model": ("path: ../../other, template", "path: ../../adapter, template", "holds an adapter"),
    "a model as an adapter": ("adapter: ../../adapter", "adapter: ../../other", "give it as `path:`"),
    "no such adapter": ("adapter: ../../adapter", "adapter: [../../adapters]", "no such folder"),
    "adapter of another form": ("adapter: ../../adapter", "adapter: {url: x}", "adapter.url: unknown key 'url'"),
    "adapter number": ("adapter: ../../adapter", "adapter: 3", "must be a mapping, not 3"),
    "adapter of a repository": (
        "adapter: ../../adapter", "adapter: {repo: org/name}", "adapter.revision: is missing"
    ),
    "no outputs": ("path: ../../mine.jsonl", "path: ../../min.jsonl", "no such file"),
    "columns of another name": (
        "path: ../../mine.jsonl", "path: ../../mine.jsonl, columns: {promt: x}", "columns"
    ),
    "an expert": ("expert: {method: policy, path: ../../other,", "expert: {method: policy, pth: ../../other,", "pth"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(folder: Path, name: str) -> None:
    old, new, words = WRONG[name]
    with pytest.raises(ConfigError) as error:
        load_comparison(edited(folder, old, new))
    assert words in str(error.value)
    assert "methods." in str(error.value)


STARTED = """\
  dpo: {lr: 0.01, epochs: 1, batch_size: 4, start: {path: ../../other, template: "{prompt}?"}}
  held: {method: dpo, lr: 0.01, epochs: 1, batch_size: 4, start: {method: policy, path: ../../other},
         reference: {path: ../../model, template: "{prompt}?"}}
  sft: {lr: 0.01, epochs: 1, batch_size: 4, start: {path: ../../other}}
  rloo: {updates: 1, prompts_per_update: 2, samples: 2, batch_size: 4, max_new_tokens: 3, start: {path: ../../other},
         reward: {judge: lexicon, path: ../../words.txt}}
"""
DATA = "  demonstrations: {path: ../../demonstrations.jsonl}\n  preferences: {path: ../../preferences.jsonl}\n  seeds"


def started(folder: Path) -> None:
    edited(folder, ARMS, STARTED)
    edited(folder, "  seeds", DATA)
    edited(folder, "method: mine", "method: dpo")


def test_a_start_and_a_reference_made_elsewhere(folder: Path) -> None:
    started(folder)
    comparison = load_comparison(folder)
    plan = make_plan(comparison)
    for name in ("dpo", "held", "sft", "rloo"):
        policy = plan.policies[name, 0]
        assert isinstance(policy, Tuned)
        assert isinstance(policy.base, Pretrained)
        assert Path(str(policy.base.path)).name == "other"
    stage, held = (dict(plan.policies[name, 0].by) for name in ("dpo", "held"))  # type: ignore[union-attr]
    assert dict(stage["reference"])["policy"] == plan.policies["dpo", 0].base  # type: ignore[union-attr]
    assert Path(dict(held["reference"])["policy"].path).name == "model"
    facts = facts_of(comparison.arm("dpo"), plan, Outcome())
    assert facts.fields["start"]["path"] == "other"
    assert facts.brought == ("other",)
    assert "start.lr" not in defaults_of_arm(comparison.arm("dpo"))
    engine = InlineEngine(Store(folder / "store"))
    try:
        for name in ("dpo", "held"):
            for stage_of in plan.stages_of_arm(name, 0):
                engine.start(stage_of, 0)
                event = engine.next_event(0)
                while event is not None and event.name == "progress":
                    event = engine.next_event(0)
                assert event is not None
                assert event.name == "done", event.text
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("  sft: {", "  same: {method: base, start: {path: ../../other}}\n  sft: {", "changes nothing"),
        ("  sft: {lr: 0.01", "  sft: {reference: {path: ../../other}, lr: 0.01", "its `reference:` changes nothing"),
        ("start: {path: ../../other}}\n  rloo", "start: {pth: ../../other}}\n  rloo", "start"),
        ("sft: {lr: 0.01, epochs: 1, batch_size: 4, start: {path: ../../other}}",
         "sft: {start: {adapter: ../../adapter}}", "needs its model beside it"),
    ],
)  # fmt: skip
def test_a_start_that_nothing_reads_is_refused(folder: Path, old: str, new: str, why: str) -> None:
    started(folder)
    with pytest.raises(BenchError, match=why):
        make_plan(load_comparison(edited(folder, old, new)))


def test_vocabularies_that_differ_are_refused_where_tokens_must_be_shared(folder: Path) -> None:
    file = folder.parents[1] / "other" / "tokenizer.json"
    text = file.read_text(encoding="utf-8").replace('"a": 4', '"b": 4').replace('"b": 5', '"a": 5')
    file.unlink()
    file.write_text(text, encoding="utf-8")
    with pytest.raises(
        BenchError, match=r"'steered' steers by logits, .*different vocabularies \(token [45] is '[ab]'"
    ):
        make_plan(load_comparison(folder))
    started(folder)
    with pytest.raises(BenchError, match=r"'held' compares log-probabilities of the same tokens, .* different vocab"):
        make_plan(load_comparison(folder))


def test_an_adapter_of_another_model_is_refused_at_plan(folder: Path) -> None:
    narrow = get_peft_model(model(0, hidden=8), LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    narrow.save_pretrained(str(folder.parents[1] / "adapter"))
    with pytest.raises(BenchError, match="it was trained on another model"):
        make_plan(load_comparison(folder))
    edited(folder, "adapter: ../../adapter", "path: ../../model, adapter: ../../adapter")
    with pytest.raises(ConfigError, match=r"methods\.lora\.adapter: .*it was trained on another model"):
        load_comparison(folder)


def test_outputs_with_a_hole_are_refused_at_plan(folder: Path) -> None:
    mine = folder.parents[1] / "mine.jsonl"
    lines = mine.read_text(encoding="utf-8").splitlines(keepends=True)
    mine.write_text("".join(lines[1:]), encoding="utf-8")
    with pytest.raises(BenchError, match="method 'mine': mine.jsonl has no response to 1 of 6 prompts of prompts"):
        make_plan(load_comparison(folder))
