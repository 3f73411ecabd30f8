"""Stand-ins for what RLAIF is built around: a method that learns from a reward, and a judge that needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.core.data import DataSpec
from bench.core.frozen import digest_of_file
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.method import Given, Method
from bench.core.policy import PolicySpec, Tuned
from bench.core.reward import ModelReward, RewardSpec
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task

# A labeller's prompt in the letters of the tiny tokenizer, which has no digits.
LETTERS = """\
compare: {sample: "{prompt} {first} or {second}", rationale: why, ending: "is ", answers: [a, b], separator: " "}
rate: {sample: "{prompt} {response}", rationale: why, ending: "is ", answers: [a, b, c], separator: " "}
"""
BY_PRINCIPLE = LETTERS.replace("{second}", "{second} {principle}").replace("{response}", "{response} {principle}")


def labeller(folder: Path, policy: PolicySpec, text: str = LETTERS) -> dict[str, Any]:
    """The fields of a `likelihood` that a tiny model can fill."""
    file = folder / f"letters-{len(text)}.yaml"
    file.write_text(text, encoding="utf-8")
    return {"policy": policy, "path": str(file), "digest": digest_of_file(file)}


class Practise(Stage):
    KIND: ClassVar[str] = "test/practise"
    VERSION: ClassVar[int] = 1
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    reward: RewardSpec
    preferences: DataSpec | None

    def run(self, io: StageIO) -> None:
        raise NotImplementedError


class Rewarded(Method):
    """Plans a training on a reward, and on the preferences for a reward model where there is no other."""

    reward: RewardSpec = ModelReward()

    def needs(self) -> frozenset[str]:
        return frozenset({"preferences", "prompts"} if self.reward == ModelReward() else {"prompts"})

    def policy(self, given: Given) -> PolicySpec:
        learnt = self.reward == ModelReward()
        stage = Practise(reward=self.reward, preferences=given.preferences if learnt else None)
        return Tuned(base=given.base, by=stage)


class Words(Judge):
    """Prefers the response with fewer letters by ``sure``; shows no verdict on a response with ``mute`` in it.

    ``first``: how much more it likes what stands first.
    """

    NAME: ClassVar[str] = "words"
    VERSION: ClassVar[int] = 1

    sure: float = 0.9
    first: float = 0.0
    mute: str = "\0"

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        found = []
        for pair in pairs:
            if self.mute in pair.first + pair.second:
                found.append(Verdict(value=None, status="refused", text="mute"))
                continue
            gap = len(pair.second) - len(pair.first)
            value = 0.5 if gap == 0 else self.sure if gap > 0 else 1 - self.sure
            found.append(Verdict(value=min(1.0, max(0.0, value + self.first))))
        return found

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        return [Verdict(value=-float(len(one.text))) for one in responses]
