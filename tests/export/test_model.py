"""An exported policy is loaded by transformers in one line and is the policy that was evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.cli.progress import PlainWatcher
from bench.config.load import load_comparison
from bench.core.errors import BenchError, DataError
from bench.core.policy import Message
from bench.core.stage import StageIO
from bench.core.task import user
from bench.engine.inline import InlineEngine
from bench.engine.store import Store, store_of
from bench.export.model import PolicyChoice, export_policy
from bench.models.for_transformers import chat_template
from bench.models.load import load_model
from bench.pipeline.compare import compare
from bench.pipeline.plan import Plan, make_plan
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast, shown_interval
from bench.results.summary import SUMMARY, RunSummary
from bench.results.wording import estimate, interval
from tests.sketched import sketched
from tests.whole import write_whole

COMPARISON = """\
question: What can be exported?
given:
  base: {path: ../../model, template: "{prompt}?"}
  demonstrations: {path: ../../demonstrations.jsonl}
  preferences: {path: ../../preferences.jsonl}
  seeds: [3, 4]
methods:
  base: {}
  sft: &sft {lr: 0.01, epochs: 1, batch_size: 4}
  dpo_lora: {method: dpo, lr: 0.02, epochs: 1, batch_size: 4, start: *sft, lora: {rank: 2}}
  hir: {lr: 0.01, epochs: 1, batch_size: 4}
  best: {method: best_of_n, n: 2, reward: {judge: lexicon, path: ../../words.txt}, start: *sft}
evaluate:
  tasks: [{task: prompts, path: ../../prompts.jsonl, max_new_tokens: 4}]
  win_rate: {judges: [{judge: lexicon, path: ../../words.txt}], versus: sft}
