"""A canned OpenAI-compatible server, and a proxy that injures what passes through it, by a seeded schedule."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
FAULTS = ("limited", "broken", "garbage", "half", "cut", "closed", "hang")
JSON = {"Content-Type": "application/json"}


class Handler(BaseHTTPRequestHandler):
    """Reads a request and leaves the rest to the server that owns it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.handle_post(self, body)  # type: ignore[attr-defined]

    def answer(self, reply: Reply) -> None:
        status, headers, body = reply
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are part of the game."""


def completion(text: str, *, finish: str = "stop", tokens: tuple[int, int] | None = (20, 1)) -> Reply:
    body: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "stub",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
    }
    if tokens is not None:
        body["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return 200, JSON, json.dumps(body).encode()


def failure(status: int, message: str, code: str = "", **headers: str) -> Reply:
    body = {"error": {"message": message, "type": "error", "code": code}}
    return status, {**JSON, **headers}, json.dumps(body).encode()


class Stub(Server):
    """Answers every question by a rule over (request, headers); keeps what it was asked."""

    def __init__(self, rule: Callable[[dict[str, Any], Any], Reply]) -> None:
        super().__init__()
        self.rule = rule
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []

    def handle_post(self, handler: Handler, body: bytes) -> None:
        request = json.loads(body)
        with self.lock:
            self.requests.append(request)
            self.keys.append(handler.headers.get("Authorization", ""))
        handler.answer(self.rule(request, handler.headers))


class FaultProxy(Server):
    """Passes requests on to ``target`` and injures a share of them.

    The fault of a request is a function of (seed, question, how often it has come). ``delivered`` counts the whole,
    good answers that each question got; ``seen`` all requests.
    """

    def __init__(
        self, target: str, *, share: float = 0.3, hang: float = 1.0, seed: int = 0, faults: Sequence[str] = FAULTS
    ) -> None:
        super().__init__()
        self.faults = faults
        self.target = target.removeprefix("http://").removesuffix("/v1")
        self.seed, self.share, self.hang = seed, share, hang
        self.seen: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.injured: Counter[str] = Counter()
        self.order: list[str] = []

    def handle_post(self, handler: Handler, body: bytes) -> None:
        question = question_id(body)
        with self.lock:
            number = self.seen[question]
            self.seen[question] += 1
            self.order.append(question)
        fault = self.fault(question, number)
        if fault is not None:
            with self.lock:
                self.injured[fault] += 1
        if fault in (None, "half", "cut"):
            reply = self.forwarded(handler.path, body)
            if fault is None:
                handler.answer(reply)
                with self.lock:
                    self.delivered[question] += reply[0] == 200
                return
            half_an_answer(handler, reply, says_whole=fault == "half")
        elif fault == "limited":
            handler.answer(failure(429, "too many", **{"Retry-After": "0.05"}))
        elif fault == "broken":
            handler.answer(failure(500, "an accident"))
        elif fault == "garbage":
            handler.answer((200, JSON, b"<html>\x00 not json"))
        elif fault == "hang":
            time.sleep(self.hang)
        handler.close_connection = True

    def fault(self, question: str, number: int) -> str | None:
        drawn = hashlib.sha256(f"{self.seed}:{question}:{number}".encode()).digest()
        if int.from_bytes(drawn[:4], "big") / 2**32 >= self.share:
            return None
        return self.faults[drawn[4] % len(self.faults)]

    def forwarded(self, path: str, body: bytes) -> Reply:
        connection = http.client.HTTPConnection(self.target, timeout=120)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            found = connection.getresponse()
            kind = found.getheader("Content-Type") or "application/json"
            return found.status, {"Content-Type": kind}, found.read()
        finally:
            connection.close()


def half_an_answer(handler: Handler, reply: Reply, *, says_whole: bool) -> None:
    """Send half a body: with the length of the whole one, or as if the half were all."""
    status, headers, body = reply
    half = body[: len(body) // 2]
    if not says_whole:
        handler.answer((status, headers, half))
        return
    handler.send_response(status)
    handler.send_header("Content-Type", headers["Content-Type"])
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(half)
    handler.wfile.flush()


def question_id(body: bytes) -> str:
    return hashlib.sha256(json.dumps(json.loads(body), sort_keys=True).encode()).hexdigest()


@contextmanager
def serving(server: Server) -> Iterator[Any]:
    """Serve until the block is left."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
