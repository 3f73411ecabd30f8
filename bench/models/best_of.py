"""Best of n: a policy that writes several responses to each chat and gives the one with the highest reward."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from bench.core.errors import StageError
from bench.core.policy import (
    BestOf,
    Chat,
    Completion,
    Decoding,
    Instructed,
    Policy,
    PolicySpec,
    ResponseLikelihood,
    Session,
)
from bench.core.reward import Chooser, CutResponses
from bench.core.stage import StageIO
from bench.core.task import Prompt
from bench.models.load import load_policy
from bench.models.rewards import Reward, open_reward, reply_of


def open_policy(spec: PolicySpec, io: StageIO) -> Policy:
    """Return any policy that writes responses, the best of several included; see ``load_policy`` for all others."""
    instructed: list[Instructed] = []
    inner = spec
    while isinstance(inner, Instructed):
        instructed.append(inner)
        inner = inner.base
    if not isinstance(inner, BestOf):
        return load_policy(spec, io)
    if not isinstance(inner.chooser, Chooser):
        raise StageError(f"{type(inner.chooser).__name__} chooses no responses. Give a Chooser with a reward.")
    # An instruction is for whoever writes: the reward is that of a response to the chat without it.
    writer = inner.base
    for one in reversed(instructed):
        writer = one.model_copy(update={"base": writer})
    chooser = inner.chooser
    return BestOfPolicy(open_policy(writer, io), open_reward(chooser.reward, io), inner.n, chooser.cut_responses)


class BestOfPolicy:
    """The best of ``n`` responses of a policy; fulfils ``bench.core.policy.Policy`` as far as it is defined.

    ``cut_responses``: see ``bench.core.reward.Chooser``. In ``generate`` the reward sees chats alone: one that needs
    the facts of a task's prompt cannot choose there.
    """

    def __init__(self, writer: Policy, reward: Reward, n: int, cut_responses: CutResponses = "keep") -> None:
        self.writer = writer
        self.reward = reward
        self.n = n
        self.cut_responses = cut_responses
        # Best-of policies within this one; each numbers its samples by itself, so their seeds must differ.
        self._level: int = writer._level + 1 if isinstance(writer, BestOfPolicy) else 0

    def generate(
        self, chats: Sequence[Chat], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        """Return the best of ``n`` completions of each chat; with ``n`` = 1 the writer's own at the same seed."""
        prompts = [
            Prompt(id=f"chat {number}", chat=chat, cluster=f"chat {number}") for number, chat in enumerate(chats)
        ]
        return self.answers(prompts, decoding, seeds=seeds, io=io)

    def answers(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, seeds: Sequence[int], io: StageIO | None = None
    ) -> list[Completion]:
        """Return the completion with the highest reward among ``n`` of each prompt, the first of equals.

        A prompt is read once for all its completions that are written in one batch. The noise of completion k of
        prompt i depends on (``seeds[i]``, k, position); completion 0 is the one that the writer gives at that seed.
        """
        repeated = [prompt for prompt in prompts for _ in range(self.n)]
        drawn = self.writer.generate(
            [prompt.chat for prompt in repeated],
            decoding,
            seeds=[own for seed in seeds for own in sample_seeds(seed, self.n, self._level)],
            io=io,
        )
        # A prompt that leaves no room has no responses to choose from, and all n of it say so.
        answered = [place for place, one in enumerate(drawn) if one.finish != "no_room"]
        found = self.reward.of([repeated[place] for place in answered], [reply_of(drawn[place]) for place in answered])
        rewards = dict(zip(answered, found, strict=True))
        return [self._best(drawn, rewards, start) for start in range(0, len(drawn), self.n)]

    def _best(self, drawn: Sequence[Completion], rewards: Mapping[int, float], start: int) -> Completion:
        """Return the best of the completions from ``start`` on; ``rewards`` by their places."""
        places = [place for place in range(start, start + self.n) if place in rewards]
        ended = [place for place in places if drawn[place].finish == "end"]
        if self.cut_responses == "leave_out" and ended:
            places = ended
        return drawn[places[first_best([rewards[place] for place in places])]] if places else drawn[start]

    def session(self, chats: Sequence[Chat]) -> Session:
        """Raise StageError: the next token of the best response is not drawn from any distribution."""
        raise StageError("the best of several responses is chosen when all are written, so it has no next token.")

    def loglikelihood(self, pairs: Sequence[tuple[Chat, str]]) -> list[ResponseLikelihood]:
        """Raise StageError: whether a response is the best depends on all others that could be written."""
        raise StageError(
            "the likelihood of a best-of policy is not defined: it depends on all responses that could be written. "
            "Ask for that of its base; its divergence from the base is at most log n - (n - 1) / n."
        )


def first_best(rewards: Sequence[float]) -> int:
    """Return the place of the highest reward, the first of equals."""
    return max(range(len(rewards)), key=lambda place: (rewards[place], -place))


def sample_seeds(seed: int, n: int, level: int = 0) -> list[int]:
    """Return the seeds of n samples: the given one, then hashes (63 bits) of it, the sample's number and the level.

    ``level``: how many best-of policies the writer has within it.
    """
    hashed = (hashlib.sha256(f"{seed}\x1f{number}\x1f{level}".encode()).digest() for number in range(1, n))
    return [seed, *(int.from_bytes(one[:8], "big") >> 1 for one in hashed)]
