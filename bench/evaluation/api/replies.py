"""What a server has replied: an answer, a refusal of one question, or nothing that can be read.

The format is that of OpenAI's chat completions. Servers that call themselves compatible leave out what it calls
required (``usage``, ``id``, ``finish_reason``) or fill it in their own way, so only ``choices`` is needed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bench.evaluation.api.refusals import KEPT_AS, ServerError, error_in, is_filtered

AnswerStatus: TypeAlias = Literal["ok", "unparsed", "refused", "error"]
NO_CHOICE = "the server replied without any choice"
# No completion is so deep, and no number so long.
MOST_NESTED = 100
MOST_DIGITS = 40
# The most tokens that a server's count of one request is believed to be; beyond, the count is as good as none.
MOST_TOKENS = 100_000_000
# Halves of a character, which no text may hold alone.
_HALF = re.compile("[\ud800-\udfff]")
# Parts of a message that are what a model says; others are what it thinks, or no text.
_SAID = frozenset({"text", "output_text"})


@dataclass(frozen=True)
class Answer:
    """What a model answered. ``finish``: how it ended, as the server calls it.

    ``refused``: the model or its server would not answer. ``error``: the server says that it cannot, and will say so
    each time. ``unparsed``: it holds half a character, which is no text. ``tokens`` are those read and written, None
    where the server does not count them. ``served``: the model that wrote it, as the server says, None where it does
    not.
    """

    text: str
    status: AnswerStatus = "ok"
    finish: str = ""
    tokens: tuple[int, int] | None = None
    served: str | None = None


class UnreadableReply(Exception):
    """A reply that is no chat completion: garbage, or half of one."""


def read_reply(text: str) -> Answer:
    """Return the answer in the body of a reply. Raises UnreadableReply for anything but a chat completion.

    Of several choices the one with the lowest ``index`` is read. What is kept of a refusal (``kept_refusal``) is read
    too.
    """
    body = parsed(text)
    failure = error_in(body)
    if failure is not None:
        if failure.means is None:
            raise UnreadableReply(f"an error in the place of an answer: {failure.message[:200]}")
        return Answer(whole(failure.message), failure.means)
    choices = body.get("choices", ()) if isinstance(body, Mapping) else ()
    if choices == [] or (choices is None and isinstance(body, Mapping)):
        why = _objections({name: part for name, part in body.items() if name not in ("choices", "id", "model")})
        filtered = is_filtered(json.dumps(why, ensure_ascii=False))
        return Answer(NO_CHOICE, "refused" if filtered else "error", "", _tokens(body), _served(body))
    if not isinstance(choices, list) or not all(isinstance(choice, Mapping) for choice in choices):
        raise UnreadableReply(f"no list of choices in a reply of {len(text)} characters")
    first = min(choices, key=_index)
    broken = error_in(first)
    if broken is not None and broken.means is not None:
        return Answer(whole(broken.message), broken.means, "error", _tokens(body), _served(body))
    if isinstance(first.get("error"), Mapping) or first.get("finish_reason") == "error":
        raise UnreadableReply("an answer that the server broke off with an error")
    return _answer_in(first, _tokens(body), _served(body))


def kept_refusal(failure: ServerError, http_status: int, message: str) -> str:
    """Return the body to keep of an error that is about one question; ``read_reply`` reads it as its answer."""
    error = {"code": failure.code, "message": message}
    return json.dumps({"error": error, "http_status": http_status, KEPT_AS: failure.means or "error"})


def parsed(text: str) -> Any:
    """Return what JSON text says; raises UnreadableReply for what is none, and for what is deeper than any reply."""
    try:
        found = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise UnreadableReply(f"no JSON in a reply of {len(text)} characters") from error
    level = [found]
    for _ in range(MOST_NESTED):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return found
    raise UnreadableReply(f"JSON of more than {MOST_NESTED} levels in a reply of {len(text)} characters")


def whole(text: str) -> str:
    """Return a text of a server with U+FFFD for every half of a character: nothing else can be stored or printed."""
    return _HALF.sub("\ufffd", text)


def _integer(digits: str) -> int | float:
    """Return a number; one that is too long to be a count as what it is nearly, infinity at last."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _answer_in(choice: Mapping[str, Any], tokens: tuple[int, int] | None, served: str | None) -> Answer:
    found = choice.get("message")
    message: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    finish = choice.get("finish_reason")
    finish = "" if finish is None else whole(str(finish))
    if not message and not finish:
        raise UnreadableReply("a choice without a message")
    content, refusal = _said(message.get("content")), _refusal(message)
    said_no = bool(refusal.strip())
    text = refusal if said_no and not content else content
    status: AnswerStatus = "unparsed" if _HALF.search(text) else "ok"
    return Answer(whole(text), "refused" if said_no or is_filtered(finish) else status, finish, tokens, served)


def _said(content: Any) -> str:
    """Return what a message says, of a list of parts the texts; raises UnreadableReply for anything else."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise UnreadableReply(f"a message whose content is a {type(content).__name__}")
    texts = [part if isinstance(part, str) else _text_of(part) for part in content]
    return "".join(texts)


def _refusal(message: Mapping[str, Any]) -> str:
    """Return a message's words of refusal, in a field of their own or among the parts of its content; "" for none."""
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    said = [message.get("refusal"), *(part.get("refusal") for part in parts if isinstance(part, Mapping))]
    return next((one for one in said if isinstance(one, str) and one.strip()), "")


def _objections(part: Any) -> Any:
    """Return what is in a reply without what a filter let pass (Azure lists both), and without what is empty then."""
    if isinstance(part, Mapping):
        if part.get("filtered") is False:
            return None
        found = {name: _objections(value) for name, value in part.items()}
        return {name: value for name, value in found.items() if value not in (None, {}, [])}
    if isinstance(part, list):
        return [value for value in map(_objections, part) if value not in (None, {}, [])]
    return part


def _text_of(part: Any) -> str:
    if not isinstance(part, Mapping):
        raise UnreadableReply(f"a part of a message that is a {type(part).__name__}")
    text = part.get("text")
    return text if part.get("type", "text") in _SAID and isinstance(text, str) else ""


def _index(choice: Mapping[str, Any]) -> float:
    index = choice.get("index")
    if isinstance(index, str) and index.strip().isdecimal():
        return float(index)
    return index if isinstance(index, int | float) else 0.0


def _tokens(body: Any) -> tuple[int, int] | None:
    """Return the tokens read and written, None where the server does not count both."""
    usage = body.get("usage")
    if not isinstance(usage, Mapping):
        return None
    read, written = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return None if read is None or written is None else (read, written)


def _count(value: Any) -> int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value <= MOST_TOKENS and value == value // 1 else None


def _served(body: Any) -> str | None:
    model = body.get("model")
    return whole(model) if isinstance(model, str) and model else None
