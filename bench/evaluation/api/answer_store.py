"""The store of answers: every answer that was paid for, in one SQLite file that several processes share.

An answer is committed and synced before anything else is done with it, so whatever ends a process loses at most the
requests that were under way. A request is claimed before it is sent: the claim keeps other processes from asking the
same, and reserves its highest possible cost from the spending limit. Claims of a process that has died are found by the
lock that the operating system freed, and counted as spent, because nobody knows whether they were billed.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from filelock import FileLock, Timeout

from bench.core.errors import StageError
from bench.core.policy import Message
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.replies import Answer, read_reply
from bench.evaluation.api.spending import Cost, SpendingLimit

FILE = "answers.sqlite"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE answers (key TEXT PRIMARY KEY, question TEXT NOT NULL, reply TEXT NOT NULL, server TEXT NOT NULL);
CREATE TABLE claims (key TEXT PRIMARY KEY, asker TEXT NOT NULL, account TEXT NOT NULL, calls INTEGER NOT NULL,
    tokens INTEGER NOT NULL, usd REAL NOT NULL);
CREATE TABLE spending (account TEXT PRIMARY KEY, calls INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL);
"""
_PARAMETERS_AT_ONCE = 500
_BUSY_SECONDS = 60.0
ClaimOutcome = Literal["claimed", "answered", "taken", "full", "limit"]


