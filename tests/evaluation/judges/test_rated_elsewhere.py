"""Reward models made elsewhere, and policies as implicit ones: the numbers of transformers' own forward pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForSequenceClassification,
)

from bench.config.load import load_comparison
from bench.core.errors import BenchError, ConfigError, StageError
from bench.core.files import digest_of_folder
from bench.core.frozen import decode, digest, encode
from bench.core.judge import Pair, Response
from bench.core.policy import Chat, Completion, Message
from bench.core.reward import JudgeReward
from bench.core.stage import StageIO
from bench.core.task import Prompt, user
from bench.evaluation.judges.implicit_reward import ImplicitReward
from bench.evaluation.judges.reward_model import RewardModelJudge
from bench.models.load import load_policy
from bench.models.rewards import open_reward, reply_of
from tests.methods.tiny import pretrained
from tests.models.tiny import VOCABULARY, WORDS, word_tokenizer
from tests.whole import write_whole

SHAPE: dict[str, Any] = {
    "vocab_size": len(VOCABULARY), "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 48,
}  # fmt: skip
CHAT = "{% for m in messages %}<s> {{ m['role'] }} {{ m['content'] }} </s> {% endfor %}"
KINDS = ("llama", "qwen2", "gpt2", "deberta")


def classifier(kind: str, labels: int = 1, pad: int | None = 0) -> PreTrainedModel:
    more: dict[str, Any] = {"num_labels": labels, "pad_token_id": pad}
    with torch.random.fork_rng():
        torch.manual_seed(3)  # noqa: TID251 - transformers takes no generator
        if kind == "llama":
            model: PreTrainedModel = LlamaForSequenceClassification(LlamaConfig(**SHAPE, **more))
        elif kind == "qwen2":
            model = Qwen2ForSequenceClassification(Qwen2Config(**SHAPE, num_key_value_heads=1, **more))
        elif kind == "gpt2":
            model = GPT2ForSequenceClassification(
                GPT2Config(vocab_size=len(VOCABULARY), n_positions=48, n_embd=16, n_layer=2, n_head=2, **more)
            )
        else:
            model = DebertaV2ForSequenceClassification(DebertaV2Config(**SHAPE, type_vocab_size=2, **more))
        for weight in model.parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def saved(folder: Path, kind: str = "llama", template: str | None = None, **more: Any) -> RewardModelJudge:
    classifier(kind, **more).save_pretrained(folder)
    tokenizer = word_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return RewardModelJudge(path=str(folder), digest=digest_of_folder(folder))


def io_in(folder: Path) -> StageIO:
    return StageIO(out=folder, scratch=folder, read_payload=lambda stage: folder)


def prompt(chat: Chat, name: str = "p") -> Prompt:
    return Prompt(id=name, chat=chat, cluster=name)


TURNS = (*user("w1 w2"), Message(role="assistant", content="w9"), *user("w3"))
ASKED = [
    Response(prompt=prompt(chat), text=text)
    for chat in (user("w1 w2 w3"), user("w5"), TURNS)
    for text in ("w7 w8", " ".join(WORDS[:20]), "w7 w8", "")
]


@torch.no_grad()
def by_transformers(folder: Path, one: Response, *, chat: bool) -> float:
    """The published use of such models: the text, tokenised by itself, through the model's own forward pass."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    if chat:
        turns = [*(turn.model_dump() for turn in one.prompt.chat), {"role": "assistant", "content": one.text}]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        found = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    elif len(one.prompt.chat) == 1:
        found = tokenizer(one.prompt.chat[0].content, one.text, return_tensors="pt")
    else:
        found = tokenizer("User: w1 w2\n\nAssistant: w9\n\nUser: w3\n\nAssistant:", one.text, return_tensors="pt")
    read = ("input_ids", "attention_mask", "token_type_ids")
    return float(model(**{name: ids[:, :48] for name, ids in found.items() if name in read}).logits[0, 0])


