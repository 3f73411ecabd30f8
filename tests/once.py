"""The comparison of ``tests.whole``, run once for all tests and all their processes.

Stages are keyed by what they compute, so a comparison that shares stages with this one finds them in a copy of its
store, wherever it lies. A test that is about training computes its own: it does not ask for ``computed``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.whole import write_whole

ROOT = Path(__file__).resolve().parents[1]
STORE = Path("results") / ".store"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder that ``make`` has filled, in whichever of pytest's processes asks for it first."""
    shared = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # left by a process in which it failed
            make(folder)
            done.touch()
    return folder


def run_whole(root: Path) -> None:
    """Write the comparison below ``root`` and run it, in processes of its own; what it printed is ``printed.txt``."""
    folder = write_whole(root)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "140", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "bench.cli", "run", str(folder), "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=ROOT, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (root / "printed.txt").write_text(done.stdout, encoding="utf-8")


def take_stages(computed: Path, root: Path) -> None:
    """Copy the finished stages of a comparison's root to another root; what is there already stays."""
    for kind in (computed / STORE).iterdir():
        if not kind.name.startswith("."):
            shutil.copytree(kind, root / STORE / kind.name, dirs_exist_ok=True)
