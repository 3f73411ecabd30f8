"""Sending many questions at once: stored answers are reused, failures retried, new answers stored.

**Whom a refusal concerns.** A server that answers other questions and refuses one with a 4xx refuses that question, and
the refusal is its answer (status ``error``); one that refuses them all takes no question with these settings, or this
account. Refusals are therefore held back until another question is answered. The shortest is asked first, so that what
fits any question fits it. Where ``REFUSED_IN_A_ROW`` are held back, or none is left to ask, one that this server has
answered before is sent once more: where it is answered, the others are at fault, and are kept; where it is refused too,
or nothing was ever answered, the server's words end the stage and no refusal is kept. What a filter refuses is kept at
once, and, behind an answer, what is too long.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.core.errors import StageError
from bench.core.stage import StageIO
from bench.evaluation.api.answer_store import AnswerStore
from bench.evaluation.api.client import Access, Connection, Sent, TryAgain, Unreadable
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.replies import Answer
from bench.evaluation.api.retry import LONGEST_ASKED_FOR, back_off
from bench.evaluation.api.secret import Secret
from bench.evaluation.api.spending import Cost, actual, most, this_run

OFFLINE_VARIABLE = "ALIGNMENT_BENCH_OFFLINE"
LOOKS_AGAIN_SECONDS = 0.1
# So many refusals in a row are looked into: few enough to stop early, many enough that one more request is little.
REFUSED_IN_A_ROW = 8
_NEXT = "Every answer so far is stored: the same command goes on from there and pays nothing twice."


def ask(questions: Sequence[ApiQuestion], access: Access, io: StageIO) -> list[Answer]:
    """Return the answer to each question, in order, equal questions asked once.

    Answers come from the store where it has them. With ``ALIGNMENT_BENCH_OFFLINE=1`` in the environment they come from
    nowhere else. Raises StageError when an answer cannot be obtained: offline, beyond the spending limit, or when the
    server will not answer; what was answered before is kept.
    """
    if not questions:
        return []
    different = {question.key: question for question in questions}
    account = f"{this_run()} {access.base_url} {questions[0].decoding.model}"
    with AnswerStore(io.answers or io.scratch / "answers", account, io.on_warning) as store:
        found = store.answers(list(different.values()))
        todo = [question for key, question in different.items() if key not in found]
        if todo:
            _refuse_offline(todo, len(different))
            asyncio.run(_Asking(store, access, io, todo).to_the_end())
            found = store.answers(list(different.values()))
    secret = access.secret()
    # What was stored may be from before the key was looked for in every form.
    return [_hidden(found[question.key], secret) for question in questions]


def _hidden(answer: Answer, secret: Secret) -> Answer:
    served = None if answer.served is None else secret.hide(answer.served)
    return replace(answer, text=secret.hide(answer.text), finish=secret.hide(answer.finish), served=served)


def _refuse_offline(todo: Sequence[ApiQuestion], of: int) -> None:
    """Raise StageError when nothing may be asked."""
    if os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0"):
        raise StageError(
            f"{len(todo)} of {of} answers of {todo[0].decoding.model} are not stored (the first: {todo[0].name}), and "
            f"{OFFLINE_VARIABLE} is set, so nothing is asked. Unset it, or bring the store that holds them."
        )


class _Asking:
    """Requests under way. The first permanent failure ends it, once those under way are answered."""

    def __init__(self, store: AnswerStore, access: Access, io: StageIO, todo: Sequence[ApiQuestion]) -> None:
        self._store, self._access, self._io = store, access, io
        self._total, self._open = len(todo), iter(shortest_first(todo))
        self._refused: list[tuple[ApiQuestion, Sent]] = []
        self._answered, self._looking_into = False, asyncio.Lock()
        self._done, self._spent = 0, Cost()
        self._failure: StageError | None = None
        self._not_before = 0.0
        self._connection = Connection(access)

    async def to_the_end(self) -> None:
        """Ask all questions; raises StageError with the number of those that have no answer."""
        askers = min(self._access.concurrency, self._total)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(askers):
                    group.create_task(self._ask_in_turn(self._open))
            await self._look_into_refusals(1)
        finally:
            await self._connection.close()
            self._io.meter.api_calls += self._spent.calls
            self._io.meter.api_tokens += self._spent.tokens
            self._io.meter.usd += self._spent.usd
        if self._failure is not None:
            raise StageError(
                f"{self._total - self._done} of {self._total} questions have no answer: {self._failure} {_NEXT}"
            ) from self._failure

    async def _ask_in_turn(self, questions: Iterator[ApiQuestion]) -> None:
        for question in questions:
            try:
                await self._ask(question)
            except StageError as failure:
                self._failure = self._failure or failure
            if self._failure is not None:
                return
            self._io.progress(self._done, self._total, "judgements", self._note())

    async def _ask(self, question: ApiQuestion) -> None:
        """Send one question and store its answer, or return early when all are to stop."""
        reserved, attempt = most(question, self._access.prices), 0
        while self._failure is None:
            if not await self._may_send(question, reserved):
                self._done += self._failure is None
                return
            try:
                sent = await self._connection.send(question)
            except TryAgain as reason:
                self._charge(question, reserved if reason.billed else Cost())
                if isinstance(reason, Unreadable) and attempt >= self._access.retries:
                    await self._hold_back(question, self._connection.gives_up(question, reason, attempt + 1))
                    return
                await self._wait(question, attempt, reason)
                attempt += 1
            except StageError:
                self._charge(question, Cost())
                raise
            else:
                await self._take(question, sent)
                return

    async def _take(self, question: ApiQuestion, sent: Sent) -> None:
        """Keep what came of a question; hold a refusal back until it is known whom it concerns."""
        if sent.refused is None:
            self._keep(question, sent)
            if sent.completed:
                self._answered = True
                self._keep_refusals()
            return
        # Its claim is given back meanwhile: it costs nothing, and what is held back for it others can use.
        self._store.give_up(question, Cost())
        await self._hold_back(question, sent)

    async def _hold_back(self, question: ApiQuestion, sent: Sent) -> None:
        """Note a question without an answer, and look whether that is its own fault where so many are."""
        self._refused.append((question, sent))
        if self._answered and sent.is_too_long:
            self._keep_refusals()
        else:
            await self._look_into_refusals(REFUSED_IN_A_ROW)

    def _keep(self, question: ApiQuestion, sent: Sent) -> None:
        # What a server refuses to read is no tokens, and counts as a call. Attempts are counted as they fail.
        cost = actual(sent.answer, question, self._access.prices) if sent.completed else Cost(calls=sent.calls)
        self._spent += cost
        self._done += 1
        self._store.keep(question, sent.body, self._access.base_url, cost)

    def _keep_refusals(self) -> None:
        for question, sent in self._refused:
            self._keep(question, sent)
        self._refused.clear()

    async def _look_into_refusals(self, count: int) -> None:
        """Keep refusals, where there are so many, if they concern their questions; note the failure if they do not."""
        async with self._looking_into:
            if len(self._refused) < count or self._failure is not None:
                return
            known = self._store.answered_before(self._refused[0][0], self._access.base_url)
            try:
                if known is not None and await self._is_answered(known):
                    self._keep_refusals()
                else:
                    raise StageError(self._all_refused())
            except StageError as failure:
                self._failure = self._failure or failure

    async def _is_answered(self, known: ApiQuestion) -> bool:
        """Return whether a question that was answered before is answered now."""
        limit, attempt = self._access.spending_limit, 0
        reserved = most(known, self._access.prices)
        while limit is None or limit.admits(self._store.spent() + reserved):
            try:
                sent = await self._connection.send(known)
            except TryAgain as reason:
                self._charge(known, reserved if reason.billed else Cost())
                await self._wait(known, attempt, reason)
                attempt += 1
            else:
                self._charge(known, actual(sent.answer, known, self._access.prices) if sent.completed else Cost())
                return sent.completed and sent.refused is None
        raise StageError(self._at_the_limit())

    def _all_refused(self) -> str:
        question, sent = self._refused[-1]
        return f"{len(self._refused)} questions in a row got no answer, the last one so: {sent.refused}"

    async def _may_send(self, question: ApiQuestion, reserved: Cost) -> bool:
        """Return True once the question is claimed, False when its answer is there already.

        Raises StageError at the spending limit.
        """
        loop = asyncio.get_running_loop()
        while self._failure is None:
            if loop.time() >= self._not_before:
                claim = self._store.claim(question, reserved, self._access.spending_limit)
                if claim == "claimed":
                    return True
                if claim == "answered":
                    return False
                if claim == "limit":
                    raise StageError(self._at_the_limit())
            await asyncio.sleep(min(max(self._not_before - loop.time(), LOOKS_AGAIN_SECONDS), 1.0))
        return False

    async def _wait(self, question: ApiQuestion, attempt: int, reason: TryAgain) -> None:
        """Wait before the next attempt, all questions together where the server asks for it.

        Raises StageError when there is no attempt left, or the server asks for too long a wait.
        """
        where = f"{self._access.base_url}: {question.name}"
        if attempt >= self._access.retries:
            raise StageError(f"{where} failed {attempt + 1} times, the last time with {reason}.")
        if reason.wait > LONGEST_ASKED_FOR:
            raise StageError(f"{where} failed with {reason}, and the server asks to wait {reason.wait:,.0f} s.")
        loop = asyncio.get_running_loop()
        if reason.wait:
            self._not_before = max(self._not_before, loop.time() + reason.wait)
        until = loop.time() + back_off(question.key, attempt, self._access.first_wait)
        while self._failure is None and loop.time() < until:
            await asyncio.sleep(min(until - loop.time(), 1.0))

    def _charge(self, question: ApiQuestion, cost: Cost) -> None:
        self._spent += cost
        self._store.give_up(question, cost)

    def _at_the_limit(self) -> str:
        spent, limit = self._store.spent(), self._access.spending_limit
        return (
            f"the spending limit of this run, {limit}, leaves no room for another request: {_in_words(spent)} spent. "
            "Raise `spending_limit`, or run again, which begins a new count."
        )

    def _note(self) -> str:
        return _in_words(self._spent)


def shortest_first(questions: Sequence[ApiQuestion]) -> list[ApiQuestion]:
    """Return the questions with the shortest (the first of those) in front, the others in order."""
    place = min(range(len(questions)), key=lambda at: sum(len(turn.content) for turn in questions[at].chat))
    return [questions[place], *questions[:place], *questions[place + 1 :]]


def _in_words(cost: Cost) -> str:
    usd = f"{cost.usd:.4g} USD, " if cost.usd else ""
    return f"{usd}{cost.tokens:,} tokens"
