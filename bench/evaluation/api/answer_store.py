"""The store of answers: every answer that was paid for, in one SQLite file that several processes share.

An answer is committed and synced before anything else is done with it, so whatever ends a process loses at most the
requests that were under way. A request is claimed before it is sent: the claim keeps other processes from asking the
same, and reserves its highest possible cost from the spending limit. Claims of a process that has died are found by the
lock that the operating system freed, and counted as spent, because nobody knows whether they were billed.

A file that SQLite finds damaged is set aside when it is opened, and every answer that can be read in it is taken over
(``bench.evaluation.api.salvage``). An answer whose bytes are not those that were stored is set aside by itself.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from filelock import FileLock, Timeout

from bench.core.errors import StageError
from bench.core.policy import Message
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.replies import Answer, UnreadableReply, read_reply
from bench.evaluation.api.salvage import Row, salvaged
from bench.evaluation.api.spending import Cost, SpendingLimit

FILE = "answers.sqlite"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE answers (key TEXT PRIMARY KEY, question TEXT NOT NULL, reply TEXT NOT NULL, server TEXT NOT NULL);
CREATE TABLE claims (key TEXT PRIMARY KEY, asker TEXT NOT NULL, account TEXT NOT NULL, calls INTEGER NOT NULL,
    tokens INTEGER NOT NULL, usd REAL NOT NULL);
CREATE TABLE spending (account TEXT PRIMARY KEY, calls INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL);
"""
# Beside the first three tables, so that a program that knows only those can use the file.
_DIGESTS = "CREATE TABLE IF NOT EXISTS digests (key TEXT PRIMARY KEY, sha256 TEXT NOT NULL)"
_ASIDE = "CREATE TABLE IF NOT EXISTS set_aside (key TEXT, question TEXT, reply BLOB, server TEXT)"
DAMAGED = "damaged"
_PARAMETERS_AT_ONCE = 500
_BUSY_SECONDS = 60.0
ClaimOutcome = Literal["claimed", "answered", "taken", "full", "limit"]


