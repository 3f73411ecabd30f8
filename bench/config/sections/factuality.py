"""``evaluate.factuality``: how the claims of responses are found and checked, and on which tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.config.comparison import Factuality
from bench.config.document.problems import KeyPath, shown
from bench.config.document.section import Sheet, said
from bench.config.fields.files import digest_of, kind_of
from bench.config.fields.plugins import read_plugin
from bench.core import plugins as discover
from bench.core.checker import Extractor, Knowledge, PagesFile, Retriever, Verifier, WorldPages
from bench.core.errors import BenchError, did_you_mean
from bench.core.task import Task, World

FACTUALITY = "factuality"
TASKS, EXTRACTOR, KNOWLEDGE, VERIFIER, GAMMA = KEYS = ("tasks", "extractor", "knowledge", "verifier", "gamma")
PATH, WORLD, RETRIEVER = SOURCE_KEYS = ("path", "world", "retriever")
KNOWLEDGE_KEYS = (*SOURCE_KEYS, "passages", "words")
DEFAULT_RETRIEVER = "bm25"
# What a file of pages may be, by how its name ends.
PAGES = (".jsonl", ".json", ".csv", ".parquet", ".gz", ".db", ".sqlite", ".sqlite3")


def read_factuality(sheet: Sheet, path: KeyPath, value: Any, tasks: Sequence[Task]) -> Factuality | None:
    """Return how claims are checked, None when something is wrong, which is told. ``tasks`` are those of the file."""
    before = sheet.count
    section = sheet.keys(path, value, KEYS, required=(EXTRACTOR, VERIFIER))
    if section is None:
        return None
    # An unknown key may be a misspelt `tasks`: what rests on all tasks of the file is then not told as well.
    chosen = _tasks(sheet, (*path, TASKS), section.get(TASKS), tasks) if sheet.count == before else []
    extractor = verifier = None
    if EXTRACTOR in section:
        extractor = read_plugin(sheet, (*path, EXTRACTOR), section[EXTRACTOR], EXTRACTOR, discover.extractor)
    if VERIFIER in section:
        verifier = read_plugin(sheet, (*path, VERIFIER), section[VERIFIER], VERIFIER, discover.verifier)
    for key, plugin in ((EXTRACTOR, extractor), (VERIFIER, verifier)):
        if plugin is not None:
            _check(sheet, (*path, key), plugin, chosen)
    knowledge = None
    if KNOWLEDGE in section:
        knowledge = _knowledge(sheet, (*path, KNOWLEDGE), section[KNOWLEDGE], verifier, chosen)
    elif verifier is not None and verifier.READS == "passages":
        what = f"is missing: the verifier '{verifier.NAME}' reads passages"
        sheet.problem((*path, KNOWLEDGE), what, "add `knowledge: {path: pages.jsonl}` or `knowledge: {world: NAME}`")
    right = GAMMA not in section or sheet.field(Factuality, GAMMA, (*path, GAMMA), section[GAMMA])
    if sheet.count > before or extractor is None or verifier is None or not right or not chosen:
        return None
    names = tuple(task.NAME for task in chosen)
    settings = {GAMMA: section[GAMMA]} if GAMMA in section else {}
    return Factuality(tasks=names, extractor=extractor, verifier=verifier, knowledge=knowledge, **settings)


def _check(sheet: Sheet, path: KeyPath, plugin: Extractor | Verifier, tasks: Sequence[Task]) -> None:
    """Tell every task that a plug-in cannot be asked about."""
    for task in tasks:
        try:
            plugin.check(task)
        except BenchError as error:
            sheet.refused(path, error)


def _tasks(sheet: Sheet, path: KeyPath, value: Any, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks of those names, all of the file for None."""
    if value is None:
        return list(tasks)
    by_name = {task.NAME: task for task in tasks}
    found: list[Task] = []
    for index, name in enumerate(sheet.items(path, value, "task")):
        here = (*path, index)
        if not isinstance(name, str):
            sheet.problem(here, f"must be the name of a task of this file, not {said(name)}")
        elif name not in by_name:
            sheet.problem(here, f"no task '{name}' in this file. {did_you_mean(name, by_name)}")
        elif by_name[name] in found:
            sheet.problem(here, f"'{name}' stands twice", "remove one of the two")
        else:
            found.append(by_name[name])
    return found


def _knowledge(
    sheet: Sheet, path: KeyPath, value: Any, verifier: Verifier | None, tasks: Sequence[Task]
) -> Knowledge | None:
    section = sheet.keys(path, value, KNOWLEDGE_KEYS)
    if section is None:
        return None
    forms = [key for key in (PATH, WORLD) if key in section]
    if len(forms) != 1:
        got = " and ".join(forms) or "none"
        sheet.problem(path, f"needs exactly one of {PATH} and {WORLD}, and has {got}")
        return None
    source = _file(sheet, path, section) if forms == [PATH] else _world(sheet, path, section)
    if source is None or verifier is None:
        return None
    if verifier.READS == "task":
        _agrees(sheet, path, section, source, tasks)
        return None
    retriever = _retriever(sheet, path, section.get(RETRIEVER, DEFAULT_RETRIEVER))
    if retriever is None:
        return None
    counts: dict[str, Any] = {key: section[key] for key in ("passages", "words") if key in section}
    return sheet.build(Knowledge, path, counts, {"source": source, RETRIEVER: retriever})


def _file(sheet: Sheet, path: KeyPath, section: Mapping[str, Any]) -> PagesFile | None:
    here = (*path, PATH)
    if not isinstance(section[PATH], str):
        sheet.problem(here, f"must be text, not {said(section[PATH])}")
        return None
    file = sheet.resolve(here, section[PATH])
    if kind_of(file) != "file":
        sheet.problem(here, f"{shown(file)}: no such file", "the path starts from the folder of the file it is in")
    elif file.suffix not in PAGES:
        sheet.problem(here, f"the format '{file.suffix}' is not known", f"known: {', '.join(PAGES)}")
    else:
        return PagesFile(path=str(file), digest=digest_of(file))
    return None


def _world(sheet: Sheet, path: KeyPath, section: Mapping[str, Any]) -> WorldPages | None:
    world = read_plugin(sheet, (*path, WORLD), section[WORLD], WORLD, discover.world)
    return None if world is None else WorldPages(world=world)


def _retriever(sheet: Sheet, path: KeyPath, value: Any) -> Retriever | None:
    return read_plugin(sheet, (*path, RETRIEVER), value, RETRIEVER, discover.retriever)


def _agrees(
    sheet: Sheet, path: KeyPath, section: Mapping[str, Any], source: PagesFile | WorldPages, tasks: Sequence[Task]
) -> None:
    """Tell knowledge that a verifier which asks the task would not read: any but the world that the tasks are about."""
    if isinstance(source, PagesFile):
        sheet.problem((*path, PATH), "the verifier asks the task and reads no pages", "leave `knowledge` out")
        return
    for key in [key for key in KNOWLEDGE_KEYS if key in section and key != WORLD]:
        sheet.problem((*path, key), "the verifier asks the task and retrieves nothing", "leave it out")
    for task in tasks:
        if task.WORLD != source.world.NAME or _differs(task, source.world):
            what = f"task {task.NAME} is not about this world"
            sheet.problem((*path, WORLD), what, "name the tasks that are under `tasks:`, or leave `knowledge` out")


def _differs(task: Task, world: World) -> bool:
    """Tell whether a field that both have, such as the world's seed, has different values."""
    shared = type(task).model_fields.keys() & type(world).model_fields.keys()
    return any(getattr(task, name) != getattr(world, name) for name in shared)
