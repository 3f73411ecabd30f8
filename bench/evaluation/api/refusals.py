"""Errors of servers, and what they say of the one question that was asked.

A server refuses a question because a filter objects to it, or because it cannot read it (too long for its context). No
two servers word that alike, so the words below only tell the two apart and recognise what is certain; that a refusal is
about its question at all is known from other questions that succeed (``bench.evaluation.api.ask``).

The words are those of OpenAI, Azure, OpenRouter, DashScope, DeepSeek, Moonshot, Zhipu, xAI, Anthropic and Gemini
(filters), and of vLLM, SGLang, llama.cpp, TGI, Ollama, OpenAI, Anthropic, Mistral, Groq, Together and Gemini (lengths).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_FILTERED = re.compile(
    r"moderation|flagged|content[ _-]?(filter|polic|management|violat|risk|inspection|exists risk)|guardrail"
    r"|(inappropriate|prohibited|sensitive|unsafe|harmful)[ _-]?(content|words?|information)|data_inspection"
    r"|invalid_prompt\b|high risk|responsible ?ai|usage (polic|guideline)|policy[ _-]violation"
    r"|safety[ _-](system|filter|check|polic|reason)|block_?reason|\u654f\u611f|\u4e0d\u5b89\u5168"
    r"|^(safety|sensitive|refusal|blocklist|prohibited_content|spii|recitation)$",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size|limit)|string_above_max_length|exceed_context|longer than the model"
    r"|(prompt|inputs?|messages?|request)\b.{0,60}\btoo (long|large)|must have less than [\d,]+ tokens"
    r"|max_new_tokens.{0,9} must be|max_tokens.{0,3} must be at least 1, got|input token count|max_model_len"
    r"|(maximum|allowed|max) (input|prompt|sequence|model|allowed) (length|tokens)|range of input length"
    # What a limit of a rate says is left out: it passes.
    r"|^(?!.*\b(per (second|min|minute|hour|day)|rate|quota|[tr]pm)\b)"
    r".*((inputs?|prompt|sequence|tokens?)\b.{0,60}\bexceed(s|ed)?\b|token limit exceeded)",
    re.IGNORECASE | re.DOTALL,
)
# Codes and kinds of an account that may not go on; they come as HTTP 400, 403 and 429 alike.
_OF_THE_ACCOUNT = re.compile(
    r"^(insufficient_quota|insufficient_balance|arrearage|billing\w*|exceeded_current_quota\w*|account_\w+)$",
    re.IGNORECASE,
)
# The same in words: a filter objects to a question, and not to who asks.
_ACCOUNT_IS_OUT = re.compile(
    r"\b(your|this|the) (account|organi[sz]ation|api key|project|team)\b.{0,60}"
    r"\b(flagged|suspended|deactivated|disabled|blocked|banned|terminated|restricted)\b",
    re.IGNORECASE | re.DOTALL,
)


# In the body of a refusal that is kept: what it says of its question.
KEPT_AS = "kept_as"


@dataclass(frozen=True)
class ServerError:
    """The error in a reply.

    ``code``: what the server calls it, "" where it has no name. ``names``: every code and kind that it gives, the inner
    ones included. ``kept``: what it was kept as, where it is the answer to its question.
    """

    code: str
    message: str
    names: tuple[str, ...] = ()
    kept: Literal["refused", "error"] | None = None

    @property
    def means(self) -> Literal["refused", "error"] | None:
        """What the error says of its question: a filter objects, it cannot be answered, or None for nothing."""
        if self.kept is not None:
            return self.kept
        said = (*self.names, self.message)
        if any(is_filtered(one) for one in said):
            return "refused"
        return "error" if any(_TOO_LONG.search(one) for one in said) else None

    @property
    def of_the_account(self) -> bool:
        """Whether the account may not go on, whatever is asked."""
        return any(_OF_THE_ACCOUNT.match(name) for name in self.names) or bool(_ACCOUNT_IS_OUT.search(self.message))


def is_filtered(words: str) -> bool:
    """Return whether a server's words (a code, how an answer ended, a message) are those of a filter."""
    return _FILTERED.search(words) is not None


def error_in(body: Any) -> ServerError | None:
    """Return the error in the body of a successful reply, None when there is none."""
    body = body[0] if isinstance(body, list) and body else body  # Gemini sends a list of one
    if not isinstance(body, Mapping) or body.get("error") in (None, "", {}, [], False):
        return None
    return failed_with(body)


def failed_with(body: Any) -> ServerError:
    """Return the error that the body of a failed request is, whatever its form.

    ``{"error": {...}}`` as OpenAI writes it, ``{"error": "text"}`` (TGI, xAI), ``{"message": ...}`` (vLLM, Mistral),
    ``{"detail": ...}`` (FastAPI), a list of one of these (Gemini), or plain text.
    """
    body = body[0] if isinstance(body, list) and body else body
    if not isinstance(body, Mapping):
        return ServerError("", str(body))
    inner = body.get("error")
    fields: Mapping[str, Any] = inner if isinstance(inner, Mapping) else body
    names = tuple(_names(body))
    given = [fields.get(name) for name in ("message", "detail")] + [inner if isinstance(inner, str) else None]
    message = next((str(one) for one in given if one), str(dict(body)))
    code = next((str(fields[name]) for name in ("code", "type") if fields.get(name)), "")
    return ServerError(code, message, names, body.get(KEPT_AS))


def _names(value: Any) -> list[str]:
    """Return every code and kind in a body, at whatever depth, and what a moderation gives as its reasons."""
    found: list[str] = []
    for name, part in value.items():
        if isinstance(part, Mapping):
            found += _names(part)
        elif name in ("code", "type", "status", "error_type") and isinstance(part, str | int):
            found.append(str(part))
        elif name in ("reasons", "flagged_input") and part:
            found.append("flagged")
    return found
