"""Rewards of responses, computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.core.datasets import Reply
from bench.core.errors import BenchError, DataError, StageError
from bench.core.frozen import digest_of_file, load_file
from bench.core.judge import Response, one_for_each
from bench.core.policy import Completion
from bench.core.reward import FileReward, JudgeReward, MixedReward, ModelReward, RewardSpec
from bench.core.stage import Stage, StageIO
from bench.core.task import Prompt
from bench.models.chat import plain_text
from bench.models.reward_model import RewardModel, load_reward_model

FUNCTION = "reward"


class Reward(Protocol):
    """A loaded reward."""

    def of(self, prompts: Sequence[Prompt], responses: Sequence[Reply]) -> list[float]:
        """Return one finite number per response, in order; ``prompts[i]`` is what ``responses[i]`` answers.

        A reward model reads an end token behind a response only where that was ended. Raises StageError naming the
        stage and the prompt where a reward cannot be computed.
        """
        ...


def reply_of(completion: Completion) -> Reply:
    """Return what a policy wrote as a response to reward."""
    return Reply(completion.text, ended=completion.finish == "end")


def open_reward(spec: RewardSpec, io: StageIO, *, asked_by: Stage | None = None) -> Reward:
    """Return the reward that a spec describes, loaded; ``asked_by`` is the stage that errors name.

    Raises StageError for a reward model that has not been trained, for a file without a function ``reward``, and
    DataError for a file whose text has changed since the plan was made.
    """
    stage = "" if asked_by is None else f"{asked_by.label()}: "
    match spec:
        case ModelReward():
            if spec.by is None:
                raise StageError(f"{stage}the reward is a reward model, and no stage trains it. Name one in `by`.")
            return _OfModel(load_reward_model(spec.by, io), io, stage)
        case JudgeReward():
            return _OfJudge(spec, io, stage)
        case FileReward():
            return _OfFile(_function_of(spec, stage), spec.path, stage)
        case MixedReward():
            return _Mix(tuple((open_reward(part.reward, io, asked_by=asked_by), part.weight) for part in spec.parts))


@dataclass(frozen=True)
class _OfModel:
    model: RewardModel
    io: StageIO
    stage: str

    def of(self, prompts: Sequence[Prompt], responses: Sequence[Reply]) -> list[float]:
        chats = [prompt.chat for prompt in prompts]
        found = self.model.score_texts(chats, responses, self.io)
        if None in found:
            place = found.index(None)
            why = self.model.cuts(self.model.rows([chats[place]], [responses[place]]))[0]
            raise StageError(
                f"{self.stage}the reward model cannot read a response to prompt {prompts[place].id!r}: {why}. Raise "
                "given.max_length as far as the model's context allows, or leave that prompt out."
            )
        return checked(found, prompts, f"{self.stage}the reward model", "Its training has diverged: lower its lr.")


@dataclass(frozen=True)
class _OfJudge:
    spec: JudgeReward
    io: StageIO
    stage: str

    def of(self, prompts: Sequence[Prompt], responses: Sequence[Reply]) -> list[float]:
        judge = self.spec.judge
        asked = [
            Response(prompt=prompt, text=one.text, ended=one.ended)
            for prompt, one in zip(prompts, responses, strict=True)
        ]
        try:
            verdicts = one_for_each(judge, judge.rate(self.spec.task, asked, self.io), len(asked))
        except BenchError as error:
            raise StageError(f"{self.stage}{error}") from error
        self.io.meter.judgements += len(asked)
        for prompt, verdict in zip(prompts, verdicts, strict=True):
            if verdict.value is None:
                why = f": {verdict.text}" if verdict.text else ""
                raise StageError(
                    f"{self.stage}judge {judge.NAME} gave no rating for a response to prompt {prompt.id!r} "
                    f"({verdict.status}{why}), and a policy cannot learn from a reward that is missing. Choose a judge "
                    "that rates every response, or leave that prompt out."
                )
        found = [verdict.value for verdict in verdicts]
        return checked(found, prompts, f"{self.stage}judge {judge.NAME}", "Choose a judge whose ratings are finite.")


@dataclass(frozen=True)
class _OfFile:
    function: Callable[[list[str], list[str]], Any]
    path: str
    stage: str

    def of(self, prompts: Sequence[Prompt], responses: Sequence[Reply]) -> list[float]:
        where = f"{self.stage}{FUNCTION}() in {self.path}"
        texts = [plain_text(prompt.chat) for prompt in prompts]
        first = f"The first of the {len(prompts)} prompts was {prompts[0].id!r}." if prompts else ""
        try:
            found = self.function(texts, [one.text for one in responses])
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises is reported, not a crash of ours
            raise StageError(f"{where} raised {type(error).__name__}: {error}. {first} Correct it there.") from error
        try:
            numbers = list(found)
        except TypeError as error:
            raise StageError(f"{where} returned {_shown(found)}, wanted a list of numbers. {first}") from error
        if len(numbers) != len(prompts):
            raise StageError(
                f"{where} returned {len(numbers)} numbers for {len(prompts)} responses. {first} Return one number for "
                "each response, in order."
            )
        return checked(numbers, prompts, where, "Return a finite number for every response.")


@dataclass(frozen=True)
class _Mix:
    parts: tuple[tuple[Reward, float], ...]

    def of(self, prompts: Sequence[Prompt], responses: Sequence[Reply]) -> list[float]:
        found = [[weight * value for value in reward.of(prompts, responses)] for reward, weight in self.parts]
        return [math.fsum(values) for values in zip(*found, strict=True)]


def checked(found: Sequence[Any], prompts: Sequence[Prompt], where: str, advice: str) -> list[float]:
    """Return rewards as floats; raises StageError for the first that is not a finite number, naming its prompt."""
    numbers = []
    for value, prompt in zip(found, prompts, strict=True):
        try:
            number = float(value) if not isinstance(value, str) else None
        except (TypeError, ValueError):
            number = None
        if number is None or not math.isfinite(number):
            raise StageError(f"{where} gave {_shown(value)} for a response to prompt {prompt.id!r}. {advice}")
        numbers.append(number)
    return numbers


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _function_of(spec: FileReward, stage: str) -> Callable[[list[str], list[str]], Any]:
    """Return the function of a file whose text is what the plan was made with."""
    path = Path(spec.path)
    if not path.is_file():
        raise StageError(f"{stage}{path}: no such file, and the reward is computed there. Put it back.")
    if digest_of_file(path) != spec.digest:
        raise DataError(f"{stage}{path} has changed since the plan was made. Restore it, or run again to plan anew.")
    try:
        function = getattr(load_file(path), FUNCTION, None)
    except Exception as error:  # noqa: BLE001 - a user's file may raise anything while it loads
        raise StageError(f"{stage}{path} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(function):
        raise StageError(f"{stage}{path} defines no function {FUNCTION}(prompts, responses). Write one.")
    return function
