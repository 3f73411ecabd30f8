"""Encoder-decoder models are policies: transformers' own numbers, every loss, and what cannot be done with one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSeq2SeqLM

from bench.cli.app import main
from bench.config.fields.named_files import digest_of_model
from bench.core.frozen import digest_of_file
from bench.core.method import Given, Lora, Method
from bench.core.policy import Adapter, Decoding, Instructed, Message, Pretrained, Proxy, Tuned, root
from bench.core.reward import FileReward
from bench.core.stage import Progress
from bench.core.task import user
from bench.models.count_lengths import reader_of
from bench.models.for_transformers import write_model
from bench.models.likelihood.logprobs import Group, response_logprobs
from bench.models.load import load_model, load_policy, load_trainable, load_whole, save_weights
from bench.models.tokenizer import yielding
from methods._train.loop import checkpoint
from methods.dpo import DPO
from methods.hir import HIR
from methods.orpo import ORPO
from methods.ppo import PPO
from methods.sft import SFT
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, log
from tests.models import tiny_encoded
from tests.models.tiny_encoded import KINDS, Kind
from tests.whole import write_whole

PAIRS = [(user("ask one"), "red."), (user("tell me four words"), "green tea."), (user("x"), "no")]
GREEDY = Decoding(temperature=0, max_new_tokens=12)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of_labels(model: Any, prompt: Sequence[int], response: Sequence[int]) -> float:
    """What transformers' own loss says, which is a mean over the labels."""
    with torch.no_grad():
        loss = model(input_ids=torch.tensor([prompt]), labels=torch.tensor([response])).loss
    return -float(loss) * len(response)


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_transformers(kind: Kind, tmp_path: Path) -> None:
    spec, tokenizer = tiny_encoded.pretrained(tmp_path / "model", kind), tiny_encoded.tokenizer(kind)
    policy, plain = load_policy(spec, Bench(tmp_path).io()), AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    for (chat, response), found in zip(PAIRS, policy.loglikelihood(PAIRS), strict=True):
        prompt, labels = (tokenizer(text)["input_ids"] for text in (chat[0].content, response))
        assert policy.prompt(chat) == prompt and policy.response(response) == labels
        assert policy.text(labels) == response
        assert found.logprob == pytest.approx(of_labels(plain, prompt, labels), abs=1e-5 * len(labels))
        assert found.n_tokens == len(labels)
    chats = [chat for chat, _ in PAIRS] * 2
    for chat, one in zip(chats, policy.generate(chats, GREEDY, seeds=range(6)), strict=True):
        ids = torch.tensor([policy.prompt(chat)])
        theirs = plain.generate(input_ids=ids, max_new_tokens=GREEDY.max_new_tokens, do_sample=False)[0].tolist()
        assert [*one.tokens] == theirs[1:]
        rescored = policy.score([(Group(policy.prompt(chat), [one.tokens]),)])[0]
        assert rescored.logprob == pytest.approx(sum(one.logprobs), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_counts_what_a_stage_reads(kind: Kind, tmp_path: Path) -> None:
    spec = tiny_encoded.pretrained(tmp_path / "model", kind)
    policy, reader = load_policy(spec, Bench(tmp_path).io()), reader_of(spec)
    assert digest_of_model(tmp_path / "model") == spec.digest  # a plan takes it
    chat = (*user("ask one"), Message(role="assistant", content="red."), *user("and two"))
    assert yielding(reader, chat) == yielding(policy, chat)
    assert [*yielding(reader, chat).ids] == policy.prompt(chat) and policy.prompt(chat)[-1] == 1
    assert reader.response("green tea.") == policy.response("green tea.")
    assert reader.cut_response("green") == policy.cut_response("green")


def test_a_prompt_is_encoded_once_for_all_its_responses(tmp_path: Path) -> None:
    policy = load_policy(tiny_encoded.pretrained(tmp_path / "model", "t5"), Bench(tmp_path).io())
    seen: list[int] = []
    encoder = policy.model.get_encoder()
    encoder.register_forward_pre_hook(lambda _, __, asked: seen.append(len(asked["input_ids"])), with_kwargs=True)
    responses = [policy.response(text) for text in ("red.", "no", "a black cat.")]
    together = response_logprobs(policy.model, [Group(policy.prompt(user("ask")), responses)], pad_id=policy.pad_id)
    assert seen == [1]
    alone = [
        float(response_logprobs(policy.model, [Group(policy.prompt(user("ask")), [one])], pad_id=0).sum())
        for one in responses
    ]
    assert together.sum().tolist() == pytest.approx(alone, abs=1e-5)
    seen.clear()
    policy.generate([user("ask")] * 4, Decoding(max_new_tokens=3), seeds=range(4))
    assert seen == [1]


def test_in_bfloat16_it_is_the_models_own_forward(tmp_path: Path) -> None:
    spec = tiny_encoded.pretrained(tmp_path / "model", "t5", dtype="bfloat16")
    policy = load_policy(spec, Bench(tmp_path).io())
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model", dtype=torch.bfloat16)
    for (chat, response), found in zip(PAIRS, policy.loglikelihood(PAIRS), strict=True):
        labels = torch.tensor([policy.response(response)])
        with torch.no_grad():
            logits = plain(input_ids=torch.tensor([policy.prompt(chat)]), labels=labels).logits.float()
        wanted = logits.log_softmax(-1).gather(-1, labels[..., None]).sum()
        assert found.logprob == pytest.approx(float(wanted), rel=0.02)


@pytest.mark.parametrize("kind", ["flan", "bart"])
def test_what_was_saved_is_what_was_loaded(kind: Kind, tmp_path: Path) -> None:
    """A head that is not tied, and whether states are scaled before it, are in the files that are written."""
    bench, spec = Bench(tmp_path), tiny_encoded.pretrained(tmp_path / "model", kind)
    before = load_policy(spec, bench.io()).loglikelihood(PAIRS)
    save_weights(load_whole(spec, bench.io()), tmp_path / "again")
    assert load_policy(Pretrained(path=str(tmp_path / "again")), bench.io()).loglikelihood(PAIRS) == before
    write_model(spec, bench.io(), tmp_path / "exported")
    exported = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "exported")
    tokenizer = tiny_encoded.tokenizer(kind)
    for (chat, response), found in zip(PAIRS, before, strict=True):
        prompt, labels = (tokenizer(text)["input_ids"] for text in (chat[0].content, response))
        assert of_labels(exported, prompt, labels) == pytest.approx(found.logprob, abs=1e-4)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(
        base=tiny_encoded.pretrained(tmp_path / "model", "t5"),
        demonstrations=data(tmp_path / "demonstrations.jsonl", DEMONSTRATIONS),
        preferences=data(tmp_path / "preferences.jsonl", PREFERENCES),
        prompts=data(tmp_path / "prompts.jsonl", [{"prompt": row["prompt"]} for row in DEMONSTRATIONS]),
        seed=0,
    )


