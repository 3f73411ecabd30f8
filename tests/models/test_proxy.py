from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bench.core.data import Data
from bench.core.datasets import Reply
from bench.core.errors import BenchError, StageError
from bench.core.frozen import digest
from bench.core.method import Lora
from bench.core.policy import BestOf, Decoding, Instructed, PolicySpec, Pretrained, Proxy, Tuned, as_read, root
from bench.core.reward import Chooser, ModelReward
from bench.core.stage import Progress, StageIO
from bench.core.task import user
from bench.models import proxy as under_test
from bench.models.decoding.noise import keys
from bench.models.decoding.sampling import choose
from bench.models.hf import HFPolicy
from bench.models.lengths import fit
from bench.models.likelihood.answers import OpenedQuestion, answer_logprobs
from bench.models.load import load_model, load_policy, load_trainable
from bench.models.local import completions, longest, prompts_of, scored
from bench.models.packing.layout import Group
from bench.models.proxy import ProxyPolicy, combined, terms_of
from bench.models.tokenizer import token_row
from tests.methods.tiny import Bench, pretrained
from tests.models.decoding.test_sampling import DECODINGS, by_session
from tests.models.tiny import VOCABULARY, WORDS, tiny_chats, tiny_model, word_tokenizer

B, E, A = (Pretrained(path=name) for name in ("base", "expert", "antiexpert"))
SEEDS = {"base": ("llama", 0), "expert": ("qwen2", 1), "antiexpert": ("gpt2", 2)}
MODELS = {name: tiny_model(family, seed=seed) for name, (family, seed) in SEEDS.items()}
PAIRS = [(chat, " ".join(WORDS[row : row + 1 + row % 5])) for row, chat in enumerate(tiny_chats(12))]


def policy_of(spec: PolicySpec, **others: HFPolicy) -> HFPolicy | ProxyPolicy:
    """The policy of a spec over models in memory, without files."""

    def one(term: PolicySpec) -> HFPolicy:
        start = root(term)
        assert isinstance(start, Pretrained) and start.path is not None
        if start.path in others:
            return others[start.path]
        return HFPolicy(term, MODELS[start.path], word_tokenizer(), start.template)

    if not isinstance(root(spec), Proxy):
        return one(spec)
    terms = terms_of(spec)
    return ProxyPolicy(spec, terms, [one(term.spec) for term in terms])


def proxied(alpha: float = 1.0, base: PolicySpec = B, expert: PolicySpec = E, antiexpert: PolicySpec = A) -> Proxy:
    return Proxy(base=base, expert=expert, antiexpert=antiexpert, alpha=alpha)


def assert_equal(one: Any, other: Any) -> None:
    """Two policies write and score alike, to 1e-5 in logits and log-probabilities."""
    torch.testing.assert_close(
        one.session(tiny_chats(9)).logits(), other.session(tiny_chats(9)).logits(), atol=1e-5, rtol=0
    )
    for mine, theirs in zip(one.loglikelihood(PAIRS), other.loglikelihood(PAIRS), strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-5 * max(1, mine.n_tokens))
        assert (mine.is_greedy, mine.n_tokens) == (theirs.is_greedy, theirs.n_tokens)
    for decoding in DECODINGS:
        mine, theirs = (policy.generate(tiny_chats(9), decoding, seeds=range(9)) for policy in (one, other))
        assert [each.tokens for each in mine] == [each.tokens for each in theirs]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, -2.5])
