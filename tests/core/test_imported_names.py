"""What a file of the tests takes from the project is there, also in commands and benchmarks that no test runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("bench", "methods", "tasks", "tests")


def taken(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of everything that is imported from the project, also within functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0 and node.module.split(".")[0] in ROOMS:
            yield from ((node.module, alias.name) for alias in node.names)


@cache
def names_of(path: Path) -> frozenset[str]:
    """Return every name that a module binds outside of functions and classes, and ``*`` where it makes some up."""
    found: set[str] = set()
    pending: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add("*" if node.name == "__getattr__" else node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        else:
            found |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            pending += [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt)]
    return frozenset(found)


def missing(source: str) -> Iterator[str]:
    """Yield a line for each name that a source takes from the project and that is not there."""
    for module, name in taken(ast.parse(source)):
        place = ROOT.joinpath(*module.split("."))
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        submodule = (place / f"{name}.py").is_file() or (place / name).is_dir()
        if not submodule and not (file.is_file() and {name, "*"} & names_of(file)):
            yield f"{module} has no {name}"


def test_every_name_that_the_tests_import_is_there() -> None:
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert len(files) > 300
    found = {str(path): list(missing(path.read_text(encoding="utf-8"))) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_name_that_is_not_there_is_found() -> None:
    source = "def run():\n    from bench.models.decoding.sampling import choose, open_sessions\n"
    assert list(missing(source)) == ["bench.models.decoding.sampling has no open_sessions"]
