"""``evaluate.factuality``: how the claims of responses are found and checked, and on which tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from bench.config.comparison import Factuality
from bench.config.document.problems import KeyPath, shown
from bench.config.document.section import Section, as_written
from bench.config.fields.named_files import digest_of
from bench.config.fields.named_plugins import read_plugin
from bench.core.checker import Extractor, Knowledge, PagesFile, Verifier, WorldPages
from bench.core.errors import BenchError, did_you_mean
from bench.core.files import kind_at
from bench.core.frozen import Open
from bench.core.plugins import EXTRACTOR, RETRIEVER, VERIFIER, WORLD, Kind
from bench.core.task import Task, World

P = TypeVar("P", bound=Open)
FACTUALITY = "factuality"
COUNTS = ("passages", "words")
PATH = "path"
SOURCES = (PATH, WORLD.word)
KNOWLEDGE_KEYS = (*SOURCES, RETRIEVER.word, *COUNTS)
DEFAULT_RETRIEVER = "bm25"
# What a file of pages may be, by how its name ends.
PAGES = (".jsonl", ".json", ".csv", ".parquet", ".gz", ".db", ".sqlite", ".sqlite3")


def read_factuality(section: Section, path: KeyPath, value: Any, tasks: Sequence[Task]) -> Factuality | None:
    """Return how claims are checked, None when something is wrong (reported). ``tasks`` are those of the file."""
    before = section.count
    fields = section.keys(path, value, list(Factuality.model_fields), required=("extractor", "verifier"))
    if fields is None:
        return None
    # An unknown key may be a misspelt `tasks`: what rests on all tasks of the file is then not reported as well.
    chosen = _tasks(section, (*path, "tasks"), fields.get("tasks"), tasks) if section.count == before else []
    extractor = _plugin(section, path, fields, EXTRACTOR)
    verifier = _plugin(section, path, fields, VERIFIER)
    for key, plugin in (("extractor", extractor), ("verifier", verifier)):
        if plugin is not None:
            _check(section, (*path, key), plugin, chosen)
    knowledge = None
    if "knowledge" in fields:
        knowledge = _knowledge(section, (*path, "knowledge"), fields["knowledge"], verifier, chosen)
    elif verifier is not None and verifier.READS == "passages":
        what = f"is missing: the verifier '{verifier.NAME}' reads passages"
        next_step = "add `knowledge: {path: pages.jsonl}` or `knowledge: {world: NAME}`"
        section.unusable((*path, "knowledge"), BenchError(f"{what}\n{next_step}"))
    settings = section.settings(Factuality, path, fields, ("gamma",))
    if section.count > before or extractor is None or verifier is None or not chosen:
        return None
    names = tuple(task.NAME for task in chosen)
    return Factuality(tasks=names, extractor=extractor, verifier=verifier, knowledge=knowledge, **settings)


def _plugin(section: Section, path: KeyPath, fields: Mapping[str, Any], kind: Kind[P]) -> P | None:
    """Return the plug-in under the kind's own word, None where there is none or a wrong one, which is reported."""
    word = kind.word
    return read_plugin(section, (*path, word), fields[word], kind) if word in fields else None


def _check(section: Section, path: KeyPath, plugin: Extractor | Verifier, tasks: Sequence[Task]) -> None:
    """Report every task that a plug-in cannot be asked about."""
    for task in tasks:
        try:
            plugin.check(task)
        except BenchError as error:
            section.unusable(path, error)


def _tasks(section: Section, path: KeyPath, value: Any, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks of those names, all of the file for None."""
    if value is None:
        return list(tasks)
    by_name = {task.NAME: task for task in tasks}
    found: list[Task] = []
    for index, name in enumerate(section.items(path, value, "task")):
        here = (*path, index)
        if not isinstance(name, str):
            section.problem(here, f"must be the name of a task of this file, not {as_written(name)}")
        elif name not in by_name:
            section.problem(here, f"no task '{name}' in this file. {did_you_mean(name, by_name)}")
        elif by_name[name] in found:
            section.problem(here, f"'{name}' stands twice", "remove one of the two")
        else:
            found.append(by_name[name])
    return found


def _knowledge(
    section: Section, path: KeyPath, value: Any, verifier: Verifier | None, tasks: Sequence[Task]
) -> Knowledge | None:
    fields = section.keys(path, value, KNOWLEDGE_KEYS)
    if fields is None:
        return None
    forms = [key for key in SOURCES if key in fields]
    if len(forms) != 1:
        got = " and ".join(forms) or "none"
        section.problem(path, f"needs exactly one of {' and '.join(SOURCES)}, and has {got}")
        return None
    source = _file(section, path, fields) if forms == [PATH] else _world(section, path, fields)
    if source is None or verifier is None:
        return None
    if verifier.READS == "task":
        _agrees(section, path, fields, source, tasks)
        return None
    retriever = _plugin(section, path, {RETRIEVER.word: DEFAULT_RETRIEVER, **fields}, RETRIEVER)
    if retriever is None:
        return None
    counts = {key: fields[key] for key in COUNTS if key in fields}
    return section.build(Knowledge, path, counts, {"source": source, "retriever": retriever})


def _file(section: Section, path: KeyPath, fields: Mapping[str, Any]) -> PagesFile | None:
    here = (*path, PATH)
    if not isinstance(fields[PATH], str):
        section.problem(here, f"must be text, not {as_written(fields[PATH])}")
        return None
    file = section.resolve(here, fields[PATH])
    if kind_at(file) != "file" and not section.files.lacks(file):
        section.problem(here, f"{shown(file)}: no such file", "the path starts from the folder of the file it is in")
    elif file.suffix not in PAGES:
        section.problem(here, f"the format '{file.suffix}' is not known", f"known: {', '.join(PAGES)}")
    else:
        return PagesFile(path=str(file), digest=section.files.digest(file, lambda: digest_of(file)))
    return None


def _world(section: Section, path: KeyPath, fields: Mapping[str, Any]) -> WorldPages | None:
    world = _plugin(section, path, fields, WORLD)
    return None if world is None else WorldPages(world=world)


def _agrees(
    section: Section, path: KeyPath, fields: Mapping[str, Any], source: PagesFile | WorldPages, tasks: Sequence[Task]
) -> None:
    """Report knowledge that a verifier which asks the task would not read: any but the world of the tasks."""
    if isinstance(source, PagesFile):
        section.problem((*path, PATH), "the verifier asks the task and reads no pages", "leave `knowledge` out")
        return
    for key in [key for key in KNOWLEDGE_KEYS if key in fields and key != WORLD.word]:
        section.problem((*path, key), "the verifier asks the task and retrieves nothing", "leave it out")
    for task in tasks:
        if task.WORLD != source.world.NAME or _differs(task, source.world):
            what = f"task {task.NAME} is not about this world"
            section.problem(
                (*path, WORLD.word), what, "name the tasks that are under `tasks:`, or leave `knowledge` out"
            )


def _differs(task: Task, world: World) -> bool:
    """Return whether a field that both have, such as the world's seed, has different values."""
    shared = type(task).model_fields.keys() & type(world).model_fields.keys()
    return any(getattr(task, name) != getattr(world, name) for name in shared)
