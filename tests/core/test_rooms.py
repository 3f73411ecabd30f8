"""The shape of the house: no import circle, no room too full, methods and tasks apart, no loose file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from grimp import ImportGraph

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "methods", "tasks")
ROOMS = {
    "notebook", "cli", "pipeline", "human", "export", "scoring", "report", "gate", "statistics", "evaluation", "models",
    "engine", "config", "results", "core",
}  # fmt: skip
MODULES_IN_A_FOLDER = 20
# Folders in which every file is an entry of its own: the folder is the list.
REGISTRIES = {
    "methods",
    "tasks",
    "bench/evaluation/judges",
    "bench/evaluation/measurements",
    "bench/report/sections",
    "bench/report/figures",
}


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    """Every import of the three packages, those within functions and for type checking too."""
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)


def circles(graph: ImportGraph) -> Iterator[list[str]]:
    """The strongly connected components of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph.find_modules_directly_imported_by(module)):
            if other not in index:
                yield from visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            place = stack.index(module)
            found, stack[place:] = sorted(stack[place:]), []
            if len(found) > 1:
                yield found

    for module in sorted(graph.modules):
        if module not in index:
            yield from visit(module)


def test_there_is_no_import_circle(graph: ImportGraph) -> None:
    found = list(circles(graph))
    assert not found, "\n".join(" <-> ".join(circle) for circle in found)


def test_a_circle_would_be_found() -> None:
    graph = ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")):
        graph.add_module(importer)
        graph.add_module(imported)
        graph.add_import(importer=importer, imported=imported)
    assert list(circles(graph)) == [["b", "c"]]


def test_the_rooms_of_bench() -> None:
    assert {path.name for path in (ROOT / "bench").iterdir() if path.is_dir() and path.name != "__pycache__"} == ROOMS
    assert [path.name for path in (ROOT / "bench").glob("*.py")] == ["__init__.py"]


def test_no_folder_is_too_full() -> None:
    counts = {}
    for package in PACKAGES:
        for folder in (ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())):
            modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
            counts[folder.relative_to(ROOT).as_posix()] = len(modules)
    assert counts.keys() >= REGISTRIES, "a registry has moved"
    assert {
        name: count for name, count in counts.items() if count > MODULES_IN_A_FOLDER and name not in REGISTRIES
    } == {}


def test_methods_are_imported_by_nobody(graph: ImportGraph) -> None:
    """A method imports no other method, a task none; what they share begins with an underscore."""
    methods = {name for name in graph.find_children("methods") if not name.startswith("methods._")}
    assert len(methods) >= 20
    for method in methods:
        importers = graph.find_modules_that_directly_import(method)
        assert not importers, f"{method} is imported by {sorted(importers)}"


def test_every_package_says_what_it_holds() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            assert path.read_text(encoding="utf-8").startswith('"""'), f"{path} has no documentation"


def test_one_name_is_one_thing() -> None:
    """No two modules define a class of one name; private ones are left out."""
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert len(found) > 300
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