def test_identities(alpha: float) -> None:
    base = policy_of(B)
    assert_equal(policy_of(proxied(0.0)), base)
    assert_equal(policy_of(proxied(alpha, B, E, E)), base)
    assert_equal(policy_of(proxied(alpha, B, B, B)), base)
    assert_equal(policy_of(proxied(1.0, B, E, B)), policy_of(E))
    assert len(policy_of(proxied(alpha, B, B, B)).parts) == 1
    # The same models without the algebra that spares their passes.
    whole = under_test.ProxyPolicy.__new__(ProxyPolicy)
    whole.__dict__ |= policy_of(proxied(0.5)).__dict__
    whole.models, whole.factors = (*base.parts, *base.parts, *base.parts), (1.0, alpha, -alpha)
    torch.testing.assert_close(
        whole.session(tiny_chats(5)).logits(), base.session(tiny_chats(5)).logits(), atol=1e-5, rtol=0
    )


def test_the_algebra() -> None:
    logits = [torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])]
    found = combined(logits, [1.0, 1.0, -1.0])
    torch.testing.assert_close(found, torch.tensor([[3.0, 0.0]]))
    torch.testing.assert_close(found.softmax(-1), torch.tensor([[0.952574, 0.047426]]), atol=1e-6, rtol=0)
    # p ~ p_base (p_expert / p_anti)^alpha, and a constant added to the expert's logits changes nothing.
    base, expert, anti = (torch.randn(3, 7, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    product = base.softmax(-1) * (expert.softmax(-1) / anti.softmax(-1)) ** 1.7
    for shift in (0.0, 5.0):
        shares = combined([base, expert + shift, anti], [1.0, 1.7, -1.7]).softmax(-1)
        torch.testing.assert_close(shares, product / product.sum(-1, keepdim=True))


def test_terms_are_added_up_exactly() -> None:
    def shares(spec: PolicySpec) -> dict[str, float]:
        return {str(term.spec.path): term.factor for term in terms_of(spec) if isinstance(term.spec, Pretrained)}

    assert shares(B) == {"base": 1.0}
    assert shares(proxied(0.1)) == {"base": 1.0, "expert": 0.1, "antiexpert": -0.1}
    assert shares(proxied(0.1, B, B, B)) == {"base": 1.0}
    assert shares(proxied(0.1, B, E, B)) == {"base": 0.9, "expert": 0.1}
    inner = proxied(0.5)
    assert shares(proxied(2.0, inner, E, A)) == {"base": 1.0, "expert": 2.5, "antiexpert": -2.5}
    assert shares(proxied(2.0, B, inner, B)) == {"base": 1.0, "expert": 1.0, "antiexpert": -1.0}
    assert shares(proxied(1.0, inner, B, inner)) == {"base": 1.0}
    assert [term.place for term in terms_of(proxied(1.0, B, inner, B))] == [
        "base",
        "expert.expert",
        "expert.antiexpert",
    ]


@pytest.mark.parametrize("decoding", DECODINGS)
def test_generation_equals_every_slow_one(decoding: Decoding) -> None:
    policy = policy_of(proxied(0.6))
    assert isinstance(policy, ProxyPolicy)
    chats, seeds = tiny_chats(14), [row * 1_000_003 - 5 for row in range(14)]
    fast = policy.generate(chats, decoding, seeds=seeds)
    slow = by_session(policy, chats, decoding, seeds)  # type: ignore[arg-type]
    assert [one.tokens for one in fast] == [tokens for tokens, _ in slow]
    for one, (_, logprobs) in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one.logprobs, logprobs, atol=1e-4)
    assert len({one.finish for one in fast}) == 2
    alone = [policy.generate([chats[row]], decoding, seeds=[seeds[row]])[0] for row in range(6)]
    assert [one.tokens for one in alone] == [one.tokens for one in fast[:6]]
    backwards = policy.generate(chats[::-1], decoding, seeds=seeds[::-1])[::-1]
    assert [one.tokens for one in backwards] == [one.tokens for one in fast]
    for row in range(3):
        assert without_cache(policy, row, decoding, seeds[row]) == fast[row].tokens


def without_cache(policy: ProxyPolicy, row: int, decoding: Decoding, seed: int) -> tuple[int, ...]:
    """The whole texts are read again for every token, by each model by itself."""
    texts = [list(prompt) for prompt in prompts_of(policy, tiny_chats(14)[row])]
    written: list[int] = []
    for noise in torch.from_numpy(keys([seed], decoding.max_new_tokens)).unbind(1):
        with torch.inference_mode():
            base, expert, anti = (
                model.model(input_ids=torch.tensor([text]), use_cache=False).logits[:, -1].float()
                for model, text in zip(policy.models, texts, strict=True)
            )
        token = int(choose(base + 0.6 * (expert - anti), decoding, noise)[0])
        written.append(token)
        for text in texts:
            text.append(token)
        if token in policy.end_ids:
            break
    return tuple(written)


def test_scores_are_those_of_what_was_written_and_greedy_is_the_argmax() -> None:
    policy = policy_of(proxied(0.8))
    chats = tiny_chats(10)
    for decoding in (Decoding(max_new_tokens=10), Decoding(max_new_tokens=10, temperature=0)):
        found = policy.generate(chats, decoding, seeds=range(10))
        rows = [
            tuple(Group(prompt, [one.tokens]) for prompt in prompts_of(policy, chat))
            for chat, one in zip(chats, found, strict=True)
        ]
        for one, (score,) in zip(found, scored(policy, rows), strict=True):
            assert score.logprob == pytest.approx(sum(one.logprobs), abs=1e-4)
            assert score.n_tokens == len(one.tokens)
            assert score.is_greedy or decoding.temperature > 0
        sums = policy.token_logprobs(rows).sum()
        np.testing.assert_allclose(sums, [sum(one.logprobs) for one in found], atol=1e-4)


def test_several_responses_to_a_prompt_score_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of(proxied())
    responses = [[9, 10, 2], [11, 2], [12, 13, 14, 15]]
    rows = [tuple(Group(prompt, responses) for prompt in prompts_of(policy, chat)) for chat in tiny_chats(7)]
    together = [[one.logprob for one in row] for row in scored(policy, rows)]
    alone = [
        [
            scored(policy, [tuple(Group(group.prompt, [response]) for group in row)])[0][0].logprob
            for response in responses
        ]
        for row in rows
    ]
    # Sums of float32 numbers, added in another order: they differ by up to 4e-6 here, by machine.
    np.testing.assert_allclose(together, alone, atol=1e-5)
    monkeypatch.setattr(under_test, "LOGITS_AT_ONCE", 4 * len(VOCABULARY) * 3)
    np.testing.assert_allclose([[one.logprob for one in row] for row in scored(policy, rows)], together, atol=1e-5)


def test_each_model_reads_the_chat_in_its_own_words() -> None:
    asked = Instructed(base=E, instruction="w40 w41", separator=" ")
    worded = Pretrained(path="antiexpert", template="w30 {prompt} w31")
    spec = Instructed(base=proxied(1.0, B, asked, worded), instruction="w20", separator=" ")
    policy = policy_of(spec)
    texts = [policy.tokenizer.decode(prompt) for prompt in prompts_of(policy, user("w1"))]
    assert texts == ["<s> w20 w1", "<s> w40 w41 w20 w1", "<s> w30 w20 w1 w31"]
    assert as_read(spec, user("w1")) == user("w20 w1")
    # The same weights in two wordings are two readings, by one model.
    two = policy_of(proxied(1.0, B, Instructed(base=B, instruction="w9"), B))
    assert len(two.parts) == 1 and two.parts[0].prompt(user("w1")) != policy_of(B).parts[0].prompt(user("w1"))
    three = policy_of(proxied(0.5, B, Instructed(base=B, instruction="w9"), A))
    assert len(three.parts) == 3 and three.parts[0].model is three.parts[1].model


def test_proxy_in_proxy_is_the_sum() -> None:
    inner = proxied(0.5)
    nested = policy_of(proxied(2.0, inner, A, E))
    flat = policy_of(proxied(-1.5))
    assert_equal(nested, flat)
    assert_equal(policy_of(proxied(1.0, inner, B, inner)), policy_of(B))


def test_cost_of_all_models_is_on_the_meter(tmp_path: Path) -> None:
    told: list[Progress] = []
    io = StageIO(out=tmp_path, scratch=tmp_path, read_payload=lambda _: tmp_path, on_progress=told.append)
    policy = policy_of(proxied())
    found = policy.generate(tiny_chats(10), Decoding(max_new_tokens=9), seeds=range(10), io=io)
    written = sum(len(one.tokens) for one in found)
    read = sum(one.prompt_tokens for one in found)
    parameters = sum(part.parameters for part in policy.parts)
    assert io.meter.generated_tokens == written
    assert io.meter.read_tokens == 3 * read
    assert io.meter.flops == 2.0 * parameters * (written + read)
    assert (told[-1].done, told[-1].total) == (10, 10)


def model_with(vocabulary: int, seed: int = 5) -> LlamaForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # noqa: TID251 - transformers takes no generator
        shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
        made = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, eos_token_id=2, initializer_range=0.5, **shape))
    return made.eval()


