"""Cells of people's files: each odd one is read as told or refused with its file and line, in every format."""

from __future__ import annotations

import ast
import csv
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.core.cells import FileRow, label_of, own_cluster, rows_in
from bench.core.data import Data
from bench.core.datasets import read_demonstrations, read_prompts
from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.task import Prompt
from bench.evaluation.judges._annotators import read_annotations
from tasks.prompts import Prompts
from tasks.qa_aliases import QaAliases
from tests.methods.tiny import Bench

ROOT = Path(__file__).resolve().parents[2]
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
TURNED = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]


def jsonl(folder: Path, rows: list[Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def parquet(folder: Path, rows: list[Any]) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def table(folder: Path, rows: list[Any]) -> Path:
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


FORMATS = [jsonl, parquet, table]
Written = Callable[[Path, list[Any]], Path]


def asked(path: Path) -> list[Prompt]:
    return list(Prompts(path=str(path), digest=digest_of_file(path)).prompts())


@pytest.mark.parametrize("written", FORMATS)
def test_zero_is_a_cluster_and_an_id(tmp_path: Path, written: Written) -> None:
    rows = [{"prompt": f"q{number}", "id": number, "cluster": number // 2} for number in range(5)]
    found = asked(written(tmp_path, rows))
    assert [one.cluster for one in found] == ["0", "0", "1", "1", "2"]
    assert [one.id for one in found] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("empty", [None, "", math.nan])
def test_a_cell_that_is_left_empty_is_no_cluster(tmp_path: Path, written: Written, empty: Any) -> None:
    """Null, NaN and no characters are one thing, and not a cluster of their own."""
    if written is table and empty is not None and empty != "":
        pytest.skip("a text `nan` in a CSV file is a text")
    rows = [{"prompt": f"q{number}", "id": "abc"[number], "cluster": empty, "kind": None} for number in range(3)]
    found = asked(written(tmp_path, rows))
    assert [one.cluster for one in found] == ["a", "b", "c"]
    assert {one.kind for one in found} == {"prompt"}


def test_integers_that_a_missing_cell_made_floats_keep_their_names(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "cluster": 1.0}, {"prompt": "b", "cluster": 1.0}, {"prompt": "c", "cluster": math.nan}]
    found = asked(parquet(tmp_path, rows))
    assert [one.cluster for one in found[:2]] == ["1", "1"]
    assert found[2].cluster == found[2].id


def test_a_row_without_a_cluster_joins_none_of_the_others(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "id": 7, "cluster": 1}, {"prompt": "b", "id": 1, "cluster": None}]
    assert [one.cluster for one in asked(jsonl(tmp_path, rows))] == ["1", "1 alone"]
    assert own_cluster("1", {"1", "1 alone"}) == "1 alone alone"


@pytest.mark.parametrize("written", [jsonl, parquet])
def test_a_chat_is_asked_as_a_chat(tmp_path: Path, written: Written) -> None:
    (one,) = asked(written(tmp_path, [{"prompt": CHAT}]))
    assert [(turn.role, turn.content) for turn in one.chat] == [("system", "Be brief."), ("user", "Who?")]
    (alone,) = asked(written(tmp_path, [{"prompt": CHAT[1:]}]))
    (text,) = asked(written(tmp_path, [{"prompt": "Who?"}]))
    assert alone == text


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (None, "prompt is null, wanted a text or chat turns"),
        (math.nan, "prompt is NaN, wanted"),
        (0, "prompt is int, wanted"),
        (True, "prompt is bool, wanted"),
        ("", "prompt is empty"),
        (" \n", "prompt is empty"),
        ([], "prompt is empty, wanted"),
        (["a", "b"], "prompt has a turn that cannot be used"),
        ({"role": "user"}, "prompt is dict, wanted"),
        ([{"role": "user", "content": None}], "prompt has a turn that cannot be used"),
        (TURNED, "prompt ends with a turn of the assistant"),
        ([{"role": "user", "content": ""}], "prompt is empty"),
    ],
)
def test_what_is_no_prompt_is_refused_where_it_stands(tmp_path: Path, cell: Any, told: str) -> None:
    path = jsonl(tmp_path, [{"prompt": "hello"}, {"prompt": cell}])
    with pytest.raises(DataError, match=f"rows.jsonl, line 2: {told}"):
        asked(path)