@pytest.mark.parametrize("template", [None, CHAT], ids=["pair", "chat"])
@pytest.mark.parametrize("kind", KINDS)
def test_ratings_are_those_of_transformers(tmp_path: Path, kind: str, template: str | None) -> None:
    judge = saved(tmp_path, kind, template)
    found = [verdict.value for verdict in judge.rate(None, ASKED, io_in(tmp_path))]
    wanted = [by_transformers(tmp_path, one, chat=template is not None) for one in ASKED]
    assert found == pytest.approx(wanted, abs=1e-5)
    assert found[0] == found[2]
    assert len({round(value or 0, 4) for value in found}) >= 6


def test_a_model_without_a_padding_token_and_one_whose_end_is_its_padding(tmp_path: Path) -> None:
    for name, pad in (("none", None), ("end", 2)):
        judge = saved(tmp_path / name, "llama", CHAT, pad=pad)
        wanted = [by_transformers(tmp_path / name, one, chat=True) for one in ASKED[:4]]
        found = [verdict.value for verdict in judge.rate(None, ASKED[:4], io_in(tmp_path))]
        assert found == pytest.approx(wanted, abs=1e-5)


def test_what_is_too_long_loses_its_end_and_says_so(tmp_path: Path) -> None:
    judge = saved(tmp_path)
    long = Response(prompt=prompt(user("w1")), text=" ".join(WORDS + WORDS))
    found, short = judge.rate(None, [long, ASKED[0]], io_in(tmp_path))
    assert found.text == "read with 48 of 93 tokens"
    assert found.value == pytest.approx(by_transformers(tmp_path, long, chat=False), abs=1e-5)
    assert short.text == ""


def test_a_template_of_ones_own_holds_what_texts_say(tmp_path: Path) -> None:
    judge = saved(tmp_path).model_copy(update={"template": "w40 {prompt} w41 {response} </s>"})
    odd = Response(prompt=prompt(user("w1")), text="{prompt} w2")
    found = judge.rate(None, [ASKED[0], odd], io_in(tmp_path))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    for verdict, text in zip(found, ("w40 w1 w2 w3 w41 w7 w8 </s>", "w40 w1 w41 {prompt} w2 </s>"), strict=True):
        read = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            wanted = model(input_ids=read["input_ids"], attention_mask=read["attention_mask"]).logits[0, 0]
        assert verdict.value == pytest.approx(float(wanted), abs=1e-5)


def test_of_several_labels_one_is_named(tmp_path: Path) -> None:
    judge = saved(tmp_path, labels=3)
    with pytest.raises(BenchError, match=r"its head has 3 labels.*\n.*0 \(LABEL_0\), 1 \(LABEL_1\)"):
        judge.check("rate")
    with pytest.raises(BenchError, match="no label 3; it has 0"):
        judge.model_copy(update={"label": 3}).check("compare")
    with pytest.raises(BenchError, match="Did you mean 'LABEL_2'"):
        judge.model_copy(update={"label": "LABEL2"}).check("compare")
    numbers = []
    for label in (2, "LABEL_2", 0):
        one = judge.model_copy(update={"label": label})
        one.check("compare")
        numbers.append(one.rate(None, ASKED[:1], io_in(tmp_path / str(label)))[0].value)
    assert numbers[0] == numbers[1] != numbers[2]


def test_what_would_rate_at_random_is_refused(tmp_path: Path) -> None:
    causal = pretrained(tmp_path / "causal")
    judge = RewardModelJudge(path=causal.path, digest=causal.digest)
    with pytest.raises(BenchError, match=r"LlamaForCausalLM is no sequence classifier.*\n.*implicit_reward"):
        judge.check("rate")
    # A folder that says it were one, and has no head: refused before and while it is loaded.
    folder = Path(str(causal.path))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": ["LlamaForSequenceClassification"], "num_labels": 1, "id2label": {"0": "LABEL_0"}}
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    judge = RewardModelJudge(path=causal.path, digest=digest_of_folder(folder))
    with pytest.raises(BenchError, match="hold no head"):
        judge.check("rate")
    with pytest.raises(StageError, match=r"its weights lack score\.weight"):
        judge.rate(None, ASKED[:1], io_in(tmp_path))