def tokenizer_with(*extra: str) -> PreTrainedTokenizerFast:
    made = word_tokenizer()
    made.add_tokens(list(extra))
    return made


@pytest.mark.parametrize("longer", ["base", "expert", "antiexpert"])
def test_tails_of_the_vocabulary_are_cut(longer: str) -> None:
    size = len(VOCABULARY)
    others = {longer: HFPolicy(Pretrained(path=longer), model_with(size + 7), word_tokenizer())}
    policy = policy_of(proxied(), **others)
    logits = policy.session(tiny_chats(3)).logits()
    assert logits.shape == (3, size) and bool(torch.isfinite(logits).all())
    assert max(max(one.tokens) for one in policy.generate(tiny_chats(9), DECODINGS[0], seeds=range(9))) < size
    assert all(np.isfinite(one.logprob) for one in policy.loglikelihood(PAIRS))


def test_tokens_that_only_the_expert_has_are_cut() -> None:
    size = len(VOCABULARY)
    padded = HFPolicy(B, model_with(size + 8), word_tokenizer())
    expert = HFPolicy(E, model_with(size + 8, 6), tokenizer_with("<extra>"))
    anti = HFPolicy(A, model_with(size + 8, 7), word_tokenizer())
    others = {"base": padded, "expert": expert, "antiexpert": anti}
    assert policy_of(proxied(), **others).session(tiny_chats(2)).logits().shape == (2, size)
    # Where all know the same tokens, the padding stays, so that nothing but the sum changes.
    assert policy_of(proxied(1.0, B, B, B), **others).session(tiny_chats(2)).logits().shape == (2, size + 8)