@pytest.mark.parametrize("column", ["id", "cluster", "kind"])
@pytest.mark.parametrize("cell", [True, False, [], [1], {"a": 1}, math.inf])
def test_what_is_no_name_is_refused_where_it_stands(tmp_path: Path, column: str, cell: Any) -> None:
    path = jsonl(tmp_path, [{"prompt": "hello"}, {"prompt": "you", column: cell}])
    with pytest.raises(DataError, match=rf"rows.jsonl, line 2: {column} is \w+, wanted a text or a number"):
        asked(path)


def test_places_are_lines_where_a_format_has_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a"}\n\n{"prompt": 3}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 3: prompt is int"):
        asked(path)
    with pytest.raises(DataError, match="rows.csv, line 4: prompt is empty"):
        asked(table(tmp_path, [{"prompt": "two\nlines", "id": 1}, {"prompt": "", "id": 2}]))
    with pytest.raises(DataError, match="rows.parquet, row 2: prompt is null"):
        asked(parquet(tmp_path, [{"prompt": "a"}, {"prompt": None}]))


def test_one_id_written_in_two_ways_is_one_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: repeats the id '1'"):
        asked(jsonl(tmp_path, [{"prompt": "a", "id": 1}, {"prompt": "b", "id": "1"}]))
    assert [label_of(cell, "x") for cell in (0, -0.0, 2.5, 10**20, "a ")] == ["0", "0", "2.5", "1" + "0" * 20, "a "]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (None, "answers are null"),
        (math.nan, "answers are NaN"),
        (0, "answers are int"),
        (True, "answers are bool"),
        (["Rome", None], "answers, number 2 is null"),
        ([1950], "answers, number 1 is int"),
        ([["Rome"]], "answers, number 1 is list"),
        ([""], "answers has no text in it"),
    ],
)
def test_what_is_no_answer_is_refused(tmp_path: Path, cell: Any, told: str) -> None:
    path = jsonl(tmp_path, [{"question": "q", "answers": cell}])
    with pytest.raises(DataError, match=f"line 1: {told}"):
        QaAliases(path=str(path), digest=digest_of_file(path)).prompts()


def test_questions_keep_zero_too(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"question": f"q{n}", "answers": "a", "id": n, "cluster": 0, "kind": 0} for n in range(2)])
    found = QaAliases(path=str(path), digest=digest_of_file(path)).prompts()
    assert [(one.id, one.cluster, one.kind) for one in found] == [("0", "0", "0"), ("1", "0", "0")]
    path = jsonl(tmp_path, [{"question": None, "answers": "a"}])
    with pytest.raises(DataError, match="line 1: question is null"):
        QaAliases(path=str(path), digest=digest_of_file(path)).prompts()


def test_training_rows_are_checked_alike(tmp_path: Path) -> None:
    io = Bench(tmp_path / "bench").io()

    def data(rows: list[Any], **fields: Any) -> Data:
        path = jsonl(tmp_path, rows)
        return Data(path=str(path), digest=digest_of_file(path), **fields)

    rows: list[dict[str, Any]] = [
        {"prompt": "a", "response": "b", "id": 0},
        {"prompt": "a", "response": "b", "id": math.nan},
        {"prompt": "a", "response": "b", "id": ""},
    ]
    assert [one.id for one in read_demonstrations(data(rows), io)] == ["0", "2", "3"]
    with pytest.raises(DataError, match="row 1: id is list"):
        read_demonstrations(data([{**rows[0], "id": [1]}]), io)
    (one,) = read_prompts(data([{"prompt": "a", "kind": 0, "facts": {"year": 1950, "name": "x", "none": None}}]), io)
    assert (one.kind, one.facts) == ("0", {"year": "1950", "name": "x"})
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"facts": {"a": [1]}}, "facts: a is list"),
        ({"facts": "text"}, "facts are str"),
        ({"kind": []}, "kind is empty"),
    ]
    for wrong, told in wrongs:
        with pytest.raises(DataError, match=f"row 1: {told}"):
            read_prompts(data([{"prompt": "a", **wrong}]), io)
    unread = data([{"prompt": "a", "kind": [], "facts": "x"}], columns={"kind": None, "facts": None})
    assert read_prompts(unread, io)[0].kind == "prompt"


