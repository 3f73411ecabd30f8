"""One request to an OpenAI-compatible server, and what its failure means.

All that a server needs is ``/chat/completions`` with one choice: no log-probabilities, and no ``n``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core.errors import StageError
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.refusals import failed_with
from bench.evaluation.api.replies import NO_CHOICE, Answer, UnreadableReply, kept_refusal, read_reply
from bench.evaluation.api.retry import asked_for
from bench.evaluation.api.spending import Prices, SpendingLimit

if TYPE_CHECKING:
    import openai

NO_KEY = "none"  # the client sends something; a local server does not look at it
HIDDEN = "[key]"
TRIED_AGAIN = frozenset({408, 409, 425, 429})
SERVER_ERRORS = 500
# Who asks, what for and where: whatever the question is. Everything else below 500 may be about the one question.
ABOUT_ALL = frozenset({401, 402, 404, 405, 407})
_SHORTEST_SECRET = 4
_ADVICE = {
    400: "Look at the judge's settings: the server takes none that it does not know (`temperature: null` and "
    "`seed: null` leave these out; `limit_as: max_completion_tokens` is what some models want).",
    401: "Put a valid key into the environment variable that `api_key_env` names.",
    403: "The key may not use this model: use another key, or another model.",
    404: "Look at `base_url` and `model`: the server knows no such address or model.",
}


@dataclass(frozen=True)
class Access:
    """How a server is reached, with which timeouts and retries; none of it is in the key of an answer."""

    base_url: str
    api_key_env: str | None = None
    limit_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 8
    first_wait: float = 0.5
    prices: Prices | None = None
    spending_limit: SpendingLimit | None = None

    def key(self) -> str:
        """Return the key for the server. Raises StageError where its variable is empty."""
        if self.api_key_env is None:
            return NO_KEY
        found = os.environ.get(self.api_key_env, "").strip()
        if not found:
            raise StageError(
                f"{self.base_url} needs a key, and the environment variable {self.api_key_env} is not set. Set it in "
                "the shell that starts the run."
            )
        return found


class TryAgain(Exception):
    """A request that failed and may succeed later.

    ``billed``: nobody knows whether the server has counted it. ``wait``: the seconds that the server asks for.
    """

    def __init__(self, reason: str, *, billed: bool, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.billed, self.wait = billed, wait


@dataclass(frozen=True)
class Sent:
    """What came of a request: the body to keep, and the answer in it.

    ``refused``: the server's words where it refused the request or left it without an answer, which may concern this
    question or every question; None for an answer, and where a filter objects. ``completed``: a model has read it.
    ``is_too_long``: the words say that the question is.
    """

    body: str
    answer: Answer
    refused: str | None = None
    completed: bool = True
    is_too_long: bool = False


class Connection:
    """An open client. ``send`` returns the body of a reply that is a chat completion, or of a refusal."""

    def __init__(self, access: Access) -> None:
        try:
            import openai  # noqa: PLC0415 - an optional package, and over a second to import
        except ImportError as error:
            raise StageError(
                "a judge behind an API needs the package openai: pip install 'alignment-bench[judge]'"
            ) from error
        self._openai = openai
        self._access, self._key = access, access.key()
        self._client = openai.AsyncOpenAI(
            base_url=access.base_url, api_key=self._key, timeout=access.timeout, max_retries=0
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def send(self, question: ApiQuestion) -> Sent:
        """Return what came of a question: its answer, or a refusal that would come again.

        Raises TryAgain for a failure that may pass, StageError for one that will not and is about every question.
        """
        access = self._access
        completions = self._client.chat.completions.with_raw_response
        fields: dict[str, Any] = question.sent(access.limit_as)
        try:
            async with asyncio.timeout(access.timeout):
                reply = await completions.create(messages=question.messages, **fields)  # type: ignore[arg-type]
            body = self.hidden(reply.http_response.text)
            answer = read_reply(body)
        except (TimeoutError, self._openai.APITimeoutError) as error:
            raise TryAgain(f"no reply within {access.timeout:g} s", billed=True) from error
        except self._openai.APIConnectionError as error:
            reason = self.hidden(str(error.__cause__ or error))
            raise TryAgain(f"the connection failed: {reason}", billed=not _never_connected(error)) from error
        except self._openai.APIStatusError as error:
            return self._refusal(error, question)
        except (UnreadableReply, UnicodeDecodeError) as error:
            raise TryAgain(f"an unreadable reply: {error}", billed=True) from error
        return Sent(body, answer, answer.text if answer.status == "error" else None, answer.text != NO_CHOICE)

    def hidden(self, text: str) -> str:
        """Return a text of the server without the key, should it echo it."""
        return text if len(self._key) < _SHORTEST_SECRET or self._key == NO_KEY else text.replace(self._key, HIDDEN)

    def _refusal(self, error: openai.APIStatusError, question: ApiQuestion) -> Sent:
        """Return an error that may be about the question itself; raise what any other one means."""
        code, found = error.status_code, failed_with(_body_of(error))
        message = self.hidden(found.message)[:300]
        words = (
            f"{self._access.base_url} refused {question.name} to model {question.decoding.model} with HTTP {code}: "
            f"{message}. {_ADVICE.get(code, 'What is asked for cannot be had there.')}"
        )
        if found.of_the_account or code in ABOUT_ALL:
            raise StageError(words) from error
        if code in TRIED_AGAIN or (code >= SERVER_ERRORS and found.means is None):
            headers: Mapping[str, str] = error.response.headers
            raise TryAgain(f"HTTP {code}: {message}", billed=False, wait=asked_for(headers)) from error
        kept = kept_refusal(found, code, message)
        answer = read_reply(kept)
        return Sent(kept, answer, words if answer.status == "error" else None, False, found.means == "error")


def _body_of(error: openai.APIStatusError) -> Any:
    """Return the body of an error as JSON, as text where it is none."""
    try:
        return error.response.json()
    except ValueError:
        return error.response.text


def _never_connected(error: BaseException) -> bool:
    """Tell whether a request cannot have reached the server, because no connection came about."""
    cause: BaseException | None = error.__cause__
    while cause is not None:
        if type(cause).__name__ in ("ConnectError", "ConnectTimeout"):
            return True
        cause = cause.__cause__
    return False