def test_other_vocabularies_are_refused() -> None:
    from tests.models.tiny import byte_tokenizer

    foreign = HFPolicy(E, model_with(300), byte_tokenizer())
    with pytest.raises(StageError, match=r"token with id 3 is '<unk>' for the base.*for its expert.*one family"):
        policy_of(proxied(), expert=foreign)
    short = HFPolicy(A, model_with(len(VOCABULARY) - 4), word_tokenizer())
    with pytest.raises(StageError, match=r"the antiexpert of the proxied policy has 46 logits.*50 tokens"):
        policy_of(proxied(), antiexpert=short)


def test_the_end_and_the_context_are_those_of_all() -> None:
    other = HFPolicy(E, tiny_model("llama", seed=4, context=24), word_tokenizer())
    other.end_ids = frozenset({2, 7})
    policy = policy_of(proxied(), expert=other)
    assert policy.end_ids == {2, 7}
    assert policy.context == 24
    long, short = policy.generate([user(" ".join(WORDS[:20])), user("w1")], Decoding(max_new_tokens=8), seeds=[0, 1])
    assert (long.finish, long.text, long.tokens) == ("no_room", "", ())
    assert short == policy.generate([user("w1")], Decoding(max_new_tokens=8), seeds=[1])[0]
    with pytest.raises(StageError, match=r"pair 0 has .* context of 24"):
        policy.loglikelihood([(user(" ".join(WORDS[:20])), " ".join(WORDS[:9]))])
    row = token_row(policy, user(" ".join(WORDS[:9])), [Reply(" ".join(WORDS[:30]))])
    found = fit(0, row, longest(policy, 64))
    assert found is not None
    assert all(len(prompt) + len(found.responses[0]) <= 24 for prompt in found.prompts)