def test_an_annotator_may_be_called_zero(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([{"question": "q", "annotator": 0, "answer": 1, "comment": None}]), encoding="utf-8")
    (one,) = read_annotations(path)
    assert (one.annotator, one.answer, one.comment) == ("0", "1", "")
    path.write_text(json.dumps([{"question": "q", "annotator": ["me"], "answer": 1}]), encoding="utf-8")
    with pytest.raises(DataError, match="row 1: annotator is list"):
        read_annotations(path)


def test_numbers_in_cells(tmp_path: Path) -> None:
    rows = list(rows_in(jsonl(tmp_path, [{"a": 0}, {"a": "2.5"}, {"a": ""}, {"a": math.nan}, {}]), "f"))
    assert [row.number("a") for row in rows] == [0.0, 2.5, None, None, None]
    for cell in (True, "x", [1], math.inf, "nan", "inf"):
        with pytest.raises(DataError, match="f, line 1: a is .*, wanted a number"):
            FileRow("f, line 1", {"a": cell}).number("a")


# The lint. A row of a person's file is a ``FileRow``, which has no ``get``; the modules below see rows as they are.
RAW = {
    "bench/core/rows.py": "reads the formats",
    "bench/core/formats/csv_rows.py": "reads tables with commas",
    "bench/core/cells.py": "checks cells",
    "bench/core/row_formats/reading.py": "wraps rows whose columns are renamed, and gives formats those to be made",
    "bench/evaluation/judges/_annotators.py": "reads tables with semicolons and tabs, as spreadsheets write them",
    "bench/scoring/row_files.py": "wraps rows of files that other programs wrote",
}
READERS = {"read_rows", "placed_rows", "rows_or_errors", "rows_of", "DictReader"}
CASTS = {"str", "float", "int", "bool"}
HOLDERS = {"row", "record", "cells", "values"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("bench", "methods", "tasks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def names_in(tree: ast.Module) -> set[str]:
    """What a module imports from bench.core.rows, and what it uses of csv."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("bench.core.rows", "csv"):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "csv":
            found.add(node.attr)
    return found


def holder(node: ast.expr) -> ast.expr | None:
    """What something is taken out of: the x of ``x.get(...)`` and ``x["name"]``; None for any other expression."""
    if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        return node.func.value
    return None


def unchecked(tree: ast.Module, *, raw: bool) -> list[int]:
    """The lines on which a cell is used before it is checked: ``row.get(x) or ...``, a cast, its text.

    Where rows are raw, whatever is taken out of a mapping is a cell; elsewhere what is taken by ``get`` out of
    something that is called a row.
    """
    used: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            used += node.values[:-1]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CASTS:
            used += node.args[:1]
        elif isinstance(node, ast.FormattedValue) and node.conversion != ord("r"):
            used += [node.value] if isinstance(node.value, ast.Call) else []
    found = []
    for one in used:
        of = holder(one)
        named = isinstance(one, ast.Call) and isinstance(of, ast.Name) and of.id in HOLDERS
        if of is not None and (raw or named):
            found.append(one.lineno)
    return found


def test_rows_are_seen_raw_in_few_places() -> None:
    found = {where for where, tree in modules() if names_in(tree) & READERS}
    assert found <= set(RAW), "read rows with bench.core.cells.rows_in, whose cells are checked"


def test_no_cell_is_used_before_it_is_checked() -> None:
    found = [
        f"{where}:{line}"
        for where, tree in modules()
        for line in unchecked(tree, raw=where in RAW or where.startswith("tasks/"))
    ]
    assert found == [], "a cell may be 0, null, NaN or a list: read it with bench.core.cells"


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("name = row.get('id') or 'none'", True),
        ("name = str(row.get('id'))", True),
        ("text = f'{row.get(name)}'", True),
        ("number = float(record.get('x', 0))", True),
        ("name = row.label('id')", False),
        ("kinds = settings.get('kinds') or ()", False),
        ("text = f'{row.get(name)!r}'", False),
    ],
)
def test_the_lint_finds_such_code(code: str, is_found: bool) -> None:
    assert bool(unchecked(ast.parse(code), raw=False)) is is_found
    assert unchecked(ast.parse("name = str(cell['id'])"), raw=True)
