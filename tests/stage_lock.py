"""The lock over everything that stages compute with.

A stage's results are in the store under a key that holds its VERSION, not its code. So whoever changes what a stage
computes must raise its VERSION. This lock notices a changed definition (a function, class or constant; comments and
docstrings do not count) in any module that a stage rests on, and names the stages whose VERSION has not been raised. A
reviewed change is recorded, with its reason, by ``make lock REASON="..."``.

A definition is known by its text and by what the names it imports stand for, not by where it lies: one that moves to
another module, or a module that is parted in two, is told as moved and is no change.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import methods

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "tests" / "stage_lock.json"
PACKAGES = ("bench", "methods", "tasks")
REVIEWS = 40


@dataclass(frozen=True)
class Stage:
    """A stage as the lock sees it: the definitions that it rests on, itself among them, as (module, name)."""

    version: int
    definitions: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Definition:
    """The digest of a definition's text, and those of what it imports, by the name it calls it.

    ``needs``: the definitions that it names, as (module, name), and whole modules, as (module, "").
    """

    own: str
    uses: dict[str, str]
    needs: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        """How it is recorded: by its own text, and by that together with what its imports stand for."""
        return f"{self.own} {digest(self.own, *(f'{name} {text}' for name, text in sorted(self.uses.items())))}"


@dataclass(frozen=True)
class Survey:
    """Every definition that stages rest on, by module and name, and the stages."""

    definitions: dict[str, dict[str, Definition]]
    stages: dict[str, Stage]


class WithoutImports(ast.NodeTransformer):
    """Drops what says where things lie (imports, docstrings) and keeps what they do."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                setattr(node, field, [part for part in block if not is_import(part)])
        return node


def is_import(node: ast.stmt) -> bool:
    """Tell an import, or a block of nothing else (what stands under TYPE_CHECKING)."""
    if isinstance(node, ast.If):
        return all(is_import(part) or isinstance(part, ast.Pass) for part in node.body) and not node.orelse
    return isinstance(node, ast.Import | ast.ImportFrom)


def is_text(node: ast.stmt) -> bool:
    """Tell documentation: a statement that is nothing but a string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST) -> Iterator[tuple[str, str, str | None]]:
    """Yield every import as the local name, the module, and the name in it (None: the module itself).

    A public name of ``methods`` is followed to the module that it lies in.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                lies_in = methods._MODULES.get(alias.name) if node.module == "methods" else None
                yield alias.asname or alias.name, lies_in or node.module, alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, alias.name, None


def digest(*texts: str) -> str:
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:10]


