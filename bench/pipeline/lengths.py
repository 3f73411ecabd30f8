"""What truncation will do, known before a run: counted in a process of its own, which loads tokenizers.

What was counted once is kept beside the store, by the digests of data, models and settings.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.core.data import Data, Made
from bench.core.errors import BenchError
from bench.core.files import replacing
from bench.core.frozen import Frozen, digest
from bench.core.lengths import (
    REFUSED,
    ROWS_OF,
    DataAsked,
    LengthCounts,
    LengthsAsked,
    LengthsFound,
    PromptsAsked,
    RowsOf,
)
from bench.core.policy import BestOf, Instructed, PolicySpec, Pretrained, Proxy, Tuned, root
from bench.core.stage import Stage
from bench.engine.processes import with_these_packages
from bench.engine.store import LENGTHS, Store
from bench.pipeline.plan import Plan
from bench.results.lengths import cut_in_words, quantiles_in_words, unanswered_in_words
from bench.results.summary import Unanswered
from bench.results.wording import listed

# Rows of a data set that are read while planning.
MOST_ROWS = 2_000
PATIENCE = 600.0  # seconds that counting may take


class PlannedLengths(Frozen):
    """What is known of lengths before a run.

    ``data``: each file of data as stages will cut it. ``read``: by which model and how, where that needs words.
    ``limited``: whether only its first rows were read.
    ``unanswered``: evaluation prompts that will get no response. ``unknown``: what is known later, and why.
    """

    data: tuple[LengthCounts, ...] = ()
    read: tuple[str, ...] = ()
    limited: tuple[bool, ...] = ()
    unanswered: tuple[Unanswered, ...] = ()
    unknown: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the same as lines of text."""
        lines = []
        for counts, read, limited in zip(self.data, self.read, self.limited, strict=True):
            of = listed([part for part in (read, f"of the first {counts.rows:,} rows" if limited else "") if part])
            cut = cut_in_words(counts) or f"nothing is cut at {counts.max_length:,} tokens"
            lines.append(f"{counts.data}{f' ({of})' if of else ''}: {quantiles_in_words(counts)}; {cut}")
        lines = list(dict.fromkeys(lines))
        lines += [unanswered_in_words(one) for one in self.unanswered]
        return [*lines, *self.unknown]


NOTHING_KNOWN = PlannedLengths()


def planned_lengths(plan: Plan, store: Store) -> PlannedLengths:
    """Return what truncation will do to local data and to the tasks' prompts, as far as the models are there already.

    The first time, one process is started for it, which takes some seconds; none where no data and model is there.
    """
    data = list({digest(one): one for one in data_asked(plan)}.values())
    prompts = dict(prompts_asked(plan))
    unknown = unknown_yet(plan)
    asked = LengthsAsked(data=tuple(data), prompts=tuple(prompts))
    if not data and not prompts:
        return PlannedLengths(unknown=unknown)
    found = kept(asked, store)
    if isinstance(found, str):
        return PlannedLengths(unknown=(*unknown, f"token lengths could not be counted: {found}"))
    lacking = zip(prompts.items(), found.too_long, strict=True)
    models = {root(reader) for one in data for reader in one.readers}
    return PlannedLengths(
        data=found.data,
        read=tuple(read_by(one, several=len(models) > 1) for one in data),
        limited=tuple(one.data.limit == MOST_ROWS == counts.rows for one, counts in zip(data, found.data, strict=True)),
        unanswered=tuple(
            Unanswered(task=task, arms=arms, prompts=count, of=len(one.chats))
            for (one, (task, arms)), count in lacking
            if count
        ),
        unknown=unknown,
    )


def data_asked(plan: Plan) -> Iterator[DataAsked]:
    """Yield the data that stages train on, of which file and model are there already.

    Stages of training are known by their fields, because methods are not known here.
    """
    for stage in plan.stages.values():
        data, policy = getattr(stage, "data", None), getattr(stage, "init", None)
        max_length, role = getattr(stage, "max_length", None), role_of(stage, plan)
        specs = stage.wordings() if hasattr(stage, "wordings") else (policy,)
        readers = dict.fromkeys(reader for spec in specs if spec is not None for reader in [*readers_of(spec)][:1])
        if not isinstance(data, Data) or not isinstance(max_length, int) or role is None or not readers:
            continue
        practice = getattr(stage, "practice", None)
        limit = MOST_ROWS if data.limit is None else min(data.limit, MOST_ROWS)
        yield DataAsked(
            rows_of="prompts" if practice is not None else role,
            data=data.model_copy(update={"limit": limit}),
            readers=tuple(readers),
            max_length=max_length,
            new_tokens=None if practice is None else practice.max_new_tokens,
        )