ONCE: dict[str, Any] = {"lr": 1e-2, "epochs": 1, "batch_size": 4}
LOSSES = [DPO, HIR, ORPO, SFT]  # the others differ from these in a formula


@pytest.mark.parametrize("method", LOSSES, ids=lambda method: method.__name__)
def test_every_loss_on_responses_is_learnt(method: type[Method], given: Given, tmp_path: Path) -> None:
    own = given if method is SFT else given.model_copy(update={"demonstrations": None})
    spec = method.model_validate({**ONCE, "epochs": 3}).policy(own)
    tuned = spec.base if isinstance(spec, Instructed) else spec
    assert isinstance(tuned, Tuned)
    bench = Bench(tmp_path)
    losses = [row["loss"] for row in log(bench.payload(tuned.by))]
    assert sum(losses[-2:]) < sum(losses[:2])
    before, after = (load_policy(one, bench.io()).loglikelihood(PAIRS) for one in (root(tuned), tuned))
    assert before != after


def test_it_learns_from_reward_with_a_value_of_its_states(given: Given, tmp_path: Path) -> None:
    file = tmp_path / "reward.py"
    file.write_text("def reward(prompts, responses):\n    return [len(one) for one in responses]\n", encoding="utf-8")
    reward = {"reward": FileReward(path=str(file), digest=digest_of_file(file)), "critic": "shared"}
    shape = {"prompts_per_update": 2, "max_new_tokens": 4, "lr": 1e-3, "updates": 1}
    tuned = PPO.model_validate({**reward, **shape}).policy(given.model_copy(update={"demonstrations": None}))
    assert isinstance(tuned, Tuned)
    assert len(log(Bench(tmp_path).payload(tuned.by))) == 1


