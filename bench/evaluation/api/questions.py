"""Questions to a model behind an API, its answers, and the key of an answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field, ValidationError

from bench.core.policy import Chat

KEY_VERSION = 1
# What a server calls its refusal to answer one question, whoever asks it and however often.
REFUSED_CODES = frozenset({"content_filter", "content_policy_violation"})
UNANSWERABLE_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
AnswerStatus: TypeAlias = Literal["ok", "refused", "error"]


@dataclass(frozen=True)
class ApiDecoding:
    """Which model writes an answer, and how. All of it is in the key of the answer.

    ``version`` says what the name of the model leaves open (who serves it, a date); it is not sent.
    """

    model: str
    version: str | None
    max_tokens: int
    temperature: float | None
    seed: int | None

    def sent(self, limit: Literal["max_tokens", "max_completion_tokens"]) -> dict[str, Any]:
        """Return the fields of a request; what is None is not sent. ``limit`` is the server's name of max_tokens."""
        fields = {"model": self.model, limit: self.max_tokens, "temperature": self.temperature, "seed": self.seed}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class ApiQuestion:
    """One question: a chat, which of several ``sample`` answers to it is meant, and which attempt at a readable one.

    ``name`` is what an error message calls it and is in no key.
    """

    chat: Chat
    decoding: ApiDecoding
    sample: int = 0
    again: int = 0
    name: str = "a question"

    @cached_property
    def key(self) -> str:
        """The sha256 over everything that is sent, and the numbers of the sample and of the attempt."""
        return hashlib.sha256(self.written.encode()).hexdigest()

    @cached_property
    def written(self) -> str:
        """The question as JSON text, from which its key is computed."""
        body = {
            "key_version": KEY_VERSION,
            "model": self.decoding.model,
            "version": self.decoding.version,
            "max_tokens": self.decoding.max_tokens,
            "temperature": self.decoding.temperature,
            "seed": self.decoding.seed,
            "messages": self.messages,
            "sample": self.sample,
            "again": self.again,
        }
        return json.dumps(body, sort_keys=True, separators=(",", ":"))

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat as a request holds it."""
        return [{"role": turn.role, "content": turn.content} for turn in self.chat]


@dataclass(frozen=True)
class Answer:
    """What a model answered. ``finish``: how it ended, as the server calls it.

    ``refused``: the model or its server would not answer. ``error``: the server says that it cannot, and will say so
    each time. ``tokens`` are those read and written, None where the server does not count them.
    """

    text: str
    status: AnswerStatus = "ok"
    finish: str = ""
    tokens: tuple[int, int] | None = None


class UnreadableReply(Exception):
    """A reply that is no chat completion: garbage, or half of one."""


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Reply(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


def read_reply(text: str) -> Answer:
    """Return the answer in the body of a reply. Raises UnreadableReply for anything but a chat completion."""
    try:
        body = json.loads(text)
        failure = error_in(body)
        if failure is not None and failure.status is not None:
            return Answer(failure.message, failure.status)
        reply = _Reply.model_validate(body)
    except (json.JSONDecodeError, ValidationError) as error:
        raise UnreadableReply(f"{type(error).__name__} in a reply of {len(text)} characters") from error
    first = reply.choices[0]
    usage = reply.usage
    tokens = None if usage is None else (usage.prompt_tokens, usage.completion_tokens)
    finish = first.finish_reason or ""
    refused = first.message.refusal is not None or finish == "content_filter"
    content = first.message.refusal if first.message.content is None else first.message.content
    return Answer(content or "", "refused" if refused else "ok", finish, tokens)


@dataclass(frozen=True)
class ServerError:
    """The error in a reply: its code and message. ``status``: what it means for the one question, None for nothing."""

    code: str
    message: str

    @property
    def status(self) -> AnswerStatus | None:
        """``refused`` or ``error`` where the error is about this question and will come again, else None."""
        if self.code in REFUSED_CODES:
            return "refused"
        return "error" if self.code in UNANSWERABLE_CODES else None


def error_in(body: Any) -> ServerError | None:
    """Return the error in the body of a reply, None when there is none."""
    found = body.get("error") if isinstance(body, dict) else None
    if isinstance(found, str):
        return ServerError("", found)
    if not isinstance(found, dict):
        return None
    return ServerError(str(found.get("code") or found.get("type") or ""), str(found.get("message") or found))
