from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import stats

import bench.models.decoding.sampling as under_test
from bench.core.errors import StageError
from bench.core.meter import Meter
from bench.core.policy import Chat, Decoding
from bench.core.stage import Progress, StageIO
from bench.core.task import user
from bench.models.decoding.noise import gumbels, keys
from bench.models.decoding.sampling import choose, filtered
from bench.models.decoding.session import way_of
from bench.models.hf import HFPolicy
from bench.models.packing.decoder import decoder_of
from tests.models.tiny import FAMILIES, WORDS, tiny_chats, tiny_policy

DECODINGS = [
    Decoding(max_new_tokens=20),
    Decoding(max_new_tokens=20, temperature=0),
    Decoding(max_new_tokens=20, temperature=0.7, top_k=8, top_p=0.9),
]
Written = list[tuple[tuple[int, ...], tuple[float, ...]]]


def by_session(policy: HFPolicy, chats: Sequence[Chat], decoding: Decoding, seeds: Sequence[int]) -> Written:
    """The slow reference: every row of one session goes on to the end, whatever it has written."""
    session = policy.session(chats)
    noise = torch.from_numpy(keys(seeds, decoding.max_new_tokens))
    tokens, scores = [], []
    for position in range(decoding.max_new_tokens):
        chosen, logprobs = choose(session.logits(), decoding, noise[:, position])
        session.push(chosen)
        tokens.append(chosen)
        scores.append(logprobs)
    found: Written = []
    for row in range(len(chats)):
        ids = [int(step[row]) for step in tokens]
        length = next((place + 1 for place, token in enumerate(ids) if token in policy.end_ids), len(ids))
        found.append((tuple(ids[:length]), tuple(float(step[row]) for step in scores[:length])))
    return found


def by_definition(logits: torch.Tensor, decoding: Decoding, seed: int, position: int) -> int:
    """The largest of logits / temperature + G, with the noise of NumPy."""
    if decoding.temperature == 0:
        return int(logits.argmax())
    scores = (logits / decoding.temperature).log_softmax(-1)
    kept = filtered(scores.exp()[None], decoding)[0] > 0
    return int(np.where(kept, scores.numpy() + gumbels(seed, position, len(logits)), -np.inf).argmax())


def without_cache(policy: HFPolicy, chat: Chat, decoding: Decoding, seed: int) -> tuple[int, ...]:
    """The slowest reference: the whole text is read again for every token, no cache and no padding."""
    ids = policy.prompt(chat)
    start = len(ids)
    for position in range(decoding.max_new_tokens):
        with torch.inference_mode():
            logits = policy.model(input_ids=torch.tensor([ids]), use_cache=False).logits[:, -1].float()
        token = by_definition(logits[0], decoding, seed, position)
        ids.append(token)
        if token in policy.end_ids:
            break
    return tuple(ids[start:])


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_fast_generation_equals_every_slow_one(
    family: str, decoding: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny_policy(family)
    chats, seeds = tiny_chats(14), [row * 1_000_003 - 5 for row in range(14)]
    fast = policy.generate(chats, decoding, seeds=seeds)
    slow = by_session(policy, chats, decoding, seeds)
    assert [one.tokens for one in fast] == [tokens for tokens, _ in slow]
    for one, (_, logprobs) in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one.logprobs, logprobs, atol=1e-4)
    alone = [policy.generate([chats[row]], decoding, seeds=[seeds[row]])[0] for row in range(6)]
    assert [(one.tokens, one.text) for one in alone] == [(one.tokens, one.text) for one in fast[:6]]
    slowest = [without_cache(policy, chats[row], decoding, seeds[row]) for row in range(3)]
    assert slowest == [one.tokens for one in fast[:3]]
    monkeypatch.setattr(under_test, "ROWS_AT_ONCE", 5)
    backwards = policy.generate(chats[::-1], decoding, seeds=seeds[::-1])[::-1]
    assert [one.tokens for one in backwards] == [one.tokens for one in fast]


def test_ends_and_lengths_are_told_apart() -> None:
    policy = tiny_policy()
    found = policy.generate(tiny_chats(60), Decoding(max_new_tokens=25), seeds=range(60))
    ended = [one for one in found if one.finish == "end"]
    cut = [one for one in found if one.finish == "length"]
    assert ended and cut
    assert all(one.tokens[-1] in policy.end_ids and not policy.end_ids & set(one.tokens[:-1]) for one in ended)
    assert all(len(one.tokens) == 25 and not policy.end_ids & set(one.tokens) for one in cut)
    assert all(len(one.logprobs) == len(one.tokens) for one in found)
    assert [one.prompt_tokens for one in found] == [len(policy.prompt(chat)) for chat in tiny_chats(60)]