def test_which_model_is_told_once_and_changes_the_key(tmp_path: Path) -> None:
    wrong: tuple[dict[str, Any], ...] = ({}, {"of": "dpo", "path": "p"}, {"of": "dpo", "label": 1}, {"repo": "a/b"})
    for fields in wrong:
        with pytest.raises(ValueError, match=r"reward_model|made elsewhere|revision"):
            RewardModelJudge(**fields)
    judge = saved(tmp_path)
    assert decode(encode(judge)) == judge
    others = [{"label": 0}, {"dtype": "bfloat16"}, {"template": "{prompt}{response}"}, {"digest": "0"}]
    assert len({digest(judge), *(digest(judge.model_copy(update=other)) for other in others)}) == 5
    assert digest(judge) == digest(judge.model_copy(update={"path": "elsewhere"}))


def test_it_compares_and_rewards(tmp_path: Path) -> None:
    judge = saved(tmp_path)
    first, second = (verdict.value or 0.0 for verdict in judge.rate(None, ASKED[:2], io_in(tmp_path)))
    pair = Pair(prompt=ASKED[0].prompt, first=ASKED[0].text, second=ASKED[1].text)
    assert judge.compare(None, [pair], io_in(tmp_path))[0].value == float(first > second)
    reward = open_reward(JudgeReward(judge=judge), io_in(tmp_path))
    written = Completion(text=ASKED[0].text, tokens=(1,), logprobs=(0.0,), finish="end", prompt_tokens=1)
    assert reward.of([ASKED[0].prompt], [reply_of(written)]) == [pytest.approx(first)]


def test_a_policy_implies_a_reward(tmp_path: Path) -> None:
    policy, reference = pretrained(tmp_path / "policy", seed=4), pretrained(tmp_path / "reference")
    judge = ImplicitReward(policy=policy, reference=reference, beta=0.5)
    asked = [Response(prompt=prompt(user("ask one")), text=text) for text in ("red.", "green tea.", "a" * 200)]
    *found, none = judge.rate(None, asked, io_in(tmp_path))
    chats = [(one.prompt.chat, one.text) for one in asked[:2]]
    own, other = (load_policy(spec, io_in(tmp_path)).loglikelihood(chats) for spec in (policy, reference))
    assert [one.value for one in found] == pytest.approx(
        [0.5 * (a.logprob - b.logprob) for a, b in zip(own, other, strict=True)], abs=1e-5
    )
    assert (none.value, none.status) == (None, "undefined")
    assert "more than the model's context" in none.text
    pair = Pair(prompt=asked[0].prompt, first="red.", second="green tea.")
    better = float((found[0].value or 0) > (found[1].value or 0))
    assert judge.compare(None, [pair], io_in(tmp_path))[0].value == better
    assert decode(encode(judge)) == judge


def test_a_comparison_names_them(tmp_path: Path) -> None:
    folder = write_whole(tmp_path)
    saved(tmp_path / "rm")
    file = folder / "comparison.yaml"
    text = file.read_text(encoding="utf-8")
    implied = "{judge: implicit_reward, policy: {path: ../../model}, reference: {path: ../../model}}"
    right = text.replace("judges: [", f"judges: [{{judge: reward_model, path: ../../rm}}, {implied}, ").replace(
        "  base: {}", "  base: {}\n  best: {method: best_of_n, n: 2, reward: {judge: reward_model, path: ../../rm}}"
    )
    file.write_text(right, encoding="utf-8")
    judges = load_comparison(folder).evaluation.judges
    assert [named.label for named in judges] == ["reward_model", "implicit_reward", "lexicon"]
    file.write_text(right.replace("../../rm", "../../model"), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_comparison(folder)
    assert str(error.value).count("is no sequence classifier") == 2
    assert "methods.best.reward" in str(error.value)