def test_a_killed_training_goes_on_to_the_same_bytes(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DPO.model_validate({**ONCE, "batch_size": 3, "activations": "recomputed"})
    tuned = settings.policy(given.model_copy(update={"demonstrations": None, "lora": Lora(rank=2, targets=("q", "v"))}))
    assert isinstance(tuned, Tuned)
    whole = contents(Bench(tmp_path / "whole").payload(tuned.by))
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE_OF_TIME", float("inf"))

    def stop(progress: Progress) -> None:
        if progress.unit == "step" and progress.done == 2:
            raise KeyboardInterrupt

    again = Bench(tmp_path / "again")
    with pytest.raises(KeyboardInterrupt):
        again.run(tuned.by, stop)
    assert contents(again.run(tuned.by).out) == whole


def test_an_adapter_is_on_the_linears_of_both_halves(given: Given, tmp_path: Path) -> None:
    model = load_trainable(given.base, Bench(tmp_path).io(), lora=Lora(rank=2), seed=0).model
    adapted = {name for name, part in model.named_parameters() if part.requires_grad}
    assert all("lora_" in name for name in adapted)
    for part in ("encoder.block.0.layer.0.SelfAttention.q", "decoder.block.1.layer.1.EncDecAttention.v", "wo", "wi"):
        assert any(part in name for name in adapted), part
    assert not any("lm_head" in name or "shared" in name for name in adapted)
    assert model.peft_config["default"].task_type == "SEQ_2_SEQ_LM"


def test_it_is_steered_by_others(given: Given, tmp_path: Path) -> None:
    expert = tiny_encoded.pretrained(tmp_path / "expert", "t5", seed=1)
    anti = tiny_encoded.pretrained(tmp_path / "anti", "t5", seed=2)
    policy = load_policy(Proxy(base=given.base, expert=expert, antiexpert=anti), Bench(tmp_path).io())
    written = policy.generate([user("ask")], GREEDY, seeds=[0])[0]
    prompt = policy.parts[0].prompt(user("ask"))
    group = tuple(Group(prompt, [written.tokens]) for _ in policy.parts)
    assert policy.score([group])[0].is_greedy


WHOLE = """\
question: Does the tiny encoder-decoder learn to avoid the word no?
given:
  base: {path: ../../model}
  preferences: {path: ../../preferences.jsonl}
  seeds: [0]
methods:
  base: {}
  dpo: {lr: 0.01, epochs: 1, batch_size: 4}
evaluate:
  tasks: [{task: prompts, path: ../../prompts.jsonl, max_new_tokens: 6}]
  win_rate: {judges: [{judge: lexicon, path: ../../words.txt}], versus: base}
"""


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (
            ("dpo: {", "dpo: {method: rahf, contrast: {lr: 0.01}, "),
            "train/activity.* reads the hidden states",
        ),
        (("batch_size: 4", "batch_size: 4, graph: compiled"), "compiles the blocks"),
        (
            ("{judge: lexicon, path: ../../words.txt}", "{judge: likelihood, policy: {path: ../../model}}"),
            "asks a labeller how it goes on with a text",
        ),
    ],
    ids=["rahf", "compiled", "labeller"],
)
def test_what_cannot_be_done_is_refused_at_plan(
    change: tuple[str, str], refused: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_whole(tmp_path, WHOLE.replace(*change))
    for file in (tmp_path / "model").iterdir():
        file.unlink()
    tiny_encoded.pretrained(tmp_path / "model", "t5")
    with pytest.raises(SystemExit):
        main(["plan", str(folder)])
    said = " ".join("".join(capsys.readouterr()).split())
    assert "is done with causal language models only, and model is an encoder-decoder" in said
    assert re.search(refused, said), said


def test_an_adapter_that_peft_saved_for_it_is_read(tmp_path: Path) -> None:
    base = tiny_encoded.pretrained(tmp_path / "t5", "t5")
    config = LoraConfig(task_type="SEQ_2_SEQ_LM", r=3, target_modules="all-linear", init_lora_weights=False)
    adapted = get_peft_model(tiny_encoded.model("t5"), config)
    adapted.save_pretrained(str(tmp_path / "lora"))
    spec = base.model_copy(update={"adapters": (Adapter(path=str(tmp_path / "lora")),)})
    read, ids = load_model(spec, Bench(tmp_path).io()), torch.tensor([[5, 6, 1]])
    with torch.inference_mode():
        theirs = adapted.eval()(input_ids=ids, decoder_input_ids=ids).logits
        assert torch.allclose(read.model(input_ids=ids, decoder_input_ids=ids).logits, theirs, atol=1e-5)