def test_it_can_label(tmp_path: Path) -> None:
    io = StageIO(out=tmp_path, scratch=tmp_path, read_payload=lambda _: tmp_path)
    policy = policy_of(proxied(0.7))
    questions = [OpenedQuestion(str(row), chat) for row, chat in enumerate(tiny_chats(5))]
    found = answer_logprobs(policy, questions, ["w5", "w6 w7"], io)
    for (first, second), chat in zip(found, tiny_chats(5), strict=True):
        shares = policy.session([chat]).logits().log_softmax(-1)[0]
        assert first == pytest.approx(float(shares[9]), abs=1e-5)
        assert second < float(shares[10])
    assert io.meter.flops > 0


def test_a_loaded_proxy_is_that_of_its_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    base, small = pretrained(tmp_path / "base", 0, hidden=24), pretrained(tmp_path / "small", 1)
    other = pretrained(tmp_path / "other", 2)
    spec = Proxy(base=base, expert=other, antiexpert=small, alpha=0.5)
    assert Proxy.model_validate_json(spec.model_dump_json()) == spec
    assert len({digest(spec.model_copy(update={"alpha": alpha})) for alpha in (0.0, 0.5, 1.0)}) == 3
    policy = load_policy(spec, bench.io())
    expected = [load_model(one, bench.io()).session([user("ask one")]).logits() for one in (base, other, small)]
    torch.testing.assert_close(
        policy.session([user("ask one")]).logits(), expected[0] + 0.5 * (expected[1] - expected[2]), atol=1e-5, rtol=0
    )
    assert not any(parameter.requires_grad for part in policy.parts for parameter in part.model.parameters())
    twice = load_policy(Proxy(base=base, expert=Instructed(base=base, instruction="be."), antiexpert=small), bench.io())
    assert twice.parts[0].model is twice.parts[1].model


def test_nothing_is_trained_on_top_of_a_proxy(tmp_path: Path) -> None:
    from methods._train.pairs.reference import ReferenceLogprobs

    spec = proxied()
    stage = ReferenceLogprobs(policy=spec, data=Data(path="p", digest="d"), max_length=9)
    for base in (spec, Instructed(base=spec, instruction="w1")):
        with pytest.raises(BenchError, match="no weights of its own"):
            Tuned(base=base, by=stage)
        for load in (
            lambda one: load_trainable(one, Bench(tmp_path).io(), lora=Lora(), seed=0),
            lambda one: load_model(one, Bench(tmp_path).io()),
        ):
            with pytest.raises(StageError, match="cannot be trained or edited"):
                load(base)


def test_the_best_of_several_has_no_logits() -> None:
    best = BestOf(base=E, n=2, chooser=Chooser(reward=ModelReward()))
    for name in ("base", "expert", "antiexpert"):
        with pytest.raises(BenchError, match=f"the {name} of a proxied policy must give every next token a logit"):
            proxied(1.0, **{name: best})


def test_rows_of_ids_can_be_given() -> None:
    policy = policy_of(proxied())
    rows = [prompts_of(policy, chat) for chat in tiny_chats(4)]
    assert completions(policy, rows, DECODINGS[1], seeds=range(4)) == policy.generate(
        tiny_chats(4), DECODINGS[1], seeds=range(4)
    )
