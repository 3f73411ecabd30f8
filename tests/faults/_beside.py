"""What the processes do that ``together`` starts beside each other; a module of its own, since they import it."""

from __future__ import annotations

import time
from pathlib import Path

from bench.cli.app import main
from bench.core.files import replacing
from bench.engine.execute import execute
from bench.engine.prune import prunable, prune
from bench.engine.store import Store
from bench.engine.uses import in_use, used
from bench.evaluation.judges._annotators import Annotation, read_annotations, write_annotations
from bench.results.writing import writing
from tests.engine.used_store import number
from tests.sketched import sketched


def command(*arguments: str) -> None:
    """Run a command of the program, without real pictures; a status other than 0 is this process's own."""
    with sketched():
        main(arguments)


def write_results(folder: Path, files: int, rounds: int, letter: str) -> None:
    """Write a set of files that belong together, as a run does."""
    for _ in range(rounds):
        with writing(folder, lambda _line: None):
            for file in range(files):
                with replacing(folder / f"{file}.json") as partial:
                    partial.write_text(letter * 20_000, encoding="utf-8")


def hold_results(folder: Path) -> None:
    """Hold the lock of a results folder with a file half written, until a kill."""
    with writing(folder, lambda _line: None), replacing(folder / "0.json") as partial:
        partial.write_text("half", encoding="utf-8")
        (folder / "ready").touch()
        time.sleep(600)


def annotate(file: Path, annotator: str, questions: int) -> None:
    """Add one answer after the other to a file of answers, each time read and written whole."""
    for question in range(questions):
        with writing(file.parent, lambda _line: None):
            there = read_annotations(file) if file.is_file() else []
            write_annotations([*there, Annotation(f"{question:016x}", annotator, "1")], file)


def prune_without_asking(root: Path) -> None:
    """Prune a store once."""
    store = Store(root)
    prune(store, prunable(store, used(store)), lambda _line: None)


def prune_again_and_again(root: Path, until: Path) -> None:
    """Prune a store until a file is there."""
    while not until.exists():
        prune_without_asking(root)


def use_and_read(root: Path, file: Path, values: list[int], rounds: int) -> None:
    """Do what a run does, with stages that no record names before: each must be there while it is in use."""
    stages = {number(value).key: number(value) for value in values}
    damaged: list[str] = []
    for _ in range(rounds):
        with in_use(Store(root), file, stages, lambda _line: None):
            store = Store(root)
            for stage in stages.values():
                execute(stage, store, "cpu", lambda _progress: None, damaged.append)
            assert not damaged
            for stage in stages.values():
                assert Store(root).payload(stage).is_dir()