def test_logprobs_of_what_was_sampled_are_those_of_the_losses() -> None:
    from bench.models.likelihood.logprobs import Group, response_logprobs

    policy = tiny_policy("qwen2")
    chats = tiny_chats(6)
    found = policy.generate(chats, Decoding(max_new_tokens=12, top_k=5), seeds=range(6))
    groups = [Group(policy.prompt(chat), [one.tokens]) for chat, one in zip(chats, found, strict=True)]
    scored = response_logprobs(policy.model, groups, pad_id=0)
    for row, one in enumerate(found):
        np.testing.assert_allclose(one.logprobs, scored.values[row, : len(one.tokens)].detach(), atol=1e-4)


def test_other_seeds_give_other_completions_and_the_same_seed_the_same() -> None:
    policy = tiny_policy()
    chats = [user("w3 w4")] * 40
    first = policy.generate(chats, Decoding(max_new_tokens=8), seeds=range(40))
    again = policy.generate(chats, Decoding(max_new_tokens=8), seeds=range(40))
    assert first == again
    assert len({one.tokens for one in first}) > 30
    assert len({one.tokens for one in policy.generate(chats, Decoding(max_new_tokens=8), seeds=[9] * 40)}) == 1


def test_sampling_follows_the_distribution() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    draws = 20_000
    noise = torch.from_numpy(keys(range(draws), 1)[:, 0])
    tokens, logprobs = choose(logits.expand(draws, -1), Decoding(temperature=0.5), noise)
    expected = (logits[0] / 0.5).softmax(-1)
    shares = torch.bincount(tokens, minlength=4) / draws
    # Five standard errors of a share.
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / draws).sqrt()).all()
    torch.testing.assert_close(logprobs, expected.log()[tokens])


def test_what_has_no_weight_is_never_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, -30.0, -torch.inf]]).expand(4000, -1)
    tokens, logprobs = choose(logits, Decoding(), torch.from_numpy(keys(range(4000), 1)[:, 0]))
    assert set(tokens.tolist()) == {1} and logprobs.abs().max() < 1e-6
    alone, _ = choose(logits, Decoding(top_k=1), torch.from_numpy(keys(range(4000), 2)[:, 1]))
    assert set(alone.tolist()) == {1}
    among, _ = choose(torch.zeros(4000, 50), Decoding(top_k=3), torch.from_numpy(keys(range(4000), 1)[:, 0]))
    assert torch.bincount(among, minlength=50)[:3].min() > 1200 and int(among.max()) == 2


@pytest.mark.parametrize("spread", [0.5, 3.0, 12.0])
def test_choosing_without_every_logarithm_is_choosing_with_them(spread: float) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(600, 300, generator=generator) * spread
    tokens, logprobs = choose(logits, Decoding(temperature=0.8), torch.from_numpy(keys(range(600), 5)[:, 4]))
    scores = (logits / 0.8).log_softmax(-1)
    noise = np.stack([gumbels(seed, 4, 300) for seed in range(600)])
    assert tokens.tolist() == (scores.numpy() + noise).argmax(-1).tolist()
    torch.testing.assert_close(logprobs, scores.gather(-1, tokens[:, None])[:, 0])