class AnswerStore:
    """Answers in a folder.

    ``account``: what the spending of this process counts for (a run, a model, a server). ``tell`` is handed what was
    damaged and set aside, in a sentence.
    """

    def __init__(self, folder: Path, account: str = "", tell: Callable[[str], None] = lambda _text: None) -> None:
        self._folder, self._account, self._tell = folder, account, tell
        self._asker = uuid.uuid4().hex
        askers = folder / "askers"
        askers.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE
        # One process looks at the file at a time, and joins those that use it only once it is whole.
        with self._readable_errors(), FileLock(folder / "opening.lock"):
            kept = self._set_aside_damage()
            self._base = sqlite3.connect(self._file, timeout=_BUSY_SECONDS, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._prepare(kept)
            self._alive = FileLock(askers / f"{self._asker}.lock")
            self._alive.acquire()

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
        """Return the answers that are there, by the key of their question; what is damaged is set aside."""
        found, damaged = {}, []
        with self._readable_errors():
            for part in _parts([question.key for question in questions]):
                rows = self._base.execute(
                    "SELECT key, CAST(reply AS BLOB), sha256 FROM answers LEFT JOIN digests USING (key) "
                    f"WHERE key IN ({','.join('?' * len(part))})",  # noqa: S608
                    part,
                )
                for key, reply, digest in rows:
                    answer = _stored(reply, digest)
                    if answer is None:
                        damaged.append(key)
                    else:
                        found[key] = answer
            if damaged:
                self._set_answers_aside(damaged)
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
        with self._readable_errors(), self._synced(), self._transaction():
            self._base.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", [question.key, question.written, reply, server]
            )
            self._base.execute("INSERT OR IGNORE INTO digests VALUES (?, ?)", [question.key, _digest(reply.encode())])
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
            rows = self._base.execute(
                f"SELECT question, CAST(reply AS BLOB) FROM answers WHERE server = ? AND {_asked('model')} = ? "  # noqa: S608
                f"AND {_asked('max_tokens')} = ? ORDER BY length(question), key",
                [server, like.decoding.model, like.decoding.max_tokens],
            )
            for question, reply in rows:
                answer = _stored(reply, None)
                if answer is not None and answer.status in ("ok", "unparsed"):
                    chat = tuple(Message.model_validate(turn) for turn in json.loads(question)["messages"])
                    return ApiQuestion(chat, like.decoding, name="a question that was answered before")
        return None

    def costs_known(self, model: str) -> list[Answer]:
        """Return the answers of a model, to estimate what a further one costs."""
        with self._readable_errors():
            rows = self._base.execute(
                f"SELECT CAST(reply AS BLOB) FROM answers WHERE {_asked('model')} = ? LIMIT 1000",  # noqa: S608
                [model],
            )
            known = [_stored(reply, None) for (reply,) in rows]
            return [answer for answer in known if answer is not None]

    def _set_aside_damage(self) -> dict[str, Row]:
        """Return the answers of a damaged file, which is set aside; none where the file is whole.

        Raises StageError where another process is using the file.
        """
        if not self._file.exists() or _is_whole(self._file):
            return {}
        if any(self._lives(path.stem) for path in (self._folder / "askers").glob("*.lock")):
            raise StageError(f"{self._file} is damaged, and another run is using it. End that one, then start again.")
        kept = salvaged(self._file) if self._file.is_file() else {}
        aside = self._folder / DAMAGED / uuid.uuid4().hex[:8]
        aside.mkdir(parents=True)
        for end in ("", "-wal", "-shm"):
            part = Path(f"{self._file}{end}")
            if part.exists():
                part.replace(aside / part.name)
        self._tell(
            f"{self._file}: the store of answers was damaged; moved to {aside}. {len(kept)} answers in it could be "
            "read and are kept; what is lacking is asked for anew."
        )
        return kept

    def _set_answers_aside(self, keys: Sequence[str]) -> None:
        with self._transaction():
            self._base.execute(_ASIDE)
            for key in keys:
                self._base.execute("INSERT INTO set_aside SELECT * FROM answers WHERE key = ?", [key])
                self._base.execute("DELETE FROM answers WHERE key = ?", [key])
                self._base.execute("DELETE FROM digests WHERE key = ?", [key])
        self._tell(
            f"{self._file}: {len(keys)} answers were damaged; they are in the table set_aside, and are asked for anew."
        )

    def _prepare(self, kept: dict[str, Row]) -> None:
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
            self._base.execute(_DIGESTS)
            self._base.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", kept.values())

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
    def _synced(self) -> Iterator[None]:
        """Wait until what is committed within is on the disk.

        An answer is; a claim need not be: it is there for others as soon as it is committed, a process that is killed
        leaves it there, and a machine that loses power ends the run whose spending it counts for.
        """
        self._base.execute("PRAGMA synchronous=FULL")
        yield
        self._base.execute("PRAGMA synchronous=NORMAL")

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


def _is_whole(file: Path) -> bool:
    """Return whether SQLite finds nothing wrong with the pages of a file; raises sqlite3.Error where it cannot look."""
    if not file.is_file():
        return False
    try:
        base = sqlite3.connect(file, timeout=_BUSY_SECONDS)
        try:
            tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            (version,) = base.execute("PRAGMA user_version").fetchone()
            told = base.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            base.close()
    except sqlite3.OperationalError:
        raise  # no space, no rights, too busy: nothing that is wrong with the file
    except sqlite3.DatabaseError:
        return False
    return told == ("ok",) and (version != SCHEMA_VERSION or {"answers", "claims", "spending"} <= tables)


def _stored(reply: bytes | None, digest: str | None) -> Answer | None:
    """Return a stored answer; None for what is not what was stored, or says nothing."""
    if reply is None or (digest is not None and _digest(reply) != digest):
        return None
    try:
        return read_reply(reply.decode())
    except (UnreadableReply, UnicodeDecodeError):
        return None


def _digest(reply: bytes) -> str:
    return hashlib.sha256(reply).hexdigest()


def _asked(field: Literal["model", "max_tokens"]) -> str:
    """Return the SQL for a field of a stored question; null where the question is damaged."""
    return f"CASE WHEN json_valid(question) THEN json_extract(question, '$.{field}') END"


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _PARAMETERS_AT_ONCE):
        yield list(keys[start : start + _PARAMETERS_AT_ONCE])
