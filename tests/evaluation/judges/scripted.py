"""A labeller whose answers a test writes: a real tokenizer, and log-probabilities by a rule over texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import bench.models.kept
from bench.core.judge import Pair, Response
from bench.core.policy import Chat, Completion, Decoding, PolicySpec, Pretrained, ResponseLikelihood
from bench.core.stage import StageIO
from bench.core.task import Prompt, user
from bench.models.hf import HFPolicy
from bench.models.local import Groups, no_room

LABELLER = Pretrained(path="labeller", digest="d")
Rule = Callable[[str, str], float]
CHARACTERS = "\n" + "".join(chr(code) for code in range(32, 127))


def tokenizer(characters: str = CHARACTERS) -> PreTrainedTokenizerFast:
    """One token per character."""
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<bos>", "<eos>", "<unk>", *characters])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    made.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


class Scripted(HFPolicy):
    """``rule(before, answer)`` is the probability of an answer; ``rationale(asked, draw)`` is what it writes first."""

    def __init__(
        self,
        rule: Rule,
        rationale: Callable[[str, int], str] = lambda _asked, _draw: "because",
        characters: str = CHARACTERS,
        context: int = 4096,
    ) -> None:
        config = LlamaConfig(
            vocab_size=4 + len(CHARACTERS),
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=context,
        )
        super().__init__(LABELLER, LlamaForCausalLM(config), tokenizer(characters))
        self.rule, self.rationale = rule, rationale
        self.scored: list[str] = []
        self.asked: list[str] = []
        self.decodings: list[Decoding] = []

    def score(self, rows: Sequence[Groups]) -> list[ResponseLikelihood]:
        found = []
        for (group,) in rows:
            before = self.tokenizer.decode(list(group.prompt)).removeprefix("<bos>")
            self.scored.append(before)
            for ids in group.responses:
                chance = self.rule(before, self.tokenizer.decode(list(ids)))
                logprob = math.log(chance) if chance > 0 else -math.inf
                # Unchecked: what a model finds impossible is minus infinity.
                found.append(ResponseLikelihood.model_construct(logprob=logprob, is_greedy=False, n_tokens=len(ids)))
        return found

    def generate(
        self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        self.decodings.append(decoding)
        assert len(set(seeds)) == len(seeds)
        return [self._written(chat, decoding) for chat in chats]

    def _written(self, chat: Chat, decoding: Decoding) -> Completion:
        if no_room(self, [len(self.prompt(chat)) + decoding.max_new_tokens]) is not None:
            return Completion(text="", tokens=(), logprobs=(), finish="no_room", prompt_tokens=1)
        asked = chat[-1].content
        text = self.rationale(asked, self.asked.count(asked))
        self.asked.append(asked)
        return Completion(text=text, tokens=(), logprobs=(), finish="end", prompt_tokens=1)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[HFPolicy], HFPolicy]:
    """Make every policy that a labeller loads the given one."""

    def put(policy: HFPolicy) -> HFPolicy:
        def loaded(spec: PolicySpec, _io: StageIO) -> HFPolicy:
            policy.spec = spec
            return policy

        monkeypatch.setattr(bench.models.kept, "load_policy", loaded)
        return policy

    return put


def io_in(folder: Path) -> StageIO:
    def refuse(_stage: object) -> Path:
        raise AssertionError("nothing is read here")

    return StageIO(out=folder, scratch=folder, read_payload=refuse)


def pair(first: str, second: str, name: str = "p1", prompt: str = "ask") -> Pair:
    return Pair(prompt=Prompt(id=name, chat=user(prompt), cluster=name), first=first, second=second)


def response(text: str, name: str = "p1") -> Response:
    return Response(prompt=Prompt(id=name, chat=user("ask"), cluster=name), text=text)
