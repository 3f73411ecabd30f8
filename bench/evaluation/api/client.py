"""One request to an OpenAI-compatible server, and what its failure means.

All that a server needs is ``/chat/completions`` with one choice: no log-probabilities, and no ``n``.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core.errors import StageError
from bench.evaluation.api.bounded import UnreadableBody, bounded_client
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.refusals import ServerError, failed_with
from bench.evaluation.api.replies import NO_CHOICE, Answer, UnreadableReply, kept_refusal, parsed, read_reply, whole
from bench.evaluation.api.retry import asked_for
from bench.evaluation.api.secret import Secret
from bench.evaluation.api.spending import Prices, SpendingLimit

if TYPE_CHECKING:
    import openai

NO_KEY = "none"  # the client sends something; a local server does not look at it
TRIED_AGAIN = frozenset({408, 409, 425, 429})
SERVER_ERRORS = 500
# Who asks, what for and where: whatever the question is. Everything else below 500 may be about the one question.
ABOUT_ALL = frozenset({401, 402, 404, 405, 407})
REDIRECTS = range(300, 400)
OK = 200
# What a reply that could not be read is called where it is kept.
UNREADABLE = "unreadable_reply"
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
        """Return the key for the server. Raises StageError where its variable is empty, or holds what no header may."""
        if self.api_key_env is None:
            return NO_KEY
        found = os.environ.get(self.api_key_env, "").strip()
        if not found:
            raise StageError(
                f"{self.base_url} needs a key, and the environment variable {self.api_key_env} is not set. Set it in "
                "the shell that starts the run."
            )
        if not (found.isascii() and found.isprintable()):
            # Told without the key: the error of whoever tries to send it would repeat it.
            raise StageError(
                f"the environment variable {self.api_key_env} holds a line end, or a character that is not ASCII, "
                "and no key does. Set it to the key alone."
            )
        return found

    def secret(self) -> Secret:
        """Return the key as what no text may hold; nothing where none is named, or its variable is empty."""
        return Secret("" if self.api_key_env is None else os.environ.get(self.api_key_env, "").strip())


class TryAgain(Exception):
    """A request that failed and may succeed later.

    ``billed``: nobody knows whether the server has counted it. ``wait``: the seconds that the server asks for.
    """

    def __init__(self, reason: str, *, billed: bool, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.billed, self.wait = billed, wait


class Unreadable(TryAgain):
    """A reply that came and cannot be read. Where no attempt is left, that may be the one question's fault."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"an unreadable reply: {reason}", billed=True)


@dataclass(frozen=True)
class Sent:
    """What came of a request: the body to keep, and the answer in it.

    ``refused``: the server's words where it refused the request or left it without an answer, which may concern this
    question or every question; None for an answer, and where a filter objects. ``completed``: a model has read it.
    ``calls``: how many are counted where no model has read it; none where each attempt was counted as it failed.
    ``is_too_long``: the words say that the question is.
    """

    body: str
    answer: Answer
    refused: str | None = None
    completed: bool = True
    calls: int = 1
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
        self._access, self._secret, key = access, access.secret(), access.key()
        self._client = openai.AsyncOpenAI(
            base_url=access.base_url,
            api_key=key,
            timeout=access.timeout,
            max_retries=0,
            http_client=bounded_client(access.timeout),
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
            body = self._without_key(reply.http_response.content)
            answer = read_reply(body)
        except (TimeoutError, self._openai.APITimeoutError) as error:
            raise TryAgain(f"no reply within {access.timeout:g} s", billed=True) from error
        except self._openai.APIConnectionError as error:
            reason = self._in_words(str(error.__cause__ or error))
            # What a server said stands in the cause as it came, so no cause is told here or below.
            raise TryAgain(f"the connection failed: {reason}", billed=not _never_connected(error)) from None
        except self._openai.APIStatusError as error:
            refused = error
        except (UnreadableReply, UnreadableBody) as error:
            raise Unreadable(whole(str(error))) from None
        else:
            return Sent(body, answer, answer.text if answer.status == "error" else None, answer.text != NO_CHOICE)
        return self._refusal(refused, question)

    def gives_up(self, question: ApiQuestion, reason: Unreadable, attempts: int) -> Sent:
        """Return what is kept of a question whose replies cannot be read, should that be its own fault."""
        words = f"{self._access.base_url}: {question.name} failed {attempts} times, the last time with {reason}"
        kept = kept_refusal(ServerError(UNREADABLE, words, kept="error"), OK, str(reason))
        return Sent(kept, read_reply(kept), f"{words}.", completed=False, calls=0)

    def _without_key(self, content: bytes) -> str:
        """Return the body of a reply as text, without the key; raises UnreadableReply for what is no JSON in UTF-8."""
        try:
            body = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UnreadableReply(f"no UTF-8 in a reply of {len(content)} bytes") from error
        read = parsed(body)
        clean = self._secret.hide_in(read)
        # What was read may lack what stands in the body: of two fields of one name the first.
        if not self._secret.is_in(body) and json.dumps(clean) == json.dumps(read):
            return body
        return json.dumps(clean)

    def _in_words(self, text: str) -> str:
        """Return words of a server for an error message: without the key, on one line, and not too many."""
        return " ".join(whole(self._secret.hide(text)).split())[:300]

    def _refusal(self, error: openai.APIStatusError, question: ApiQuestion) -> Sent:
        """Return an error that may be about the question itself; raise what any other one means."""
        code = error.status_code
        if code in REDIRECTS:
            to = self._in_words(error.response.headers.get("location", "nowhere"))
            raise StageError(
                f"{self._access.base_url} sends {question.name} to another address with HTTP {code}: {to}. That is not "
                "followed, because whoever is there would be told the questions and the key. Name it by `base_url`."
            )
        found = failed_with(self._secret.hide_in(_body_of(error)))
        message = self._in_words(found.message)
        words = (
            f"{self._access.base_url} refused {question.name} to model {question.decoding.model} with HTTP {code}: "
            f"{message}. {_ADVICE.get(code, 'What is asked for cannot be had there.')}"
        )
        if found.of_the_account or code in ABOUT_ALL:
            raise StageError(words)
        if code in TRIED_AGAIN or (code >= SERVER_ERRORS and found.means is None):
            headers: Mapping[str, str] = error.response.headers
            raise TryAgain(f"HTTP {code}: {message}", billed=False, wait=asked_for(headers))
        kept = kept_refusal(found, code, message)
        answer = read_reply(kept)
        return Sent(kept, answer, words if answer.status == "error" else None, False, 1, found.means == "error")


def _body_of(error: openai.APIStatusError) -> Any:
    """Return the body of an error as JSON, as text where it is none."""
    text = error.response.content.decode("utf-8-sig", errors="replace")
    try:
        return parsed(text)
    except UnreadableReply:
        return text


def _never_connected(error: BaseException) -> bool:
    """Tell whether a request cannot have reached the server, because no connection came about."""
    cause: BaseException | None = error.__cause__
    while cause is not None:
        if type(cause).__name__ in ("ConnectError", "ConnectTimeout"):
            return True
        cause = cause.__cause__
    return False
