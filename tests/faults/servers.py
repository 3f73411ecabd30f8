"""Servers that lie, flood, stall, redirect and repeat the key; each does so at one of three questions."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import pyarrow as pa

from bench.core.errors import StageError
from bench.core.judge import Verdict
from tests.evaluation.api.asking_process import ask_all
from tests.evaluation.api.servers import JSON, Handler, Reply, Server, Stub, completion, failure, serving
from tests.faults.case import Case

TITLE = "servers that lie, flood, stall, redirect or repeat the key"
IN_SUITE = 12
KEY = "sk-Ab/c+d_e.f<g>0123456789"
VARIABLE = "KEY_OF_A_FAULT"
LIMIT_SECONDS = 20.0
Send = Callable[[Handler, str], None]


class Hostile(Server):
    """Answers every question, and does its worst to the second."""

    def __init__(self, worst: Send) -> None:
        super().__init__()
        self.worst, self.asked = worst, 0

    def handle_post(self, handler: Handler, body: bytes) -> None:
        if b"ask 1" not in body:
            handler.answer(completion("1"))
            return
        self.asked += 1
        self.worst(handler, handler.headers.get("Authorization", ""))
        handler.close_connection = True


@dataclass(frozen=True)
class Ended:
    """What came of three questions: their verdicts, or the error."""

    verdicts: tuple[Verdict, ...]
    error: str
    asked: int


def asked_of(worst: Send, folder: Path, **fields: Any) -> Ended:
    """Return what came of it; raises AssertionError where it took long, or the key is anywhere."""
    settings = {"retries": 1, "timeout": 1.0, "first_wait": 0.01, "api_key_env": VARIABLE, **fields}
    began, verdicts, error = time.monotonic(), list[Verdict](), ""
    with mock.patch.dict(os.environ, {VARIABLE: KEY}), serving(Hostile(worst)) as server:
        for _ in range(2):  # and once more, from what is stored
            try:
                verdicts = ask_all(folder, server.url, 3, **settings)
            except StageError as failed:
                error = str(failed)
                break
    assert time.monotonic() - began < LIMIT_SECONDS, "it took too long"
    pa.array([one.text for one in verdicts])  # can be stored
    error.encode()
    said = [error, *(one.text for one in verdicts), *map(repr, verdicts)]
    kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for form in forms(KEY).values():
        assert not any(form in text for text in said), f"the key is told: {form}"
        assert not any(form.encode() in content for content in kept), f"the key is kept: {form}"
    return Ended(tuple(verdicts), error, server.asked)


def forms(key: str) -> dict[str, str]:
    """Return the forms in which a server may repeat a key."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in key)
    return {
        "as it is": key,
        "JSON escapes": escaped,
        "JSON in JSON": json.dumps(json.dumps(escaped)[1:-1])[1:-1],
        "upper hexadecimal": escaped.upper().replace("\\U", "\\u"),
        "percent": quote(key, safe=""),
        "every letter percent": "".join(f"%{ord(letter):02X}" for letter in key),
        "percent twice": quote(quote(key, safe=""), safe=""),
        "HTML": html.escape(key),
        "HTML numbers": "".join(f"&#{ord(letter)};" for letter in key),
        "HTML hexadecimal": "".join(f"&#x{ord(letter):X};" for letter in key),
        "base64": base64.b64encode(f"Bearer {key}".encode()).decode(),
        "base64 of an address": base64.urlsafe_b64encode(f"a{key}b".encode()).decode(),
        "hexadecimal": key.encode().hex(),
        "upper case": key.upper(),
        "spaces": " ".join(key),
        "unseen": "\u200b".join(key),
        "lines": "\n".join(key),
    }


def sends(status: int, body: bytes, **headers: str) -> Send:
    return lambda handler, _key: handler.answer((status, {**JSON, **headers}, body))


def says(body: Any) -> Send:
    return sends(200, body if isinstance(body, bytes) else json.dumps(body).encode())


def raw(*pieces: bytes, pause: float = 0.0, count: int = 1) -> Send:
    """Send bytes as they are, each ``count`` times, until the other side hangs up."""

    def send(handler: Handler, _key: str) -> None:
        for piece in pieces:
            for _ in range(count if piece is pieces[-1] else 1):
                try:
                    handler.wfile.write(piece)
                    handler.wfile.flush()
                except OSError:
                    return
                time.sleep(pause)

    return send


