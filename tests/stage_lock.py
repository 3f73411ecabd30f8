"""The lock over everything that stages compute with.

A stage's results are in the store under a key that holds its VERSION, not its code. So whoever changes what a stage
computes must raise its VERSION. This lock notices a change of a syntax tree (comments and docstrings do not count)
in any module that a stage rests on, and names the stages whose VERSION has not been raised. A reviewed change is
recorded, with its reason, by ``make lock REASON="..."``.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "tests" / "stage_lock.json"
PACKAGES = ("bench", "methods", "tasks")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def imports_of(tree: ast.Module, known: set[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known


def class_constant(node: ast.ClassDef, name: str) -> object:
    for statement in node.body:
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
        value = getattr(statement, "value", None)
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return value.value if isinstance(value, ast.Constant) else None
    return None


def survey() -> tuple[dict[str, str], dict[str, dict[str, object]]]:
    """Return the digest of every module that a stage rests on, and every stage's version and modules."""
    trees = {
        module_name(path): ast.parse(path.read_text()) for name in PACKAGES for path in (ROOT / name).rglob("*.py")
    }
    imports = {name: imports_of(tree, set(trees)) for name, tree in trees.items()}
    stages: dict[str, dict[str, object]] = {}
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            if isinstance(kind := class_constant(node, "KIND") or class_constant(node, "NAME"), str):
                version = getattr(importlib.import_module(name), node.name).VERSION
                stages[f"{name}:{node.name}"] = {"kind": kind, "version": version, "modules": reach(name, imports)}
    used = sorted({module for stage in stages.values() for module in stage["modules"]})  # type: ignore[attr-defined]
    digests = {
        name: hashlib.sha256(ast.dump(without_docstrings(trees[name])).encode()).hexdigest()[:16] for name in used
    }
    return digests, stages


def reach(start: str, imports: dict[str, set[str]]) -> list[str]:
    found, pending = set(), [start]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += imports[name]
    return sorted(found)


def differences() -> list[str]:
    """Return what has changed since the lock was recorded, one line each."""
    digests, stages = survey()
    locked = json.loads(LOCK.read_text()) if LOCK.is_file() else {"modules": {}, "versions": {}}
    changed = {
        name for name in digests.keys() | locked["modules"].keys() if digests.get(name) != locked["modules"].get(name)
    }
    lines = []
    for name, stage in sorted(stages.items()):
        touched = changed & set(stage["modules"])  # type: ignore[call-overload]
        raised = stage["version"] != locked["versions"].get(name)
        if touched and not raised:
            lines.append(f"{name} (VERSION {stage['version']}) rests on changed {', '.join(sorted(touched))}")
        elif raised:
            lines.append(f"{name} has VERSION {stage['version']}, recorded was {locked['versions'].get(name)}")
    lines += [f"{name} is no longer there" for name in sorted(locked["versions"].keys() - stages.keys())]
    return lines or [f"{name} changed" for name in sorted(changed)]


def record(reason: str) -> None:
    """Record the present state as reviewed."""
    digests, stages = survey()
    before = json.loads(LOCK.read_text()) if LOCK.is_file() else {"reviews": []}
    reviews = [*before["reviews"], {"reason": reason, "changed": differences()[:40]}]
    body = {
        "modules": digests,
        "versions": {name: stage["version"] for name, stage in sorted(stages.items())},
        "reviews": reviews[-40:],
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
