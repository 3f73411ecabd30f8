"""Results that were damaged after the run: every file, every damage, every command that reads the file.

The results are committed ones, in a folder by themselves; their lock is given the digests that a run writes today.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.results.annotations import ANNOTATIONS
from bench.results.baseline import BASELINE_FILE
from bench.results.claims import CLAIMS
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.labels import LABELS
from bench.results.lock import LOCK, digests_in
from bench.results.records import AUDIT, RECORDS
from bench.results.responses import RESPONSES, VERDICTS
from bench.results.summary import SUMMARY
from tests.cli.test_cli import ROOT, Done, bench_sketched
from tests.faults.case import Case

TITLE = "damaged results, by every command that reads them"
IN_SUITE = 6
SOURCE = ROOT / "results" / "labellers"
GATE = "\ngate:\n  - {metric: win_rate, method: base, versus: sft, not_worse_by: 0.9}\n"
AGAINST_BASELINE = GATE + "  - {metric: win_rate, method: base, versus: baseline, not_worse_by: 0.9}\n"

REPORT, SHOW, CHECK, VERIFY, EXPORT, PLAN = (
    (name, "{folder}") for name in ("report", "show", "check", "verify", "export", "plan")
)
TRACK = ("track", "{folder}", "--to", "tensorboard")
BASELINE = ("baseline", "{folder}", "--reason", "tried")
EVERY = (REPORT, SHOW, CHECK, BASELINE, VERIFY, EXPORT, TRACK)
READERS = {
    SUMMARY.name: EVERY,
    LOCK.name: EVERY,
    CONCLUSIONS.name: (CHECK, EXPORT, TRACK, VERIFY, PLAN),
    RECORDS.name: (REPORT, SHOW, BASELINE, TRACK, VERIFY),
    RESPONSES.name: (SHOW,),
    VERDICTS.name: (SHOW,),
    AUDIT.name: (REPORT,),
    LABELS.name: (REPORT,),
    CLAIMS.name: (SHOW,),
    ANNOTATIONS.name: (REPORT,),
    BASELINE_FILE.name: (CHECK, BASELINE),
}
TABLES = {
    table.name: table for table in (RECORDS, RESPONSES, VERDICTS, AUDIT, LABELS, CLAIMS, ANNOTATIONS)
}  # fmt: skip


def empty(file: Path) -> None:
    file.write_bytes(b"")


def half(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def zeroed(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def a_bit(file: Path) -> None:
    """Turn one bit, of a digit where there is text: what is read is then another number."""
    content = bytearray(file.read_bytes())
    place = len(content) // 2
    while file.suffix == ".json" and not chr(content[place]).isdigit():
        place += 1
    content[place] ^= 1
    file.write_bytes(content)


def other_json(text: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")


def wrong_types(file: Path) -> None:
    fields = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({name: 7 for name in fields}), encoding="utf-8")


def newer(file: Path) -> None:
    fields = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**fields, "of_a_later_version": 1}), encoding="utf-8")


def not_text(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"', b'"\xff', 3))


def half_a_character(file: Path) -> None:
    file.write_text(file.read_text(encoding="utf-8").replace(': "', ': "\\ud800', 1), encoding="utf-8")


def a_huge_number(file: Path) -> None:
    fields = json.loads(file.read_text(encoding="utf-8"))
    text = json.dumps({**fields, next(iter(fields)): 0})
    file.write_text(text.replace(": 0", f": {'9' * 5000}", 1), encoding="utf-8")


def no_number(file: Path) -> None:
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        names = [field.name for field in table.schema if pa.types.is_floating(field.type)]
        if not names:  # it has no number that could be none
            return other_columns(file)
        place = table.schema.get_field_index(names[0])
        if not table.num_rows:
            return other_columns(file)
        values = pa.array([float("nan")] * table.num_rows, pa.float64())
        pq.write_table(table.set_column(place, table.schema.field(place), values), file)
        return None
    text = file.read_text(encoding="utf-8")
    first = next(place for place, letter in enumerate(text) if letter == ":")
    return other_json(f"{text[:first]}: NaN, {text[text.index(',', first) + 1 :]}", file)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path) -> None:
    """Whoever opened it would wait for a writer."""
    file.unlink()
    os.mkfifo(file)


def other_columns(file: Path) -> None:
    pq.write_table(pa.table({"something": [1, 2]}), file)


def other_types(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(pa.table({name: [{"a": 1}] for name in table.schema.names}), file)


def later_columns(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.append_column("of_a_later_version", pa.nulls(table.num_rows, pa.string())), file)


def not_text_in_a_table(file: Path) -> None:
    table = pq.read_table(file)
    place = next(place for place, field in enumerate(table.schema) if field.type == pa.string())
    rows = pa.array([b"\xff\xfe"] * max(1, table.num_rows)).view(pa.string())
    fields = [rows if at == place else pa.nulls(len(rows), field.type) for at, field in enumerate(table.schema)]
    pq.write_table(pa.table(fields, names=table.schema.names), file)


# A plan takes spreads from the conclusions, whichever they are: another number in them is another forecast.
NO_MATTER = ("one bit",)
Damage = Callable[[Path], object]
ANY: dict[str, Damage] = {
    "empty": empty,
    "half": half,
    "zeroed": zeroed,
    "one bit": a_bit,
    "no number": no_number,
    "a folder": a_folder,
    "a pipe": a_pipe,
}  # fmt: skip
JSON: dict[str, Damage] = {
    "a list": partial(other_json, "[]"),
    "deep": partial(other_json, "[" * 100_000 + "]" * 100_000),
    "rather deep": partial(other_json, '{"a":' * 900 + "1" + "}" * 900),
    "wrong types": wrong_types,
    "newer": newer,
    "not UTF-8": not_text,
    "half a character": half_a_character,
    "a huge number": a_huge_number,
}
TABLE: dict[str, Damage] = {
    "other columns": other_columns,
    "other types": other_types,
    "newer": later_columns,
    "not UTF-8": not_text_in_a_table,
}


def copied(folder: Path, gate: str) -> Path:
    """Return a copy of committed results with a gate, every file that a run may leave, and the digests of a lock."""
    target = folder / "alone" / SOURCE.name
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("plots", "report.*"))
    comparison = target / "comparison.yaml"
    comparison.write_text(comparison.read_text(encoding="utf-8") + gate, encoding="utf-8")
    lock = LOCK.read(target)
    for table in (CLAIMS, ANNOTATIONS):
        table.write(table.schema.empty_table(), target)
    SUMMARY.write(SUMMARY.read(target), target)  # with the checksum that a run of this version writes
    names = [*(name for name in TABLES if (target / name).is_file()), CONCLUSIONS.name]
    LOCK.write(lock.model_copy(update={"written": digests_in(target, names)}), target)
    return target


def damaged(name: str, damage: Damage, command: tuple[str, ...], folder: Path) -> None:
    """Damage a file, and hold what a command says of it against one line with the file and what makes it again."""
    target = copied(folder, AGAINST_BASELINE if name == BASELINE_FILE.name else GATE)
    if name == BASELINE_FILE.name:
        assert bench_sketched(*filled(BASELINE, target)).returncode == 0
    damage(target / name)
    done = bench_sketched(*filled(command, target))
    hold_one_line(done, name)
    # A plan goes on without what an earlier run measured, and says so.
    assert done.returncode in ((0,) if command is PLAN else (1, 2)) or "stale: " in done.stderr, done


def filled(command: tuple[str, ...], folder: Path) -> list[str]:
    """Return a command with the folder in its place."""
    return [part.format(folder=folder) for part in command]


def hold_one_line(done: Done, name: str) -> None:
    """Raise AssertionError unless a command told, in a line, which file is damaged and what makes it again."""
    said = f"{done.returncode}: {done.stdout[-300:]}{done.stderr[-600:]}"
    assert "Traceback" not in said, said
    assert "crashed" not in said, said
    told = [line for line in (done.stdout + done.stderr).split("\n") if name in line]
    assert told, said
    assert any("bench " in line or "--replace" in line or line.startswith("differs: ") for line in told), said
    if done.returncode == 2 and "stale" not in done.stderr:
        assert done.stderr.count("\n") == 1, said


def cases() -> list[Case]:
    """Return every damage of every file, once for each command that reads it."""
    found = []
    for name, commands in READERS.items():
        for word, damage in (ANY | (TABLE if name in TABLES else JSON)).items():
            if name == LOCK.name and word == "one bit":
                continue  # it holds the digests of all else; what it says of a machine decides nothing
            asked = [command for command in commands if not (command is PLAN and word in NO_MATTER)]
            found += [
                Case(f"{name}, {word}, {command[0]}", partial(damaged, name, damage, command)) for command in asked
            ]
    return found
