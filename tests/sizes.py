"""Sizes that keep files readable: at most 400 lines a file, 60 lines a function. Run as ``python -m tests.sizes``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES = 400
FUNCTION_LINES = 60


def too_large() -> Iterator[str]:
    """Yield one line for each file or function of the product that is too long."""
    for package in ("bench", "methods", "tasks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(ROOT)
            lines = text.count("\n")
            if lines > FILE_LINES:
                yield f"{name}: {lines} lines, at most {FILE_LINES}"
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    if length > FUNCTION_LINES:
                        yield f"{name}:{node.lineno} {node.name}: {length} lines, at most {FUNCTION_LINES}"


if __name__ == "__main__":
    sys.exit("\n".join(too_large()) or 0)
