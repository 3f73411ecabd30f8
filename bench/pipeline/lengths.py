"""What truncation will do, known before a run: counted in a process of its own, which loads tokenizers.

What was counted once is kept beside the store, by the digests of data, models and settings.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.core.data import Data, Made, Mixture
from bench.core.errors import BenchError
from bench.core.files import replace_text
from bench.core.frozen import Frozen, children, digest
from bench.core.lengths import (
    REFUSED,
    ROWS_OF,
    DataAsked,
    DataFindings,
    FilesAsked,
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
from bench.results.data_block import block_of, length_line
from bench.results.lengths import unanswered_in_words
from bench.results.summary import Unanswered
from bench.results.wording import listed

PATIENCE = 3_600.0  # seconds that counting may take


class PlannedLengths(Frozen):
    """What is known of data before a run.

    ``files``: what each data set is. ``data``: each as stages will cut it. ``of``: of which of ``files`` that is, None
    for data that no section of the comparison gives. ``read``: by which model and how, where that needs words.
    ``unanswered``: evaluation prompts that will get no response. ``unknown``: what is known later, and why.
    """

    files: tuple[DataFindings, ...] = ()
    data: tuple[LengthCounts, ...] = ()
    of: tuple[int | None, ...] = ()
    read: tuple[str, ...] = ()
    unanswered: tuple[Unanswered, ...] = ()
    unknown: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the same as lines of text, a block for each data set."""
        lines = []
        own = list(zip(self.of, self.data, self.read, strict=True))
        for number, found in enumerate(self.files):
            lengths = [length_line(counts, read) for of, counts, read in own if of == number]
            lines += block_of(found, list(dict.fromkeys(lengths)))
        others = [f"{counts.data}: {length_line(counts, read)}" for of, counts, read in own if of is None]
        lines += dict.fromkeys(others)
        lines += [unanswered_in_words(one) for one in self.unanswered]
        return [*lines, *self.unknown]


NOTHING_KNOWN = PlannedLengths()


def planned_lengths(plan: Plan, store: Store) -> PlannedLengths:
    """Return what is known of local data and of the tasks' prompts: lengths, as far as the models are there already.

    The first time, one process is started for it, which reads all of the data; none where no data and model is there.
    Raises BenchError for a model or data with which a run would fail.
    """
    data = list({digest(one): one for one in data_asked(plan)}.values())
    files = list(files_asked(plan))
    prompts = dict(prompts_asked(plan))
    unknown = unknown_yet(plan)
    asked = LengthsAsked(files=tuple(files), data=tuple(data), prompts=tuple(prompts))
    if not files and not data and not prompts:
        return PlannedLengths(unknown=unknown)
    found = kept(asked, store)
    if isinstance(found, str):
        return PlannedLengths(unknown=(*unknown, f"data could not be looked at: {found}"))
    if empty := [one for one in found.data if one.lost() == one.rows]:
        from bench.models.lengths import none_left

        raise BenchError("\n".join(dict.fromkeys(none_left(one) for one in empty)))
    lacking = zip(prompts.items(), found.too_long, strict=True)
    models = {root(reader) for one in data for reader in one.readers}
    places = [(one.rows_of, one.data) for one in files]
    return PlannedLengths(
        files=found.files,
        data=found.data,
        of=tuple(places.index(key) if (key := (one.rows_of, one.data)) in places else None for one in data),
        read=tuple(read_by(one, several=len(models) > 1) for one in data),
        unanswered=tuple(
            Unanswered(task=task, arms=arms, prompts=count, of=len(one.chats))
            for (one, (task, arms)), count in lacking
            if count
        ),
        unknown=unknown,
    )


def files_asked(plan: Plan) -> Iterator[FilesAsked]:
    """Yield the files of data that the comparison gives and a stage reads."""
    used = {
        digest(part) for stage in plan.stages.values() for part in children(stage) if isinstance(part, Data | Mixture)
    }
    for role in ROWS_OF:
        data = getattr(plan.comparison.given, role)
        if isinstance(data, Data | Mixture) and digest(data) in used:
            yield FilesAsked(rows_of=role, data=data)


def data_asked(plan: Plan) -> Iterator[DataAsked]:
    """Yield the data that stages train on, of which file and model are there already.

    Stages of training are known by their fields, because methods are not known here.
    """
    for stage in plan.stages.values():
        data, policy = getattr(stage, "data", None), getattr(stage, "init", None)
        max_length, role = getattr(stage, "max_length", None), role_of(stage, plan)
        specs = stage.wordings() if hasattr(stage, "wordings") else (policy,)
        readers = dict.fromkeys(reader for spec in specs if spec is not None for reader in [*readers_of(spec)][:1])
        if not isinstance(data, Data | Mixture) or not isinstance(max_length, int) or role is None or not readers:
            continue
        practice = getattr(stage, "practice", None)
        yield DataAsked(
            rows_of="prompts" if practice is not None else role,
            data=data,
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
        known = LengthsFound.model_validate_json(path.read_text(encoding="utf-8"))
        if known.answers(asked):
            return known
    with contextlib.suppress(OSError):
        store.prepare()  # tokens are kept there, which a run then need not make
    with ExitStack() as during:
        command = [sys.executable, "-m", "bench.models.count_lengths", str(store.tokens.absolute())]
        shown: tuple[int, ...] = ()
        if sys.stderr.isatty():  # what is counted is read on standard output, so progress goes to the terminal itself
            shown = (os.dup(sys.stderr.fileno()),)
            during.callback(os.close, shown[0])
            during.callback(sys.stderr.write, "\r\033[K")
        try:
            done = subprocess.run(
                [*command, *map(str, shown)],
                input=asked.model_dump_json(),
                capture_output=True,
                text=True,
                check=False,
                env=with_these_packages(),
                timeout=PATIENCE,
                pass_fds=shown,
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
        replace_text(path, done.stdout)
    return found
