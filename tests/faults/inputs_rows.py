"""Files of rows that nobody can train on or ask with, handed over as data and as prompts of a task."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults._inputs import COMPARISON, ROWS, comparison, planning, raises_in_a_few_lines, refused, taken, warm_up
from tests.faults.case import Case

TITLE = "files of rows that cannot be used"
IN_SUITE = 10

GOOD = {"prompt": "a", "response": "b"}
LINE = json.dumps(GOOD)
DEEP = "[" * 100_000


def cases() -> list[Case]:
    """Return the cases."""
    return [
        *(planning(f"jsonl: {name}", _file("rows.jsonl", text)) for name, text in JSON_LINES.items()),
        *(planning(f"json: {name}", _file("rows.json", text)) for name, text in JSON.items()),
        *(planning(f"csv: {name}", _file("rows.csv", text)) for name, text in CSV.items()),
        *(planning(f"cell: {name}", _file("rows.jsonl", _rows(cells))) for name, cells in CELLS.items()),
        *(planning(f"pairs: {name}", _pairs(cells)) for name, cells in PAIRS.items()),
        *(planning(f"prompts: {name}", _prompts(cells)) for name, cells in PROMPTS.items()),
        *(planning(f"file: {name}", make) for name, make in FILES.items()),
        *(planning(f"task: {name}", _task(text), says="prompts.") for name, text in TASKS.items()),
        *TOLD,
    ]


def _rows(cells: dict[str, Any]) -> str:
    return LINE + "\n" + json.dumps({**GOOD, **cells}) + "\n"


JSON_LINES: dict[str, str] = {
    "empty": "",
    "blank lines": "\n\n  \n",
    "not JSON": LINE + "\n{not json\n",
    "cut off": LINE + "\n" + LINE[:-4],
    "a list": LINE + "\n[1, 2]\n",
    "a number": LINE + "\n3\n",
    "null": LINE + "\nnull\n",
    "a text": LINE + '\n"text"\n',
    "two in a line": LINE + "\n" + LINE + LINE + "\n",
    "deep": LINE + "\n" + DEEP + "\n",
    "deep and closed": LINE + '\n{"prompt": ' + DEEP + "]" * 100_000 + ', "response": "b"}\n',
    "deep objects": LINE + "\n" + '{"a":' * 100_000 + "1" + "}" * 100_000 + "\n",
    "deep by a little": LINE + '\n{"prompt": ' + "[" * 400 + "]" * 400 + ', "response": "b"}\n',
    "a key twice": LINE + '\n{"prompt": "a", "prompt": "c", "response": "b"}\n',
    "a key twice within": LINE + '\n{"prompt": [{"role": "user", "role": "user", "content": "a"}], "response": "b"}\n',
    "number of 5,000 digits": LINE + '\n{"prompt": "a", "response": ' + "9" * 5000 + "}\n",
    "id of 5,000 digits": LINE + '\n{"prompt": "a", "response": "b", "id": ' + "9" * 5000 + "}\n",
    "id of 1e308 digits": LINE + '\n{"prompt": "a", "response": "b", "id": 1e999}\n',
    "surrogate": LINE + '\n{"prompt": "a\\ud800", "response": "b"}\n',
    "low surrogate": LINE + '\n{"prompt": "a", "response": "\\uDC80"}\n',
    "surrogates turned": LINE + '\n{"prompt": "a", "response": "\\udc00\\ud800"}\n',
    "surrogate key": LINE + '\n{"prompt": "a", "response": "b", "\\ud800": 1}\n',
    "encoded surrogate": LINE + '\n{"prompt": "a\ud800", "response": "b"}\n',
    "control character": LINE + '\n{"prompt": "a\x01", "response": "b"}\n',
    "a mark in the middle": LINE + "\n\ufeff" + LINE + "\n",
    "NUL bytes": LINE + "\n" + "\0" * 5000,
    "a JSON list in it": "[" + LINE + "]\n",
    "a pretty object": json.dumps(GOOD, indent=1),
    "many wrong rows": LINE + "\n" + '{"prompt": 3, "response": "b"}\n' * 50_000,
    "many broken rows": LINE + "\n" + "{\n" * 50_000,
    "many columns": LINE + "\n" + json.dumps({f"c{n}": n for n in range(100_000)}) + "\n",
    "many columns first": json.dumps({f"c{n}": n for n in range(100_000)}) + "\n",
    "long columns first": json.dumps({"c" * 500_000: 1, "promp": 2}) + "\n",
    "near columns": json.dumps({f"promp{n}": n for n in range(20_000)}) + "\n",
    "long broken line": LINE + "\n" + "x" * 1_000_000 + "\n",
    "long wrong cell": LINE + "\n" + json.dumps({**GOOD, "finish": "x" * 1_000_000}) + "\n",
    "long role": LINE + "\n" + json.dumps({**GOOD, "prompt": [{"role": "r" * 1_000_000, "content": "a"}]}) + "\n",
}

JSON: dict[str, str] = {
    "empty": "",
    "an empty list": "[]",
    "an object": LINE,
    "two lists under keys": json.dumps({"rows": [GOOD], "more": [GOOD]}),
    "an object cut off": '{"rows": [' + LINE,
    "an object without a value": '{"rows": ',
    "an object without keys": "{}",
    "a key of a number": "{3: [" + LINE + "]}",
    "columns of two lengths": json.dumps({"prompt": ["a", "b"], "response": ["c"]}),
    "columns deep": '{"prompt": ' + DEEP + "}",
    "columns and rows of lists": json.dumps({"columns": ["prompt", "response"], "data": [["a", "b"]]}),
    "text behind an object": json.dumps({"rows": [GOOD]}) + " more",
    "rows under a key, then under it again": '{"rows": [' + LINE + '], "rows": [' + LINE + "]}",
    "null": "null",
    "cut off": "[" + LINE + ", " + LINE[:-3],
    "no end": "[" + LINE,
    "a comma behind": "[" + LINE + ",]",
    "no comma": "[" + LINE + " " + LINE + "]",
    "text behind": "[" + LINE + "] more",
    "two lists": "[" + LINE + "][" + LINE + "]",
    "JSON lines": LINE + "\n" + LINE,
    "deep": DEEP,
    "deep row": "[" + LINE + ", " + DEEP + "]" * 100_001,
    "a key twice": "[" + LINE + ', {"prompt": "a", "response": "b", "response": "c"}]',
    "surrogate": "[" + LINE + ', {"prompt": "a", "response": "\\ud800"}]',
    "number of 5,000 digits": "[" + LINE + ', {"prompt": "a", "response": ' + "9" * 5000 + "}]",
    "a row of null": "[" + LINE + ", null]",
    "a list of lists": "[" + LINE + ", [1]]",
    "cells wrong": "[" + LINE + ', {"prompt": "a", "response": 1}, {"prompt": 2, "response": "b"}]',
}

CSV: dict[str, str] = {
    "empty": "",
    "only a head": "prompt,response\n",
    "prompt, prompt": "prompt,prompt,response\na,b,c\n",
    "response twice apart": "prompt,response,id,response\na,b,1,c\n",
    "an unread column twice": "prompt,response,x,x\na,b,1,2\n",
    "an empty head": ",\na,b\n",
    "too few cells": "prompt,response\na,b\nc\n",
    "too many cells": "prompt,response\na,b\nc,d,e\n",
    "too many cells by far": "prompt,response\na,b\n" + "c," * 100_000 + "\n",
    "an open quote": 'prompt,response\na,b\nc,"d\n',
    "an open quote, long": 'prompt,response\na,b\nc,"d' + "\nx,y" * 200_000,
    "semicolons": "prompt;response\na;b\n",
    "tabs": "prompt\tresponse\na\tb\n",
    "a long cell cut short": "prompt,response\na,b\n" + "c" * 200_000 + "\n",
    "a huge head": "prompt,response," + "h" * 500_000 + "\na,b\n",
    "a head of many columns": ",".join(f"c{n}" for n in range(50_000)) + "\n",
    "only commas": "prompt,response\na,b\n" + ",,,,\n" * 1000,
    "encoded surrogate": "prompt,response\na,\ud800\n",
    "NUL": "prompt,response\na,b\n\0\n",
    "carriage returns within": "prompt,response\na,b\nc\rd\re,f,g\n",
}

CELLS: dict[str, dict[str, Any]] = {
    "response null": {"response": None},
    "response number": {"response": 3},
    "response list": {"response": ["b"]},
    "response object": {"response": {"text": "b"}},
    "response NaN": {"response": float("nan")},
    "response true": {"response": True},
    "prompt null": {"prompt": None},
    "prompt number": {"prompt": 3},
    "prompt empty list": {"prompt": []},
    "prompt list of texts": {"prompt": ["a"]},
    "prompt object": {"prompt": {"role": "user", "content": "a"}},
    "turn without role": {"prompt": [{"content": "a"}]},
    "turn of nobody": {"prompt": [{"role": "robot", "content": "a"}]},
    "turn of null": {"prompt": [None]},
    "turn says a number": {"prompt": [{"role": "user", "content": 3}]},
    "turn with more": {"prompt": [{"role": "user", "content": "a", "name": "x"}]},
    "10,000 wrong turns": {"prompt": [{"role": "x", "content": 3}] * 10_000},
    "finish unknown": {"finish": "stop"},
    "finish number": {"finish": 1},
    "finish list": {"finish": [1]},
    "id list": {"id": [1]},
    "id true": {"id": True},
    "id infinite": {"id": float("inf")},
}

PAIRS: dict[str, dict[str, Any]] = {
    "chosen null": {"chosen": None},
    "rejected number": {"rejected": 3},
    "rejected chat": {"rejected": [{"role": "assistant", "content": "c"}]},
    "probability above 1": {"probability": 1.5},
    "probability below 0": {"probability": -0.1},
    "probability NaN": {"probability": float("nan")},
    "probability infinite": {"probability": float("inf")},
    "probability text": {"probability": "0.7"},
    "probability true": {"probability": True},
    "margin below 0": {"margin": -1},
    "margin infinite": {"margin": float("inf")},
    "margin of 10^400": {"margin": 10**400},
    "margin long": {"margin": "9" * 100_000},
    "finish unknown": {"chosen_finish": "x"},
}

PROMPTS: dict[str, dict[str, Any]] = {
    "prompt null": {"prompt": None},
    "facts text": {"facts": "x"},
    "facts list": {"facts": [1]},
    "facts of lists": {"facts": {"a": [1]}},
    "kind list": {"kind": ["a"]},
    "kind true": {"kind": True},
    "id object": {"id": {"a": 1}},
}

TASKS: dict[str, str] = {
    "empty": "",
    "no column": '{"question": "a"}\n',
    "cell of a number": LINE + '\n{"prompt": 3}\n',
    "cell empty": LINE + '\n{"prompt": " "}\n',
    "deep": LINE + "\n" + DEEP + "\n",
    "surrogate": LINE + '\n{"prompt": "a\\ud800"}\n',
    "key twice": LINE + '\n{"prompt": "a", "prompt": "b"}\n',
    "not JSON": LINE + "\nx\n",
    "ends with the assistant": LINE + '\n{"prompt": [{"role": "assistant", "content": "a"}]}\n',
    "one id for two": '{"prompt": "a", "id": 1}\n{"prompt": "b", "id": 1}\n',
    "all wrong": '{"prompt": 3}\n' * 5000,
}


def _named(name: str) -> str:
    return COMPARISON.replace("rows.jsonl", name)


def _file(name: str, text: str) -> Callable[[Path], Path]:
    return lambda folder: comparison(folder, _named(name), text, name)


def _pairs(cells: dict[str, Any]) -> Callable[[Path], Path]:
    good = {"prompt": "a", "chosen": "b", "rejected": "c"}
    text = COMPARISON.replace("  seeds", "  preferences: {path: pairs.jsonl}\n  seeds").replace("sft: {}", "dpo: {}")

    def make(folder: Path) -> Path:
        place = comparison(folder, text)
        (place / "pairs.jsonl").write_text(json.dumps(good) + "\n" + json.dumps({**good, **cells}) + "\n")
        return place

    return make


def _prompts(cells: dict[str, Any]) -> Callable[[Path], Path]:
    text = COMPARISON.replace("  seeds", "  prompts: {path: asked.jsonl}\n  seeds")

    def make(folder: Path) -> Path:
        place = comparison(folder, text)
        (place / "asked.jsonl").write_text(LINE + "\n" + json.dumps({"prompt": "a", **cells}) + "\n")
        return place

    return make


def _task(rows: str) -> Callable[[Path], Path]:
    text = COMPARISON.replace("[atlas_prompts]", "[{task: prompts, path: prompts.jsonl}]").replace(
        "gold", "longer_wins"
    )

    def make(folder: Path) -> Path:
        place = comparison(folder, text)
        (place / "prompts.jsonl").write_text(rows)
        return place

    return make


def _as(name: str, put: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = comparison(folder, _named(name), None)
        put(place / name)
        return place

    return make


def _zip(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("rows.jsonl", ROWS)


FILES: dict[str, Callable[[Path], Path]] = {
    "nothing": _as("rows.jsonl", lambda file: None),
    "a folder": _as("rows.jsonl", lambda file: file.mkdir()),
    "a link to itself": _as("rows.jsonl", lambda file: file.symlink_to(file)),
    "links in a circle": _as("rows.jsonl", lambda file: [file.symlink_to("b"), (file.parent / "b").symlink_to(file)]),
    "a named pipe": _as("rows.jsonl", lambda file: os.mkfifo(file)),
    "a named pipe, packed": _as("rows.jsonl.gz", lambda file: os.mkfifo(file)),
    "a link to /dev/zero": _as("rows.jsonl", lambda file: file.symlink_to("/dev/zero")),
    "a link to /dev/urandom": _as("rows.csv", lambda file: file.symlink_to("/dev/urandom")),
    "a link to /dev/stdin": _as("rows.jsonl", lambda file: file.symlink_to("/dev/full")),
    "a link to /proc/self/mem": _as("rows.jsonl", lambda file: file.symlink_to("/proc/self/mem")),
    "a link to /proc/self/environ": _as("rows.jsonl", lambda file: file.symlink_to("/proc/self/environ")),
    "no suffix": _as("rows", lambda file: file.write_text(ROWS)),
    "xz": _as("rows.jsonl.xz", lambda file: file.write_bytes(lzma.compress(ROWS.encode()))),
    "zip": _as("rows.zip", _zip),
    "only .gz": _as("rows.gz", lambda file: file.write_bytes(gzip.compress(ROWS.encode()))),
    "packed twice": _as("rows.jsonl.gz.gz", lambda file: file.write_bytes(gzip.compress(ROWS.encode()))),
    "packed cut off": _as("rows.jsonl.gz", lambda file: file.write_bytes(gzip.compress(ROWS.encode() * 500)[:60])),
    "packed nothing": _as("rows.jsonl.gz", lambda file: file.write_bytes(gzip.compress(b""))),
    "packed empty": _as("rows.jsonl.gz", lambda file: file.write_bytes(b"")),
    "packed not": _as("rows.jsonl.gz", lambda file: file.write_text(ROWS)),
    "packed with a wrong sum": _as(
        "rows.jsonl.gz", lambda file: file.write_bytes(gzip.compress(ROWS.encode())[:-8] + bytes(8))
    ),
    "packed text behind": _as("rows.jsonl.gz", lambda file: file.write_bytes(gzip.compress(ROWS.encode()) + b"more")),
    "unreadable bytes": _as("rows.jsonl", lambda file: file.write_bytes(LINE.encode() + b"\n\xff\xfe\n")),
    "UTF-16": _as("rows.csv", lambda file: file.write_bytes("prompt,response\na,b\n".encode("utf-16"))),
}


def _told(name: str, make: Callable[[Path], Path], *says: str) -> Case:
    def do(folder: Path) -> None:
        warm_up()
        text = refused(["plan", str(make(folder))])
        for words in says:
            assert words in text, f"unclear: {words!r} is not in {text[:600]}"

    return Case(f"told: {name}", do)


def _taken(name: str, file: str, text: str) -> Case:
    def do(folder: Path) -> None:
        warm_up()
        taken(["plan", str(_file(file, text)(folder))])

    return Case(f"taken: {name}", do)


def _wide_csv() -> str:
    text = io.StringIO()
    csv.writer(text).writerows([["prompt", "response"], ["a" * 1_000_000, "b"]])
    return text.getvalue()


def _scored(name: str, content: str) -> Case:
    def do(folder: Path) -> None:
        warm_up()
        file = folder / name
        file.write_bytes(content.encode("utf-8", "surrogatepass"))
        from bench.scoring.row_files import read_file  # noqa: PLC0415

        raises_in_a_few_lines(lambda: read_file(file))

    return Case(f"score: {name} {content[:12]!r}", do)


SEVERAL = "\n".join([LINE, '{"prompt": 3, "response": "b"}', LINE, "{", '{"prompt": "a"}', LINE]) + "\n"
TOLD: list[Case] = [
    _told("all wrong rows at once", _file("rows.jsonl", SEVERAL), "rows.jsonl", "row 2", "line 4", "row 5", "3 rows"),
    _told("ten of 40", _file("rows.jsonl", LINE + "\n" + '{"prompt": "a"}\n' * 40), "row 2", "row 11", "30 more"),
    _told("a row that is not read", _file("rows.csv", "prompt,response\na,b\nc,d,e\nf\n"), "row 2", "row 3"),
    _taken("a cell of a million characters", "rows.csv", _wide_csv()),
    _taken("no line end", "rows.jsonl", LINE),
    _taken("a mark first", "rows.jsonl", "\ufeff" + LINE),
    _taken("line ends of Windows", "rows.csv", "prompt,response\r\na,b\r\n"),
    _taken("a list over lines", "rows.json", json.dumps([GOOD] * 3, indent=2) + "\n"),
    _taken("a separator within", "rows.jsonl", json.dumps({**GOOD, "prompt": "a\u2028b"}, ensure_ascii=False)),
    _taken("a pair of surrogates", "rows.jsonl", '{"prompt": "\\ud83d\\ude00", "response": "b"}'),
    _scored("outputs.json", "[" + DEEP),
    _scored("outputs.jsonl", '{"instruction": "a", "instruction": "b", "output": "c"}'),
    _scored("outputs.csv", "instruction,instruction,output\na,b,c\n"),
    _scored("outputs.jsonl", '{"instruction": "\\ud800", "output": "c"}'),
    _scored("outputs.jsonl", '{"instruction": "a", "output": ' + "9" * 5000 + "}"),
    _scored("outputs.json", json.dumps([{f"c{n}": 1 for n in range(50_000)}])),
]
