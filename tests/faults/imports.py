"""People's answers that cannot be taken in: by ``bench human import``, before anything of a comparison is changed."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults._inputs import COMPARISON, comparison, refused, warm_up
from tests.faults.case import Case

TITLE = "answers of people that cannot be imported"
IN_SUITE = 5

PEOPLE = COMPARISON.replace("[gold]", "[gold, human]")
HEAD = "question,prompt,response_1,response_2,answer,annotator,comment\n"
ROW = {"question": "0" * 16, "annotator": "ana", "answer": "1"}


def cases() -> list[Case]:
    """Return the cases."""
    return [
        *(_case(f"csv: {name}", "a.csv", _text(text)) for name, text in CSV.items()),
        *(_case(f"json: {name}", "a.json", _text(text)) for name, text in JSON.items()),
        *(_case(f"file: {name}", file, put) for name, (file, put) in FILES.items()),
    ]


def _rows(**cells: Any) -> str:
    return json.dumps([{**ROW, **cells}])


CSV: dict[str, str] = {
    "empty": "",
    "only a head": HEAD,
    "a huge head": "h" * 500_000 + "," + HEAD,
    "a head of many columns": ",".join(f"c{n}" for n in range(100_000)) + "\n",
    "a column twice": "question,annotator,annotator,answer\nq,a,b,1\n",
    "another head": "id,who,what\n1,2,3\n",
    "an unknown answer": HEAD + "q1,,,,3,ana,\n",
    "100,000 unknown answers": HEAD + "q1,,,,x,ana,\n" * 100_000,
    "a long answer": HEAD + f"q1,,,,{'x' * 1_000_000},ana,\n",
    "a long name": HEAD + f"q1,,,,1,{'x' * 1_000_000},\n",
    "a long question": HEAD + f"{'q' * 1_000_000},,,,1,ana,\n",
    "an open quote": HEAD + '"q1,,,,1,ana,\n' * 3,
    "a huge open quote": HEAD + '"' + "q1,,,,1,ana,\n" * 2_000_000,
    "no question": HEAD + ",,,,1,ana,\n",
    "no annotator": HEAD + "q1,,,,1,,\n",
    "two answers": HEAD + "q1,,,,1,ana,\nq1,,,,2,ana,\n",
    "questions of another": HEAD + "q1,,,,1,ana,\n",
    "NUL": HEAD + "\0,,,,1,\0,\n",
    "formulas": HEAD + "=1+1,,,,=1,@ana,\n",
}

JSON: dict[str, str] = {
    "empty": "",
    "not JSON": "{",
    "deep": "[" * 100_000,
    "deep rows": "[" + '{"a":' * 100_000 + "1" + "}" * 100_000 + "]",
    "an object": json.dumps(ROW),
    "null": "null",
    "a number": "3",
    "rows of numbers": "[1, 2]",
    "an empty list": "[]",
    "a key twice": '[{"question": "q", "question": "r", "annotator": "a", "answer": "1"}]',
    "a list for an answer": _rows(answer=["1"]),
    "an object for a name": _rows(annotator={"a": 1}),
    "true for a name": _rows(annotator=True),
    "a surrogate": '[{"question": "\\ud800", "annotator": "a", "answer": "1"}]',
    "an infinite name": _rows(annotator=float("inf")),
    "a name of 5,000 digits": '[{"question": "q", "annotator": ' + "9" * 5000 + ', "answer": "1"}]',
    "a comment of a list": _rows(comment=[1]),
    "other columns later": json.dumps([ROW, {"a": 1}, {"question": "q", "answer": "1"}]),
}


def _text(text: str) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(text.encode("utf-8", "surrogatepass"))


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "nothing": ("a.csv", lambda file: None),
    "a folder": ("a.csv", lambda file: file.mkdir()),
    "a link to itself": ("a.csv", lambda file: file.symlink_to(file)),
    "a named pipe": ("a.csv", lambda file: os.mkfifo(file)),
    "/dev/zero": ("a.csv", lambda file: file.symlink_to("/dev/zero")),
    "/dev/zero as JSON": ("a.json", lambda file: file.symlink_to("/dev/zero")),
    "300 MB of zeros": ("a.csv", lambda file: (file.touch(), os.truncate(file, 300 * 10**6))),
    "UTF-16": ("a.csv", lambda file: file.write_bytes(HEAD.encode("utf-16"))),
    "not UTF-8": ("a.csv", lambda file: file.write_bytes(HEAD.encode() + b"\xff\n")),
    "packed": ("a.csv.gz", lambda file: file.write_bytes(gzip.compress(HEAD.encode()))),
    "a picture": ("a.png", lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))),
}


def _case(name: str, file: str, put: Callable[[Path], object]) -> Case:
    def do(folder: Path) -> None:
        warm_up()
        import bench.human.exchange  # noqa: PLC0415, F401 - before the fork

        place = comparison(folder, PEOPLE)
        put(folder / file)
        refused(["human", "import", str(place), str(folder / file)])
        assert not (place / "human.csv").exists(), "accepted: answers were written"

    return Case(name, do)
