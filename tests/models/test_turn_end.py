"""Where a response ends, with templates in the manner of those that people have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from bench.core.datasets import Reply
from bench.core.errors import StageError
from bench.core.files import digest_of_folder
from bench.core.policy import Decoding, Message, Pretrained
from bench.core.stage import StageIO
from bench.core.task import user
from bench.models.chat import prompt_ids
from bench.models.for_transformers import write_model
from bench.models.hf import HFPolicy
from bench.models.load import load_model, load_trainable
from bench.models.rendering import render
from bench.models.response_tokens import ResponseTokens
from bench.models.tokenizer import token_row
from bench.models.turn_end import turn_end
from tests.models.tiny import SPEC, byte_tokenizer, sentence_tokenizer, tiny_chats, tiny_model, word_tokenizer

_LOOP = "{% for m in messages %}BODY{% endfor %}"
CHATML = (
    _LOOP.replace("BODY", "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}")
    + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + _LOOP.replace(
        "BODY",
        "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim "
        "+ '<end_of_turn>\\n' }}",
    )
    + "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
LLAMA_3 = (
    _LOOP.replace(
        "BODY",
        "{% set c = '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set c = bos_token + c %}{% endif %}{{ c }}",
    )
    + "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% if messages[0].role == 'system' %}{% set ms = messages[1:] %}"
    "{% set s = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}"
    "{% else %}{% set ms = messages %}{% set s = '' %}{% endif %}"
    "{% for m in ms %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{% if m.role == 'user' %}"
    "{{ bos_token + '[INST] ' + ((s if loop.first else '') + m.content).strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = LLAMA_2.replace("' ' + eos_token", "eos_token").replace("bos_token + '[INST] '", "'[INST] '")
PHI_3 = (
    _LOOP.replace("BODY", "{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}")
    + "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
ZEPHYR = (
    _LOOP.replace("BODY", "{{ '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}")
    + "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
LAST_ONLY = (
    _LOOP.replace(
        "BODY",
        "{{ '[' + m.role + ']' + m.content }}{% if loop.last and m.role == 'assistant' %}{{ eos_token }}{% endif %}",
    )
    + "{% if add_generation_prompt %}[assistant]{% endif %}"
)
BETWEEN_ONLY = (
    _LOOP.replace("BODY", "{% if not loop.first %}<|im_end|>{% endif %}{{ '<|im_start|>' + m.role + ' ' + m.content }}")
    + "{% if add_generation_prompt %}{{ '<|im_end|><|im_start|>assistant ' }}{% endif %}"
)
BLOCKS = (
    _LOOP.replace(
        "BODY",
        "{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content + '<|im_end|>' }}{% endgeneration %}"
        "{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{{ '\\n' }}",
    )
    + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
GPT_OSS = (
    _LOOP.replace(
        "BODY",
        "{% if m.role == 'assistant' %}{{ '<|start|>assistant<|channel|>final<|message|>' + m.content }}"
        "{% if loop.last and not add_generation_prompt %}<|return|>{% else %}<|end|>{% endif %}"
        "{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}",
    )
    + "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
THINKING = (
    _LOOP.replace(
        "BODY",
        "{{ '<|im_start|>' + m.role + '\n' }}{% if loop.last and m.role == 'assistant' %}<think>\n\n</think>\n\n"
        "{% endif %}{{ m.content + '<|im_end|>\n' }}",
    )
    + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHOUTING = CHATML.replace("m.content", "m.content | upper")
UNASKED = _LOOP.replace("BODY", "{{ '<|' + m.role + '|>' + m.content }}") + "<|assistant|>"
NOTHING = _LOOP.replace("BODY", "{{ m.role + ': ' + m.content + '\\n' }}")

NAMES = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>",
    "<|start|>", "<|channel|>", "<|message|>", "<|return|>", "<think>", "</think>",
)  # fmt: skip
ENDS = {
    "ChatML": (CHATML, "<|im_end|>", ""),
    "generation blocks": (BLOCKS, "<|im_end|>", ""),
    "Gemma": (GEMMA, "<end_of_turn>", ""),
    "Llama 3": (LLAMA_3, "<|eot_id|>", ""),
    "Llama 2": (LLAMA_2, "</s>", " "),
    "Mistral": (MISTRAL, "</s>", ""),
    "Phi 3": (PHI_3, "<|end|>", ""),
    "Zephyr": (ZEPHYR, "</s>", ""),
    "only behind the last turn": (LAST_ONLY, "</s>", ""),
    "only before another turn": (BETWEEN_ONLY, "<|im_end|>", ""),
    "the next turn opened unasked": (UNASKED, "</s>", ""),
    "nothing": (NOTHING, "</s>", ""),
    "gpt-oss": (GPT_OSS, "<|return|>", ""),
    "thinking": (THINKING, "<|im_end|>", ""),
    "what turns say in capitals": (SHOUTING, "<|im_end|>", ""),
}
MAKERS = {"bytes": byte_tokenizer, "sentence": lambda: sentence_tokenizer("normalizer"),
          "metaspace": lambda: sentence_tokenizer("metaspace")}  # fmt: skip


def chatting(template: str | None, maker: str = "bytes") -> PreTrainedTokenizerBase:
    tokenizer = MAKERS[maker]()
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in NAMES], special_tokens=True)
    tokenizer.chat_template = template
    return tokenizer


def found(tokenizer: PreTrainedTokenizerBase, end_token: str | None = None) -> tuple[str, str]:
    form = turn_end(tokenizer, tokenizer.chat_template, end_token)
    return str(tokenizer.convert_ids_to_tokens(form.token)), form.closing


@pytest.mark.parametrize("name", ENDS)
def test_the_end_is_what_the_template_writes(name: str) -> None:
    template, end, closing = ENDS[name]
    assert found(chatting(template)) == (end, closing)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", ["ChatML", "Gemma", "Llama 3", "Llama 2", "Mistral", "Phi 3", "Zephyr"])
def test_prompt_and_response_are_the_finished_conversation(name: str, maker: str) -> None:
    template, end, closing = ENDS[name]
    tokenizer = chatting(template, maker)
    tokens = ResponseTokens(tokenizer)
    turns = (("user", "Hi"), ("assistant", "Once a"), ("user", "so"), ("assistant", "a On"))
    whole = tokenizer(render(tokenizer, turns, opened=False), add_special_tokens=False)["input_ids"]
    chat = tuple(Message(role=role, content=content) for role, content in turns[:-1])
    ours = [*prompt_ids(tokenizer, chat, ""), *tokens.ids("a On")]
    assert ours == whole[: len(ours)]
    assert set(tokenizer.convert_ids_to_tokens(whole[len(ours) :])) <= {"Ċ", "\n", "▁", "</s>"}
    assert (
        ours.count(tokens.end)
        == 2 + (end in ("<|im_end|>", "<end_of_turn>", "<|eot_id|>", "<|end|>")) * 2 + (name == "Zephyr") * 2
    )
    for text in ("a On", " a", "a ", "", "\n", "  x  ", "\n\na"):
        ids = tokens.ids(text)
        assert ids[-1] == tokens.end
        assert tokens.text(ids, (tokens.end,)) == text
    assert tokens.changed == 0


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    ("template", "between"),
    [(GPT_OSS, "<|channel|>final<|message|>"), (THINKING, "<think>\n\n</think>\n\n"), (LLAMA_2, "")],
)
def test_what_stands_before_a_response_is_learnt_and_is_not_its_text(template: str, between: str, maker: str) -> None:
    tokenizer = chatting(template, maker)
    if template == GPT_OSS:
        tokenizer.eos_token = "<|return|>"  # noqa: S105 - no password
    tokens = ResponseTokens(tokenizer)
    whole = tokenizer(
        render(tokenizer, (("user", "Hi"), ("assistant", "a On")), opened=False), add_special_tokens=False
    )["input_ids"]
    ours = [*prompt_ids(tokenizer, user("Hi"), ""), *tokens.ids("a On")]
    assert ours == whole[: len(ours)]
    for text in ("a On", " a", "", "\n", between, f"{between}a", "<|im_start|> a"):
        ids = tokens.ids(text)
        assert ids.count(tokens.end) == 1
        assert tokens.text(ids, (tokens.end,)) == text
        cut = tokens.cut_ids(text)
        assert tokens.end not in cut
        assert tokens.text(cut, (tokens.end,)) == text
    assert tokens.changed == 0


def test_a_cut_response_has_nothing_of_the_end() -> None:
    tokens = ResponseTokens(chatting(LLAMA_2))
    assert tokens.ids("a ")[:-1] == [*tokens.cut_ids("a "), *tokens.cut_ids("a ")[-1:]]  # the template's space


def test_a_template_that_shows_no_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        turn_end(chatting(CHATML), CHATML, None)
        turn_end(chatting(None), None, None)
        turn_end(chatting(NOTHING), NOTHING, "</s>")
        assert caplog.text == ""
        turn_end(chatting(NOTHING), NOTHING, None)
    assert "shows no token that it writes after an assistant's turn" in caplog.text
    assert "'</s>'" in caplog.text


def test_a_plain_model_ends_with_its_eos_token_and_a_chosen_end_wins() -> None:
    assert found(chatting(None)) == ("</s>", "")
    assert found(chatting(CHATML), "</s>") == ("</s>", "")
    assert found(chatting(LLAMA_2), "</s>") == ("</s>", " ")
    assert found(chatting(None), "<|im_end|>") == ("<|im_end|>", "")
    with pytest.raises(StageError, match="'<stop>' is no token"):
        found(chatting(CHATML), "<stop>")


def test_without_an_eos_token_the_template_says_the_end() -> None:
    for template in (CHATML, NOTHING, None):
        tokenizer = chatting(template)
        tokenizer.eos_token = None
        if template == CHATML:
            assert found(tokenizer) == ("<|im_end|>", "")
        else:
            with pytest.raises(StageError, match=r"no end token.*end_token"):
                found(tokenizer)


def test_a_template_that_refuses_a_chat_is_named_with_the_prompt() -> None:
    system = (Message(role="system", content="Be brief"), Message(role="user", content="Hi"))
    with pytest.raises(StageError, match=r"'Be brief Hi'.*system, user: System role not supported"):
        prompt_ids(chatting(GEMMA), system, "")
    twice = (*user("Hi"), *user("Ho"))
    with pytest.raises(StageError, match="must alternate"):
        prompt_ids(chatting(MISTRAL), twice, "")


def nowhere(folder: Path) -> StageIO:
    return StageIO(out=folder / "out", scratch=folder / "scratch", read_payload=lambda _stage: folder)


WORD_CHAT = (
    "{% for m in messages %}{{ '<s> ' + m.content + ' w45 ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s> ' }}{% endif %}"
)


def word_chat(**changes: object) -> PreTrainedTokenizerBase:
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["w45"]})
    tokenizer.chat_template = WORD_CHAT
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    return tokenizer


def test_a_policy_has_one_end_wherever_it_reads_and_writes() -> None:
    policy = HFPolicy(SPEC, tiny_model("llama"), word_chat())
    end = policy.tokenizer.convert_tokens_to_ids("w45")
    assert policy.response("w1 w2")[-1] == end
    assert policy.end_ids == {end, 2}
    written = policy.generate(tiny_chats(24), Decoding(max_new_tokens=48), seeds=range(24))
    assert {one.tokens[-1] for one in written if one.finish == "end"} == {end, 2}
    for one in written:
        assert not policy.end_ids & set(one.tokens[:-1])
    (score,) = policy.loglikelihood([(user("w3"), "w1 w2")])
    assert score.n_tokens == 3
    chosen = HFPolicy(Pretrained(path="nowhere", end_token="</s>"), policy.model, policy.tokenizer)
    assert chosen.response("w1")[-1] == 2


def test_the_folder_for_transformers_stops_at_the_same_token(tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path / "base")
    word_chat().save_pretrained(tmp_path / "base")
    spec = Pretrained(path=str(tmp_path / "base"), digest=digest_of_folder(tmp_path / "base"))
    write_model(spec, nowhere(tmp_path), tmp_path / "out")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").generation_config.eos_token_id == [2, 49]


def test_the_folder_of_a_plain_model_ends_where_the_model_did(tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path / "base")
    word_tokenizer().save_pretrained(tmp_path / "base")
    spec = Pretrained(path=str(tmp_path / "base"), digest=digest_of_folder(tmp_path / "base"), end_token="w45")
    io = nowhere(tmp_path)
    write_model(spec, io, tmp_path / "out")
    again = Pretrained(path=str(tmp_path / "out"), digest=digest_of_folder(tmp_path / "out"))
    before, after = load_model(spec, io), load_model(again, io)
    assert after.response("w1 w2") == before.response("w1 w2")
    assert after.response("w1 w2")[-1] == 49
    assert after.prompt(user("w3")) == before.prompt(user("w3"))
    assert after.end_ids == before.end_ids


@pytest.mark.parametrize("pad", [None, 0, 2, 50, 99])
def test_any_valid_id_pads(pad: int | None) -> None:
    tokenizer = word_tokenizer()
    if pad is None:
        tokenizer.pad_token = None
    elif pad > 49:
        tokenizer.add_special_tokens({"additional_special_tokens": [f"<{number}>" for number in range(50, pad)]})
        tokenizer.add_special_tokens({"pad_token": "<new pad>"})
        assert tokenizer.pad_token_id == pad
    else:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    policy = HFPolicy(SPEC, tiny_model("llama"), tokenizer)
    plain = HFPolicy(SPEC, tiny_model("llama"), word_tokenizer())
    assert 0 <= policy.pad_id < 50
    chats = tiny_chats(5)
    decoding = Decoding(temperature=0, max_new_tokens=6)
    assert policy.generate(chats, decoding, seeds=[0] * 5) == plain.generate(chats, decoding, seeds=[0] * 5)


def test_a_token_without_an_embedding_is_refused_where_it_would_be_read() -> None:
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<begin>"})
    policy = HFPolicy(SPEC, tiny_model("llama"), tokenizer)
    with pytest.raises(StageError, match=r"'<begin>' of a prompt has the id 50.*50 embeddings"):
        policy.prompt(user("w1"))
    with pytest.raises(StageError, match=r"'<begin>' of a prompt has the id 50.*50 embeddings"):
        token_row(policy, user("w1"), [Reply("w2")])
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<end>"})
    with pytest.raises(StageError, match="'<end>' of what ends a response"):
        HFPolicy(SPEC, tiny_model("llama"), tokenizer)
    tokenizer.chat_template = WORD_CHAT.replace("w45", "</s>")
    assert HFPolicy(SPEC, tiny_model("llama"), tokenizer).end_ids == {2}


def test_an_end_that_also_pads_is_learnt(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # noqa: TID251 - transformers takes no generator
        shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=50, pad_token_id=2, eos_token_id=2, **shape))
    model.save_pretrained(tmp_path / "base")
    tokenizer = word_tokenizer()
    tokenizer.pad_token = "</s>"
    tokenizer.save_pretrained(tmp_path / "base")
    spec = Pretrained(path=str(tmp_path / "base"), digest=digest_of_folder(tmp_path / "base"))
    policy = load_trainable(spec, nowhere(tmp_path), lora=None, seed=0)
    loss = policy.model(torch.tensor([[1, 5, 2, 6]]), labels=torch.tensor([[1, 5, 2, 6]])).loss
    loss.backward()
    assert float(policy.model.get_input_embeddings().weight.grad[2].abs().sum()) > 0