def read_by(asked: DataAsked, *, several: bool) -> str:
    """Return which model reads data, where there are ``several``, and whether behind instructions; maybe empty."""
    start = root(asked.readers[0])
    name = f"as {Path(start.path).name} reads them" if several and isinstance(start, Pretrained) and start.path else ""
    behind = "behind instructions" if any(isinstance(reader, Instructed) for reader in asked.readers) else ""
    return listed([part for part in (name, behind) if part])


def role_of(stage: Stage, plan: Plan) -> RowsOf | None:
    """Return what the comparison gives a stage's data as; None for data that a method makes."""
    given = plan.comparison.given
    return next((role for role in ROWS_OF if getattr(given, role) == getattr(stage, "data", None)), None)


def prompts_asked(plan: Plan) -> Iterator[tuple[PromptsAsked, tuple[str, tuple[str, ...]]]]:
    """Yield the prompts of every task with a reader, and the task and the arms that read with it."""
    seed = plan.comparison.given.seeds[0]
    arms: dict[PolicySpec, list[str]] = {}
    for (arm, at), policy in plan.policies.items():
        for reader in readers_of(policy) if at == seed else ():
            arms.setdefault(reader, []).append(arm)
    for task in plan.comparison.evaluation.tasks:
        chats = tuple(prompt.chat for prompt in task.prompts())
        for reader, own in arms.items():
            asked = PromptsAsked(chats=chats, new_tokens=task.decoding().max_new_tokens, reader=reader)
            yield asked, (task.NAME, tuple(dict.fromkeys(own)))


def readers_of(policy: PolicySpec) -> Iterator[PolicySpec]:
    """Yield what reads a policy's prompts, of local models: the pretrained model, behind the same instructions."""
    match policy:
        case Pretrained(path=str()):
            if all(adapter.path is not None for adapter in policy.adapters):  # the tokenizer may be an adapter's
                yield policy
        case Instructed():
            for inner in readers_of(policy.base):
                yield policy.model_copy(update={"base": inner})
        case Tuned() | BestOf():
            yield from readers_of(policy.base)
        case Proxy():
            for part in (policy.base, policy.expert, policy.antiexpert):
                yield from readers_of(part)


def unknown_yet(plan: Plan) -> tuple[str, ...]:
    """Return a line about the lengths that are known only when their data or model is made."""
    given = plan.comparison.given
    made = [name for name in ROWS_OF if isinstance(getattr(given, name), Made)]
    start = root(given.base)
    base = [] if isinstance(start, Pretrained) and start.path is not None else ["the base model"]
    if not made and not base:
        return ()
    return (f"token lengths: known when they are there: {', '.join([*made, *base])} (the report says what was cut)",)


def kept(asked: LengthsAsked, store: Store) -> LengthsFound | str:
    """Return the answer to a request, from beside the store where it is known; as a text, why there is none.

    Raises BenchError for a model or data with which a run would fail.
    """
    path = store.root / LENGTHS / f"{digest(asked)}.json"
    with contextlib.suppress(OSError, ValueError, RecursionError):  # not there, of another version, damaged: count anew
        return LengthsFound.model_validate_json(path.read_text(encoding="utf-8"))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.models.count_lengths"],
            input=asked.model_dump_json(),
            capture_output=True,
            text=True,
            check=False,
            env=with_these_packages(),
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {PATIENCE / 60:.0f} minutes"
    if done.returncode == REFUSED:
        raise BenchError(done.stdout.strip())
    if done.returncode != 0:
        return (done.stderr.strip().split("\n") or [""])[-1]
    found = LengthsFound.model_validate_json(done.stdout)
    # A plan writes nothing that it needs: where it cannot, it counts again next time.
    with contextlib.suppress(OSError):
        store.prepare()
        with replacing(path) as partial:
            partial.write_text(done.stdout, encoding="utf-8")
    return found