def bomb(megabytes: int) -> bytes:
    """Return gzip of so many million zeros, a thousandth as long: one block, repeated."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packing.compress(bytes(1_000_000)) + packing.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + block * megabytes


def choice(**message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def ends(status: str, worst: Send, *, text: str | None = None, asked: int | None = None) -> Callable[[Path], None]:
    """The second question has a status in the end, and the others their answers."""

    def do(folder: Path) -> None:
        ended = asked_of(worst, folder)
        assert not ended.error, ended.error
        assert [one.status for one in ended.verdicts] == ["ok", status, "ok"], ended.verdicts
        assert text is None or ended.verdicts[1].text == text, ended.verdicts[1].text
        assert asked is None or ended.asked == asked, f"asked {ended.asked} times"

    return do


def fails(words: str, worst: Send, **fields: Any) -> Callable[[Path], None]:
    """The stage ends with one line."""

    def do(folder: Path) -> None:
        ended = asked_of(worst, folder, **fields)
        assert words in ended.error, ended
        assert "\n" not in ended.error, ended.error
        assert len(ended.error) < 1000, len(ended.error)

    return do


def redirects(status: int) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        with serving(Stub(lambda _request, _headers: completion("2"))) as other:
            worst = sends(status, b"", Location=f"{other.url}/chat/completions?key={quote(KEY)}")
            fails(f"HTTP {status}: [key]. That is not followed", worst)(folder)
            assert not other.requests

    return do


UNREADABLE: dict[str, Send] = {
    "100,000 brackets": says(b"[" * 100_000),
    "100,000 brackets that close": says(b"[" * 100_000 + b"]" * 100_000),
    "800 levels": says(b'{"choices":' * 800 + b"1" + b"}" * 800),
    "choices a mapping": says({"choices": {"message": {"content": "1"}}}),
    "choices a text": says({"choices": "1"}),
    "choices a number": says({"choices": 1}),
    "a choice that is a list": says({"choices": [[]]}),
    "a choice of nothing": says({"choices": [{}]}),
    "content a number": says(choice(content=1)),
    "content a mapping": says(choice(content={"text": "1"})),
    "content of numbers": says(choice(content=[1, 2])),
    "content of 5,000 digits": says(b'{"choices": [{"message": {"content": ' + b"1" * 5000 + b"}}]}"),
    "nothing": says(b""),
    "204": sends(204, b""),
    "HTML": sends(200, b"<html>no</html>", **{"Content-Type": "text/html"}),
    "two objects": says(completion("1")[2] * 2),
    "half": says(completion("1")[2][:40]),
    "no UTF-8": says(completion("1")[2].replace(b'"1"', b'"\xff1"')),
    "halves in UTF-8": says(completion("1")[2].replace(b'"1"', b'"\xed\xa0\x801"')),
    "UTF-16": says(completion("1")[2].decode().encode("utf-16")),
    "a list": says([1, 2]),
    "true": says(True),
    "an error in passing": says({"error": {"message": "hiccup"}}),
    "a gzip bomb": sends(200, bomb(3000), **{"Content-Encoding": "gzip"}),
    "a bomb in an error": sends(500, bomb(3000), **{"Content-Encoding": "gzip"}),
    "half of gzip": sends(200, gzip.compress(completion("1")[2])[:-12], **{"Content-Encoding": "gzip"}),
    "no gzip": sends(200, completion("1")[2], **{"Content-Encoding": "gzip"}),
    "packed otherwise": sends(200, completion("1")[2], **{"Content-Encoding": "zstd"}),
    "11 MB": says(choice(content="x" * 11_000_000)),
    "an endless body": raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"80000\r\n" + b" " * 0x80000 + b"\r\n",
        count=100_000,
    ),
}
READ: dict[str, tuple[str, Send]] = {
    "half a character": ("unparsed", says(b'{"choices": [{"message": {"content": "1\\ud800"}}]}')),
    "10^30 tokens": ("ok", says({**choice(content="2"), "usage": {"prompt_tokens": 10**30, "completion_tokens": 1}})),
    "5,000 digits of tokens": (
        "ok",
        says(json.dumps(choice(content="2")).encode()[:-1] + b', "usage": {"prompt_tokens": ' + b"9" * 5000 + b"}}"),
    ),
    "fewer tokens than none": ("ok", says({**choice(content="2"), "usage": {"prompt_tokens": -5}})),
    "no number of tokens": (
        "ok",
        says({**choice(content="2"), "usage": {"prompt_tokens": float("nan"), "completion_tokens": float("inf")}}),
    ),
    "tokens in words": ("ok", says({**choice(content="2"), "usage": {"prompt_tokens": "9", "completion_tokens": []}})),
    "usage a list": ("ok", says({**choice(content="2"), "usage": [1]})),
    "half a character in names": (
        "ok",
        says(b'{"model": "\\udc00", "choices": [{"finish_reason": "\\ud800", "message": {"content": "2"}}]}'),
    ),
    "two fields of one name": ("ok", says(b'{"choices": [], "choices": [{"message": {"content": "2"}}]}')),
    "a mark of byte order": ("ok", says(b"\xef\xbb\xbf" + completion("2")[2])),
    "an index without end": (
        "ok",
        says(b'{"choices": [{"index": ' + b"9" * 5000 + b', "message": {"content": "2"}}]}'),
    ),
    "nothing said": ("unparsed", says(choice(content=None))),
    "a thousand choices": ("ok", says({"choices": choice(content="2")["choices"] * 1000})),
    "gzip": ("ok", sends(200, gzip.compress(completion("2")[2]), **{"Content-Encoding": "gzip"})),
    "half a character in an error": ("error", sends(400, b'{"error": {"message": "no \\ud800", "code": "\\udfff"}}')),
    "100,000 brackets in an error": ("error", sends(422, b"[" * 100_000)),
    "800 levels in an error": ("error", sends(422, b'{"error":' * 800 + b"1" + b"}" * 800)),
    "5,000 digits in an error": ("error", sends(422, b'{"error": ' + b"1" * 5000 + b"}")),
    "an error in HTML": ("error", sends(400, b"<html>\xff</html>")),
    "an error that is empty": ("error", sends(413, b"")),
}
STALLS: dict[str, tuple[str, Send]] = {
    "a byte at a time": (
        "no reply within 1 s",
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" ", pause=0.05, count=200),
    ),
    "a header at a time": ("no reply within 1 s", raw(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause=0.05, count=200)),
    "silence": ("no reply within 1 s", raw(b"", pause=3.0)),
    "headers without end": ("the connection failed", raw(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 5000, count=1000)),
    "a header of 1 MB": ("the connection failed", raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000)),
    "no HTTP": ("the connection failed", raw(b"\x16\x03\x01\x02\x00\x01" * 9)),
    "a line of no status": ("the connection failed", raw(b"HTTP/1.1 OK\r\n\r\n")),
    "a length that is none": ("the connection failed", raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n")),
    "chunks of no length": (
        "the connection failed",
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ),
    "hanging up": ("the connection failed", raw(b"")),
    "a status beyond all": ("HTTP 999", sends(999, b"{}")),
    "an error of escapes": ("HTTP 503", sends(503, b'{"error": {"message": "\\u001b[2J\\u202e' + b"x" * 9000 + b'"}}')),
}
WAITS = ("nan", "-inf", "-1", "soon", "1e-400", "Mon, 01 Jan 99999999999 00:00:00 GMT", "")


def waits(asked: str) -> Callable[[Path], None]:
    """A wait that has no length is none: the question is tried again at once."""

    def do(folder: Path) -> None:
        came: list[int] = []

        def worst(handler: Handler, _key: str) -> None:
            came.append(1)
            later = failure(429, "later", **{"Retry-After": asked})
            handler.answer(later if len(came) == 1 else completion("2"))

        ends("ok", worst, text="2", asked=2)(folder)

    return do


def repeats(form: str, where: Callable[[str], Reply], words: str = "") -> Callable[[Path], None]:
    """The server repeats the key: it is in nothing that is kept or told."""

    def do(folder: Path) -> None:
        ended = asked_of(lambda handler, _key: handler.answer(where(forms(KEY)[form])), folder)
        assert (words and words in ended.error) or [one.status for one in ended.verdicts][::2] == ["ok", "ok"], ended
        assert "[key]" in f"{ended}", "what was hidden is marked"

    return do


def in_escapes(form: str) -> Reply:
    """Return an answer in whose JSON every letter is an escape."""
    status, headers, body = completion("AT")
    return status, headers, body.replace(b'"AT"', b'"' + "".join(f"\\u{ord(x):04x}" for x in form).encode() + b'"')


def cases() -> list[Case]:
    """Return what servers do, and what must come of it."""
    return [*_readings(), *_stalls(), *_echoes()]


def _readings() -> Iterable[Case]:
    for name, worst in UNREADABLE.items():
        yield Case(f"{name}: tried again, then an error of that question", ends("error", worst, asked=2))
    for name, (status, worst) in READ.items():
        yield Case(f"{name}: {status}", ends(status, worst))
    yield from (Case(f"Retry-After {asked!r}", waits(asked)) for asked in WAITS)


def _stalls() -> Iterable[Case]:
    yield from (Case(f"redirect {status}", redirects(status)) for status in (301, 302, 303, 307, 308))
    yield Case("a redirect to nowhere", fails("HTTP 300", sends(300, b"")))
    yield Case("a wait without end", fails("asks to wait", sends(429, b"", **{"Retry-After": "inf"})))
    yield from (Case(name, fails(words, worst)) for name, (words, worst) in STALLS.items())


def _echoes() -> Iterable[Case]:
    for form in forms(KEY):
        yield Case(f"the key in an answer: {form}", repeats(form, lambda key: completion(f"It is {key} !")))
        yield Case(f"the key in an error: {form}", repeats(form, lambda key: failure(400, f"wrong {key} !"), "400"))
    yield Case("the key in an answer, in escapes", repeats("as it is", in_escapes))
    yield Case("the key as a code", repeats("as it is", lambda key: failure(422, "[key]", key)))
    yield Case("the key as how it ended", repeats("as it is", lambda key: completion("[key]", finish=key)))
    yield Case(
        "the key as a name",
        repeats("as it is", lambda key: (200, JSON, json.dumps({**choice(content="[key]"), key: 1}).encode())),
    )
    yield Case(
        "the key in the first of two fields",
        repeats(
            "as it is",
            lambda key: (200, JSON, b'{"x": ' + json.dumps(key).encode() + b', "x": 1, ' + completion("[key]")[2][1:]),
        ),
    )
    yield Case("the key in a header", fails("[key]", sends(302, b"", Location=f"http://x/?{quote(KEY)}")))
    yield Case(
        "the key where no header is",
        fails("the connection failed", raw(f"HTTP/1.1 200 OK\r\nBearer {KEY}\r\n\r\n".encode())),
    )