def test_a_longer_vocabulary_meets_the_same_noise() -> None:
    logits = torch.randn(200, 100, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([logits, torch.full((200, 28), -torch.inf)], dim=-1)
    noise = torch.from_numpy(keys(range(200), 1)[:, 0])
    assert choose(padded, Decoding(), noise)[0].equal(choose(logits, Decoding(), noise)[0])
    # Padding that has some weight takes tokens away, and moves none to another of the first hundred.
    weighty = torch.cat([logits, torch.zeros(200, 28)], dim=-1)
    plain, found = choose(logits, Decoding(), noise)[0], choose(weighty, Decoding(), noise)[0]
    assert 0 < (found >= 100).sum() < 100
    assert found[found < 100].equal(plain[found < 100])


def test_two_distributions_draw_the_same_token_as_often_as_gumbel_noise_can() -> None:
    """P(same) = sum over i of 1 / sum over j of max(p_j / p_i, q_j / q_i), and at most 1 - total variation."""
    p = torch.tensor([0.4, 0.3, 0.2, 0.1])
    q = torch.tensor([0.3, 0.25, 0.25, 0.2])
    noise = torch.from_numpy(keys(range(20_000), 1)[:, 0])
    one, other = (choose(each.log().expand(20_000, -1), Decoding(), noise)[0] for each in (p, q))
    expected = sum(float(1 / torch.maximum(p / p[i], q / q[i]).sum()) for i in range(4))
    assert abs(float((one == other).float().mean()) - expected) < 5 * (expected * (1 - expected) / 20_000) ** 0.5
    assert expected > 0.95 * float(torch.minimum(p, q).sum())


def test_the_tail_of_a_large_vocabulary_is_drawn_as_often_as_it_should() -> None:
    """Four words hold 90%, 49,148 others the rest between them, the rarest a millionth of it each."""
    tail = torch.linspace(0, -12, 49_148).softmax(-1) * 0.1
    logits = torch.cat([torch.tensor([0.6, 0.2, 0.07, 0.03]), tail]).log()
    draws, found = 2000, []
    for start in range(0, draws, 500):
        noise = torch.from_numpy(keys(range(start, start + 500), 1)[:, 0])
        found.append(choose(logits.expand(500, -1), Decoding(), noise)[0])
    tokens = torch.cat(found)
    edges = torch.tensor([0, 1, 2, 3, 4, 2000, 6000, 14_000, 49_152])
    expected = torch.stack([logits.exp()[low:high].sum() for low, high in itertools.pairwise(edges.tolist())]).double()
    counts = torch.bincount(torch.bucketize(tokens, edges, right=True) - 1, minlength=8)
    assert stats.chisquare(counts.numpy(), (expected / expected.sum()).numpy() * draws).pvalue > 1e-3


def test_top_k_and_top_p_keep_what_they_should() -> None:
    weights = torch.tensor([[0.1, 0.4, 0.1, 0.3, 0.1]], dtype=torch.float64)
    assert filtered(weights, Decoding(top_k=3)).gt(0).tolist() == [[True, True, False, True, False]]
    assert filtered(weights, Decoding(top_p=0.65)).gt(0).tolist() == [[False, True, False, True, False]]
    assert filtered(weights, Decoding(top_p=0.75)).gt(0).tolist() == [[True, True, False, True, False]]
    assert filtered(weights, Decoding(top_p=0.01)).gt(0).tolist() == [[False, True, False, False, False]]
    assert filtered(weights, Decoding(top_k=2, top_p=0.5)).gt(0).tolist() == [[False, True, False, False, False]]
    assert filtered(weights, Decoding(top_k=99)).equal(weights)


def test_a_prompt_too_long_for_the_context_gets_no_answer_and_says_so() -> None:
    policy = tiny_policy(context=32)
    chats = [user("w1"), user(" ".join(WORDS[:20]))]
    short, long = policy.generate(chats, Decoding(max_new_tokens=12), seeds=[0, 1])
    assert (long.finish, long.text, long.tokens) == ("no_room", "", ())
    assert short.tokens
    found = policy.generate(chats, Decoding(max_new_tokens=11, temperature=0), seeds=[0, 1])
    assert [one.finish for one in found] != ["no_room", "no_room"]
    assert all(one.tokens for one in found)


def test_seeds_and_prompts_must_match() -> None:
    with pytest.raises(StageError, match="one seed per prompt"):
        tiny_policy().generate(tiny_chats(3), Decoding(), seeds=[1, 2])


def test_no_prompts_give_no_completions() -> None:
    assert tiny_policy().generate([], Decoding(), seeds=[]) == []


def test_tokens_are_counted_and_progress_is_told(tmp_path: object) -> None:
    policy = tiny_policy()
    told: list[Progress] = []
    io = StageIO(out=tmp_path, scratch=tmp_path, read_payload=lambda _: tmp_path, on_progress=told.append)  # type: ignore[arg-type, return-value]
    chats = tiny_chats(10)
    found = policy.generate(chats, Decoding(max_new_tokens=9), seeds=range(10), io=io)
    written = sum(len(one.tokens) for one in found)
    read = sum(one.prompt_tokens for one in found)
    assert io.meter == Meter(
        generated_tokens=written, read_tokens=read, flops=2.0 * policy.parameters * (written + read)
    )
    assert (told[-1].done, told[-1].total) == (10, 10)
    assert found == policy.generate(chats, Decoding(max_new_tokens=9), seeds=range(10))


def test_the_growing_cache_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.models.decoding import cache

    policy = tiny_policy()
    plain = policy.generate(tiny_chats(12), Decoding(max_new_tokens=40), seeds=range(12))
    monkeypatch.setattr(cache, "GROWTH", 1)
    assert policy.generate(tiny_chats(12), Decoding(max_new_tokens=40), seeds=range(12)) == plain


def test_several_samples_of_a_prompt_read_it_once() -> None:
    policy = tiny_policy("llama")
    prompts = [[1, 5, 6, 7], [1, 9], [1, 5, 6, 7], [1, 5, 6, 7]]
    seeds = [1, 2, 3, 4]
    read: list[tuple[int, ...]] = []
    way_of(decoder_of(policy.model))  # its trial, once per model, is not to be counted
    policy.model.model.embed_tokens.register_forward_hook(lambda _m, arguments, _o: read.append(arguments[0].shape))
    together = policy.generate_ids(prompts, Decoding(max_new_tokens=8), seeds=seeds)
    assert read[0] == (2, 4)
    alone = [
        policy.generate_ids([prompt], Decoding(max_new_tokens=8), seeds=[seed])[0]
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