"""
CHATS = (
    user("ask one"),
    user("tell? me."),
    (
        Message(role="user", content="ask"),
        Message(role="assistant", content="red."),
        Message(role="user", content="so"),
    ),
    (Message(role="system", content="be"), Message(role="user", content="ask two")),
)


@dataclass(frozen=True)
class Run:
    plan: Plan
    store: Store
    summary: RunSummary
    contrasts: tuple[Contrast, ...]

    def export(self, wanted: PolicyChoice, folder: Path) -> Path:
        return export_policy(self.plan, self.store, self.summary, self.contrasts, wanted, folder)

    def io(self, root: Path) -> StageIO:
        return StageIO(out=root, scratch=root, read_payload=self.store.payload)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = write_whole(tmp_path_factory.mktemp("exporting"), COMPARISON)
    comparison = load_comparison(folder)
    plan, store = make_plan(comparison), store_of(comparison)
    console = Console(quiet=True)
    with sketched():
        result = compare(plan, store, InlineEngine(store), PlainWatcher(console, plan.labels(), 1))
    # The tiny model cannot hold hir's instructions; the refusal to export it needs no weights.
    assert [cell.arm for cell in result.summary.missing] == ["hir", "hir"]
    return Run(plan, store, SUMMARY.read(folder), CONCLUSIONS.read(folder).contrasts)


def logits(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        found = model(torch.tensor([ids])).logits
    assert isinstance(found, torch.Tensor)
    return found


@pytest.mark.parametrize("arm", ["base", "sft", "dpo_lora"])
def test_one_line_loads_the_policy_that_was_evaluated(ran: Run, tmp_path: Path, arm: str) -> None:
    folder = ran.export(PolicyChoice(arm, 4), tmp_path / "out" / arm)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    policy = load_model(ran.plan.policies[arm, 4], ran.io(tmp_path))
    for chat in CHATS:
        turns = [message.model_dump() for message in chat]
        laid_out = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=True)
        assert laid_out["input_ids"] == policy.prompt(chat)
        ids = policy.prompt(chat)
        torch.testing.assert_close(logits(model, ids), logits(policy.model, ids), rtol=0, atol=1e-6)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert not list(folder.parent.glob(".*"))


def test_seeds_are_different_models(ran: Run, tmp_path: Path) -> None:
    folders = [ran.export(PolicyChoice("sft", seed), tmp_path / str(seed)) for seed in (3, 4)]
    first = ran.export(PolicyChoice("sft"), tmp_path / "first")
    three, four, default = (AutoModelForCausalLM.from_pretrained(folder) for folder in (*folders, first))
    ids = [1, 5, 6, 7]
    assert not torch.allclose(logits(three, ids), logits(four, ids), atol=1e-4)
    torch.testing.assert_close(logits(three, ids), logits(default, ids), rtol=0, atol=0)


def test_an_adapter_stands_beside_its_base(ran: Run, tmp_path: Path) -> None:
    folder = ran.export(PolicyChoice("dpo_lora", 3, "adapter"), tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    model = PeftModel.from_pretrained(base, folder).eval()
    policy = load_model(ran.plan.policies["dpo_lora", 3], ran.io(tmp_path))
    ids = policy.prompt(CHATS[0])
    torch.testing.assert_close(logits(model, ids), logits(policy.model, ids), rtol=0, atol=1e-5)
    assert 'PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("FOLDER/base"), "FOLDER")' in (
        folder / "README.md"
    ).read_text(encoding="utf-8")
    with pytest.raises(BenchError, match="no adapter"):
        ran.export(PolicyChoice("sft", 3, "adapter"), tmp_path / "none")
    with pytest.raises(BenchError, match="not trained"):
        ran.export(PolicyChoice("base", 3, "adapter"), tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert not list(tmp_path.glob(".*"))


def test_the_card_holds_the_results_with_their_intervals(ran: Run, tmp_path: Path) -> None:
    folder = ran.export(PolicyChoice("dpo_lora", 3), tmp_path / "card")
    card = ModelCard.load(folder / "README.md")
    own = [item for item in ran.contrasts if item.a == "dpo_lora" and item.estimate is not None]
    assert own
    results = card.data.eval_results
    assert results is not None
    assert {(result.metric_type, result.metric_value) for result in results} == {
        (item.metric, item.estimate) for item in own
    }
    by_metric = {result.metric_type: result for result in results}
    for item in own:
        bounds = shown_interval(item)
        known = None if bounds is None else list(bounds)
        assert by_metric[item.metric].metric_args.get("interval") == known
        assert estimate(item).replace("+", "") in card.text.replace("+", "")
        assert interval(item) in card.text
    assert card.data.library_name == "transformers"
    assert card.data.to_dict()["model-index"][0]["name"] == "whole-dpo_lora-seed3"
    for said in ("training seed 3", "demonstrations.jsonl", "LoRA, rank 2", "## Limits", "rafailov2023dpo", "beta"):
        assert said in card.text


def test_what_is_not_one_model_is_refused_with_what_can_be_exported(ran: Run, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"reads an instruction.*can be exported: base, sft, dpo_lora"):
        ran.export(PolicyChoice("hir"), tmp_path / "out")
    with pytest.raises(BenchError, match=r"best of 2 responses.*What it is made of can be exported: sft\."):
        ran.export(PolicyChoice("best"), tmp_path / "out")
    with pytest.raises(BenchError, match="Did you mean 'dpo_lora'"):
        ran.export(PolicyChoice("dpo_lra"), tmp_path / "out")
    with pytest.raises(BenchError, match="no training seed 7"):
        ran.export(PolicyChoice("sft", 7), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_and_what_is_not_computed_is_named(ran: Run, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BenchError, match="not empty"):
        ran.export(PolicyChoice("sft"), full)
    assert [path.name for path in full.iterdir()] == ["mine.txt"]
    nowhere = Run(ran.plan, Store(tmp_path / "empty"), ran.summary, ran.contrasts)
    with pytest.raises(DataError, match="Run `bench run"):
        nowhere.export(PolicyChoice("sft"), tmp_path / "out")


@pytest.mark.parametrize("template", ["{prompt}", 'Q: "{prompt}"\nA:', "{prompt} or {prompt}\\", "<bos>{prompt}"])
def test_a_plain_template_becomes_a_chat_template(ran: Run, tmp_path: Path, template: str) -> None:
    policy = load_model(ran.plan.policies["base", 3], ran.io(tmp_path))
    policy.template = template
    wanted = [policy.prompt(chat) for chat in CHATS]
    policy.tokenizer.chat_template = chat_template(template)
    assert [policy.prompt(chat) for chat in CHATS] == wanted