def named(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the statements of a module without its imports and docstring, each under the name that it defines."""
    for index, node in enumerate(tree.body):
        if not is_import(node) and not is_text(node):
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            yield getattr(node, "name", " ".join(names) or f"statement {index}"), node


def dumped(node: ast.AST) -> str:
    """Return a tree as text, the same in every version of Python: 3.13 leaves empty lists out, 3.12 has new ones."""
    whole: dict[str, Any] = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(node, **whole).replace(", type_params=[]", "")


def definitions_in(trees: dict[str, ast.Module]) -> dict[str, dict[str, Definition]]:
    """Return every definition of every module; the trees are changed."""
    imported = {
        module: {local: (where, name) for local, where, name in imports_of(tree)} for module, tree in trees.items()
    }
    own = {
        module: {name: digest(dumped(WithoutImports().visit(node))) for name, node in named(tree)}
        for module, tree in trees.items()
    }

    def stands_for(where: str, name: str | None) -> str:
        whole = where if name is None else f"{where}.{name}"
        return digest(*own[whole].values()) if whole in own else own.get(where, {}).get(name or "", "")

    def needed(where: str, name: str | None) -> tuple[str, str]:
        whole = where if name is None else f"{where}.{name}"
        return (whole, "") if whole in own else (where, name or "")

    found: dict[str, dict[str, Definition]] = {}
    for module, tree in trees.items():
        found[module] = {}
        for name, node in named(tree):
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            used = names & imported[module].keys()
            uses = {local: stands_for(*imported[module][local]) for local in used}
            beside = {(module, other) for other in own[module] if names & set(other.split())}
            needs = beside | {needed(*imported[module][local]) for local in used}
            found[module][name] = Definition(own[module][name], uses, frozenset(needs))
    return found


def class_constant(node: ast.ClassDef, name: str) -> object:
    for statement in node.body:
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
        value = getattr(statement, "value", None)
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return value.value if isinstance(value, ast.Constant) else None
    return None


def survey(root: Path | None = None) -> Survey:
    """Return every definition that a stage rests on, and every stage (and plug-in with a NAME) by kind and class.

    A measurement has a NAME too, but is no part of what a stage computes.
    """
    root = ROOT if root is None else root
    files = [path for name in PACKAGES for path in (root / name).rglob("*.py")]
    trees = {module_name(path, root): ast.parse(path.read_text()) for path in files}
    kinds = {
        (module, node.name): kind
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and "Measurement" not in [base.id for base in node.bases if isinstance(base, ast.Name)]
        and isinstance(kind := class_constant(node, "KIND") or class_constant(node, "NAME"), str)
    }
    definitions = definitions_in(trees)
    stages: dict[str, Stage] = {}
    for (module, cls), kind in kinds.items():
        version = getattr(importlib.import_module(module), cls).VERSION
        assert f"{kind} {cls}" not in stages, f"two classes are {kind} {cls}"
        stages[f"{kind} {cls}"] = Stage(version, frozenset(reach((module, cls), definitions)))
    used = {place for stage in stages.values() for place in stage.definitions}
    kept = {
        module: {name: one for name, one in names.items() if (module, name) in used}
        for module, names in definitions.items()
    }
    return Survey({module: names for module, names in kept.items() if names}, stages)


def reach(start: tuple[str, str], definitions: dict[str, dict[str, Definition]]) -> set[tuple[str, str]]:
    """Return what a definition names, and so on; a module that does something when imported brings that along."""
    found: set[tuple[str, str]] = set()
    pending = [start]
    while pending:
        module, name = pending.pop()
        if (module, name) in found or module not in definitions:
            continue
        if name not in definitions[module]:
            pending += [(module, other) for other in definitions[module]] if name == "" else []
            continue
        found.add((module, name))
        pending += definitions[module][name].needs
        pending += [(module, other) for other in definitions[module] if other.startswith("statement ")]
    return found


def locked(path: Path = LOCK) -> dict[str, dict[str, str]]:
    """Return the recorded definitions: by module and name, two digests."""
    return dict(json.loads(path.read_text())["definitions"]) if path.is_file() else {}


def changes(now: Survey, before: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """Return the names of the definitions of each module that the record does not know, wherever they lay.

    A definition that only imports something changed is not named: what it imports is. One whose own text is known and
    whose imports stand for other known texts has been pointed elsewhere, and is.
    """
    recorded = [digests.split() for names in before.values() for digests in names.values()]
    own, bound = {first for first, _ in recorded}, {second for _, second in recorded}
    new = {one.own for names in now.definitions.values() for one in names.values()} - own
    found: dict[str, list[str]] = {}
    for module, names in now.definitions.items():
        for name, one in names.items():
            pointed_elsewhere = str(one).split()[1] not in bound and not new & set(one.uses.values())
            if one.own in new or pointed_elsewhere:
                found.setdefault(module, []).append(name)
    return found


def moved(now: Survey, before: dict[str, dict[str, str]]) -> list[str]:
    """Return one line for each module that the record does not have and whose definitions it knows."""
    places = {digests.split()[0]: module for module, names in before.items() for digests in names.values()}
    lines = []
    for module, names in sorted(now.definitions.items()):
        from_ = sorted({places.get(one.own, "") for one in names.values()})
        if module not in before and "" not in from_:
            lines.append(f"{module} moved from {', '.join(from_)}")
    return lines


def differences(now: Survey, lock: Path = LOCK) -> list[str]:
    """Return what has changed since the lock was recorded, one line each; what has only moved is no change."""
    before = locked(lock)
    versions = json.loads(lock.read_text())["versions"] if lock.is_file() else {}
    changed = changes(now, before)
    lines = []
    for name, stage in sorted(now.stages.items()):
        rests_on = {(module, one) for module, names in changed.items() for one in names} & stage.definitions
        touched = sorted(f"{module}.{one}" for module, one in rests_on)
        if stage.version != versions.get(name):
            lines.append(f"{name} has VERSION {stage.version}, recorded was {versions.get(name)}")
        elif touched:
            lines.append(f"{name} (VERSION {stage.version}) rests on changed {', '.join(touched)}")
    lines += [f"{name} is no longer there" for name in sorted(versions.keys() - now.stages.keys())]
    return lines


def record(reason: str) -> None:
    """Record the present state as reviewed."""
    now, before = survey(), locked()
    reviews = json.loads(LOCK.read_text())["reviews"] if LOCK.is_file() else []
    changed = [f"{module}: {', '.join(names)}" for module, names in sorted(changes(now, before).items())]
    review = {"reason": reason, "changed": changed[:40], "moved": moved(now, before)[:40]}
    body = {
        "definitions": {
            module: {name: str(one) for name, one in names.items()} for module, names in sorted(now.definitions.items())
        },
        "versions": {name: stage.version for name, stage in sorted(now.stages.items())},
        "reviews": [*reviews, review][-REVIEWS:],
    }
    LOCK.write_text(json.dumps(body, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reason", required=True, help="what was reviewed, and whether results are preserved")
    reason = parser.parse_args().reason.strip()
    if len(reason) < 10:
        sys.exit("a reason of at least ten letters: what changed, and whether results are preserved")
    record(reason)


if __name__ == "__main__":
    main()