class AnswerStore:
    """Answers in a folder. ``account``: what the spending of this process counts for (a run, a model, a server)."""

    def __init__(self, folder: Path, account: str = "") -> None:
        self._folder, self._account = folder, account
        self._asker = uuid.uuid4().hex
        askers = folder / "askers"
        askers.mkdir(parents=True, exist_ok=True)
        self._alive = FileLock(askers / f"{self._asker}.lock")
        self._alive.acquire()
        self._file = folder / FILE
        with self._readable_errors():
            self._base = sqlite3.connect(self._file, timeout=_BUSY_SECONDS, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what this process holds; a claim that is left counts as spent."""
        with self._readable_errors(), self._transaction():
            self._write_off([self._asker])
        self._base.close()
        self._alive.release()
        Path(self._alive.lock_file).unlink(missing_ok=True)

    def answers(self, questions: Sequence[ApiQuestion]) -> dict[str, Answer]:
        """Return the answers that are there, by the key of their question."""
        found = {}
        with self._readable_errors():
            for part in _parts([question.key for question in questions]):
                marks = ",".join("?" * len(part))
                rows = self._base.execute(f"SELECT key, reply FROM answers WHERE key IN ({marks})", part)  # noqa: S608
                found.update({key: read_reply(reply) for key, reply in rows})
        return found

    def claim(self, question: ApiQuestion, reserved: Cost, limit: SpendingLimit | None) -> ClaimOutcome:
        """Return whether this process may ask a question now; ``reserved`` is held back where it may.

        ``answered``: it has been answered meanwhile. ``taken``: another process is asking it. ``full``: the limit
        leaves no room while other requests are under way, which may cost less than is held back for them. ``limit``:
        it leaves no room at all.
        """
        with self._readable_errors(), self._transaction():
            if self._base.execute("SELECT 1 FROM answers WHERE key = ?", [question.key]).fetchone():
                return "answered"
            self._write_off_dead_askers()
            if self._base.execute("SELECT 1 FROM claims WHERE key = ?", [question.key]).fetchone():
                return "taken"
            held = self._sum("claims")
            if limit is not None and not limit.admits(self._sum("spending") + held + reserved):
                return "full" if held.calls else "limit"
            self._base.execute(
                "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?)",
                [question.key, self._asker, self._account, reserved.calls, reserved.tokens, reserved.usd],
            )
        return "claimed"

    def keep(self, question: ApiQuestion, reply: str, server: str, cost: Cost) -> None:
        """Store the reply to a claimed question, with what was sent and by whom it was answered, and its cost."""
        with self._readable_errors(), self._transaction():
            self._base.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", [question.key, question.written, reply, server]
            )
            self._base.execute("DELETE FROM claims WHERE key = ?", [question.key])
            self._charge(self._account, cost)

    def give_up(self, question: ApiQuestion, cost: Cost) -> None:
        """Release a claimed question without an answer; ``cost`` is what the attempt may have cost."""
        with self._readable_errors(), self._transaction():
            self._base.execute("DELETE FROM claims WHERE key = ?", [question.key])
            self._charge(self._account, cost)

    def spent(self) -> Cost:
        """Return what this account has spent."""
        with self._readable_errors():
            return self._sum("spending")

    def answered_before(self, like: ApiQuestion, server: str) -> ApiQuestion | None:
        """Return the shortest question that a server's model has answered, decoded as ``like`` is; None without one.

        Only one that left the same room for its answer: with more room it may not fit.
        """
        with self._readable_errors():
            found = self._base.execute(
                "SELECT question FROM answers WHERE server = ? AND json_extract(question, '$.model') = ? "
                "AND json_extract(question, '$.max_tokens') = ? AND json_array_length(reply, '$.choices') > 0 "
                "ORDER BY length(question), key LIMIT 1",
                [server, like.decoding.model, like.decoding.max_tokens],
            ).fetchone()
        if found is None:
            return None
        chat = tuple(Message.model_validate(turn) for turn in json.loads(found[0])["messages"])
        return ApiQuestion(chat, like.decoding, name="a question that was answered before")

    def costs_known(self, model: str) -> list[Answer]:
        """Return the answers of a model, to estimate what a further one costs."""
        with self._readable_errors():
            rows = self._base.execute(
                "SELECT reply FROM answers WHERE json_extract(question, '$.model') = ? LIMIT 1000", [model]
            )
            return [read_reply(reply) for (reply,) in rows]

    def _prepare(self) -> None:
        with self._transaction():
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._base.execute(statement)
                self._base.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise StageError(
                    f"{self._file} is a store of answers of version {version}, and this program knows version "
                    f"{SCHEMA_VERSION}. Use the program that wrote it, or move the file away."
                )

    def _sum(self, table: Literal["claims", "spending"]) -> Cost:
        row = self._base.execute(
            f"SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(tokens), 0), COALESCE(SUM(usd), 0.0) FROM {table} "  # noqa: S608
            "WHERE account = ?",
            [self._account],
        ).fetchone()
        return Cost(*row)

    def _charge(self, account: str, cost: Cost) -> None:
        self._base.execute(
            "INSERT INTO spending VALUES (?, ?, ?, ?) ON CONFLICT (account) DO UPDATE SET calls = calls + "
            "excluded.calls, tokens = tokens + excluded.tokens, usd = usd + excluded.usd",
            [account, cost.calls, cost.tokens, cost.usd],
        )

    def _write_off_dead_askers(self) -> None:
        askers = [name for (name,) in self._base.execute("SELECT DISTINCT asker FROM claims")]
        self._write_off(name for name in askers if name != self._asker and not self._lives(name))

    def _write_off(self, askers: Iterable[str]) -> None:
        """Count the claims of askers as spent, and free them."""
        for name in askers:
            rows = self._base.execute("SELECT account, calls, tokens, usd FROM claims WHERE asker = ?", [name])
            for account, *cost in rows.fetchall():
                self._charge(account, Cost(*cost))
            self._base.execute("DELETE FROM claims WHERE asker = ?", [name])

    def _lives(self, asker: str) -> bool:
        file = self._folder / "askers" / f"{asker}.lock"
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        file.unlink(missing_ok=True)
        return False

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        """Turn an error of SQLite into one that says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise StageError(
                f"{self._file}: the store of answers cannot be used: {error}. Free space or put back a copy; if it is "
                "lost, move it away, and every answer is asked for anew."
            ) from error


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _PARAMETERS_AT_ONCE):
        yield list(keys[start : start + _PARAMETERS_AT_ONCE])
