"""What a computation rested on: package versions, processor, kernels, threads, revision of the code."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.engine.kernels import chosen_by_hand, kernels

PACKAGES = ("alignment-bench", "torch", "transformers", "peft", "accelerate", "tokenizers", "numpy", "pyarrow",
            "bitsandbytes")  # fmt: skip


def provenance() -> dict[str, Any]:
    """Return what this process knows of its surroundings: versions, hardware, threads, and the code's revision.

    Threads and kernels are those of the libraries that are loaded by now.
    """
    return {**_lasting(), "threads": threads(), "kernels": {**kernels(), **chosen_by_hand()}}


@cache
def _lasting() -> dict[str, Any]:
    """Return what does not change while a process lives."""
    return {
        "python": platform.python_version(),
        "packages": versions(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "revision": revision(),
    }


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the installed version of each package, by default of all that can change a result, that is installed."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def threads() -> str | None:
    """Return with how many threads this process computes: as it was told, else what torch has taken, else None."""
    told = os.environ.get("OMP_NUM_THREADS")
    if told is None and "torch" in sys.modules:
        return str(sys.modules["torch"].get_num_threads())
    return told


def processor() -> str:
    """Return the processor's name, as far as the operating system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def revision() -> str | None:
    """Return the git revision of the program's own checkout, with ``+changes`` when it is not clean, else None."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = git(root, "rev-parse", "HEAD")
        changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", "bench", "methods", "tasks")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head


def git(root: Path, *arguments: str) -> str:
    """Return what git prints; raises SubprocessError when it fails."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
