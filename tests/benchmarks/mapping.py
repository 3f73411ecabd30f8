"""Seconds and peak memory of 10,000, 50,000 and 100,000 pairs of 1 KB through a plan and the reading part of training.

    python -m tests.benchmarks.mapping [rows ...]

prints a line for each number of rows: seconds of a processor and the highest resident memory (MiB), of the process that
looks at data for a plan (texts to tokens, once) and of one that then opens them for a training step, each with what it
has in memory before. Linux only. Needs the tokenizer of a model: the one of ``ALIGNMENT_BENCH_DATA``, else a made one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.memory import ROOT, resident

ROWS = (10_000, 50_000, 100_000)
CHARACTERS = 1_000
MAX_LENGTH = 256
WORDS = "once upon a time there was a little red car that liked to play and sing"


def write_pairs(file: Path, rows: int) -> None:
    """Write pairs of ``CHARACTERS`` characters, no two of them alike."""
    half = f"{WORDS} " * 20
    with file.open("w", encoding="utf-8") as out:
        for number in range(rows):
            start = number % 97
            texts = (half[start : start + 400], half[start + 7 : start + 307], half[start + 19 : start + 319])
            prompt, chosen, rejected = (f"{number} {text}" for text in texts)
            out.write(json.dumps({"prompt": prompt, "chosen": chosen, "rejected": rejected}) + "\n")


def model(folder: Path) -> Path:
    """Return the folder of a small model with a tokenizer of its own."""
    given = Path(os.environ.get("ALIGNMENT_BENCH_DATA", "")) / "models" / "stories260K"
    if given.is_dir():
        return given
    from tests.methods.tiny import pretrained

    pretrained(folder)
    return folder


def look(what: str, data: Path, base: Path, tokens: Path) -> dict[str, float]:
    """Return the seconds and the memory of one part, measured in this process."""
    from bench.core.data import Data
    from bench.core.frozen import digest_of_file
    from bench.core.policy import Pretrained
    from bench.models.count_lengths import planning, reader_of
    from bench.models.lengths import fit_rows
    from bench.models.tokenised.token_rows import preference_rows

    before, started = resident("VmRSS"), time.process_time()
    reader = reader_of(Pretrained(path=str(base)))
    rows = preference_rows(Data(path=str(data), digest=digest_of_file(data)), reader, planning(tokens.parent, tokens))
    made = time.process_time() - started
    if what == "train":
        fitted, _ = fit_rows("preferences", rows, MAX_LENGTH)
        for number in range(0, len(fitted), max(1, len(fitted) // 64)):
            _ = fitted[number]
    return {
        "read": made,
        "all": time.process_time() - started,
        "peak": resident("VmHWM") / 2**20,
        "before": before / 2**20,
    }


def measured(rows: int) -> str:
    """Return the line of the table for so many rows; each part has a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, tokens = folder / "pairs.jsonl", folder / "tokens"
        write_pairs(data, rows)
        base = model(folder / "model")
        found = []
        for what in ("plan", "train"):
            command = [sys.executable, "-m", "tests.benchmarks.mapping", what, str(data), str(base), str(tokens)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
        kept = sum(file.stat().st_size for file in tokens.rglob("*.bin")) / 2**20
        plan, train = found
        return (
            f"| {rows:,} | {data.stat().st_size / 2**20:.0f} MiB | {plan['all']:.1f} s, {plan['peak']:.0f} MiB "
            f"({plan['before']:.0f} before) | {train['read']:.2f} s and {train['all'] - train['read']:.1f} s to fit, "
            f"{train['peak']:.0f} MiB ({train['before']:.0f} before) | {kept:.0f} MiB |"
        )


def main(arguments: list[str]) -> None:
    """Print the table, or measure one part."""
    if arguments and arguments[0] in ("plan", "train"):
        print(json.dumps(look(arguments[0], *map(Path, arguments[1:]))))  # noqa: T201 - read by the other process
        return
    sys.stdout.write("| pairs | data | plan: texts to tokens | training: opened | tokens |\n|--:|--:|--:|--:|--:|\n")
    for rows in [int(text) for text in arguments] or ROWS:
        sys.stdout.write(measured(rows) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
