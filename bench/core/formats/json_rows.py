"""JSON Lines, and JSON that is a list of rows, holds one, or holds columns: row by row."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.formats.unpacked import MOST_ROW, Unpacked, unpacked

Placed = tuple[str, Any]
_LOOK_EVERY = 1024  # rows between two looks at how much was unpacked
_MOST_BLANK = 1_000_000
_CHUNK = 1_000_000
_AHEAD = 4096  # characters, of which all but one may be space, before the first row of a list in a mapping
MOST_COLUMN = 128_000_000  # characters of one column, where a file is one of columns: all are in memory together
_SPACE = re.compile(r"[ \t\n\r]*")
_MAY_BE_LONE = re.compile(r"\\u[dD][89a-fA-F]")


class Strict:
    """JSON as rows need it: no key twice in one object, no half of a character, no nesting without end."""

    def __init__(self) -> None:
        self._twice: str | None = None
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def value(self, text: str) -> Any:
        """Return the value of a text; raises ValueError, which says what is wrong with it."""
        value, end = self.at(text, _SPACE.match(text).end())  # type: ignore[union-attr]
        if _SPACE.fullmatch(text, end) is None:
            raise json.JSONDecodeError("Extra data", text, end)
        return value

    def at(self, text: str, begin: int) -> tuple[Any, int]:
        """Return the value that begins there, and where it ends; raises ValueError as ``value``."""
        self._twice = None
        try:
            value, end = self._decoder.raw_decode(text, begin)
        except RecursionError:
            raise Unusable("nested too deeply") from None
        except json.JSONDecodeError:
            raise
        except ValueError as error:  # the interpreter's limit on the digits of a number
            raise Unusable(f"a number with too many digits ({error})".partition(";")[0] + ")") from None
        if self._twice is not None:
            raise Unusable(f"the key {self._twice[:40]!r} stands twice in one object", end)
        if _MAY_BE_LONE.search(text, begin, end) is not None:
            _check_characters(value, end)
        return value, end

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            self._twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return found


class Unusable(ValueError):
    """What is wrong with a value of JSON, and where the value ends, so that what follows can be read; None: unknown."""

    def __init__(self, what: str, end: int | None = None) -> None:
        super().__init__(what)
        self.end = end


def _check_characters(value: Any, end: int) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        lone = ascii(error.object[error.start])[1:-1]
        raise Unusable(f"{lone} is half of a character (a lone surrogate), which no text can hold", end) from None
    except RecursionError:
        raise Unusable("nested too deeply", end) from None


def json_lines(path: Path, where: str) -> Iterator[Placed]:
    """Yield the rows of a JSON Lines file with their lines, a DataError in the place of one that cannot be read.

    Raises DataError where nothing more can be read behind it: a line of more than ``MOST_ROW`` bytes.
    """
    strict, blank = Strict(), 0
    with unpacked(path, where) as file:
        # Only line feeds: a JSON text may hold U+2028 and other characters that end a line for Python but not for JSON.
        for number, line in enumerate(iter(lambda: file.stream.readline(MOST_ROW + 1), b""), start=1):
            place = f"{where}, line {number}"
            if len(line) > MOST_ROW:
                raise DataError(f"{place}: longer than {MOST_ROW:,} bytes, the most that a row may have")
            if number % _LOOK_EVERY == 0:
                file.check()
            if not line.strip():
                blank += 1
                if blank > _MOST_BLANK:
                    raise DataError(f"{place}: more than {_MOST_BLANK:,} empty lines")
                continue
            yield place, _row(strict, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, place)


def _row(strict: Strict, line: bytes, place: str) -> Any:
    try:
        return strict.value(line.decode())
    except UnicodeDecodeError as error:
        return DataError(f"{place}: not UTF-8 text ({error.reason} at byte {error.start})")
    except json.JSONDecodeError as error:
        return DataError(f"{place}: not JSON ({error.msg} at column {error.colno})")
    except Unusable as error:
        return DataError(f"{place}: not usable JSON ({error})")


def json_list(path: Path, where: str) -> Iterator[Placed]:
    """Yield the rows of a JSON file, as ``json_lines``; a row's place is its number.

    The file is a list of rows; a mapping, one entry of which is a list of rows; or a mapping of columns: lists of one
    length, or (as pandas writes them) mappings with the same keys. Raises DataError for any other value, and where
    nothing more can be read.
    """
    with unpacked(path, where) as file:
        reading = _Json(file, where)
        if reading.begins() == "[":
            yield from _listed(reading, where)
        else:
            yield from _in_mapping(reading, where)
        reading.end()


def _listed(reading: _Json, where: str) -> Iterator[Placed]:
    number = 0
    while reading.goes_on(number, "]"):
        number += 1
        yield f"{where}, row {number}", reading.value(f"{where}, row {number}")
    reading.step()


def _in_mapping(reading: _Json, where: str) -> Iterator[Placed]:
    """Yield the rows of the one list of mappings in a mapping, or those that its entries are columns of."""
    columns: dict[str, Any] = {}
    rows_in: str | None = None
    while reading.goes_on(len(columns) + (rows_in is not None), "}"):
        key = reading.key()
        if reading.begins_list_of_mappings():
            if rows_in is not None:
                raise DataError(f"{where}: two lists of rows, '{rows_in[:40]}' and '{key[:40]}'. Keep one of them.")
            rows_in = key
            yield from _listed(reading, where)
        else:
            value = reading.value(f"{where}: '{key[:40]}'", MOST_COLUMN)
            if isinstance(value, DataError):
                raise value
            columns[key] = value
    reading.step()
    if rows_in is None:
        yield from _of_columns(columns, where)


def _of_columns(columns: Mapping[str, Any], where: str) -> Iterator[Placed]:
    lists = list(columns.values())
    if lists and all(isinstance(one, dict) and one and one.keys() == lists[0].keys() for one in lists):
        lists = [list(one.values()) for one in lists]
    elif not lists or not all(isinstance(one, list) for one in lists):
        raise DataError(
            f"{where}: an object, wanted a list of rows. Where every line is a row, end the file's name in .jsonl."
        )
    if len({len(one) for one in lists}) > 1:
        raise DataError(f"{where}: columns of different lengths, wanted a list of rows or columns of one length")
    for number, cells in enumerate(zip(*lists, strict=True), start=1):
        yield f"{where}, row {number}", dict(zip(columns, cells, strict=True))


class _Json:
    """JSON as it is read: a part of its text, how much of that is consumed, and how many lines are behind."""

    def __init__(self, file: Unpacked, where: str) -> None:
        self._file = file
        self._where = where
        self._read_text = io.TextIOWrapper(file.stream, encoding="utf-8-sig", newline="").read
        self._text = ""
        self._at = 0
        self._lines = 1
        self._over = False
        self._strict = Strict()

    def begins(self) -> str:
        """Return with which bracket the file begins; raises DataError for anything else."""
        first = self._next()
        if first not in ("[", "{"):
            kinds = {'"': "a text", "": "empty, which is not JSON"}
            raise DataError(f"{self._where}: {kinds.get(first, 'no list')}, wanted a list of rows")
        self._at += 1
        return first

    def key(self) -> str:
        """Return the key of the next entry of a mapping."""
        if self._next() != '"':
            raise self._broken("Expecting property name enclosed in double quotes")
        found = self.value(self._where)
        if isinstance(found, DataError):
            raise found
        if self._next() != ":":
            raise self._broken("Expecting ':' delimiter")
        self._at += 1
        return str(found)

    def begins_list_of_mappings(self) -> bool:
        """Return whether the next value is a list whose first member is a mapping; its bracket is consumed then."""
        if self._next() != "[":
            return False
        # The bracket and what follows it are in memory together: a list of rows does not begin with blank pages.
        while len(self._text) - self._at < _AHEAD and not self._over:
            self._read(_CHUNK)
        if not self._text[self._at + 1 : self._at + _AHEAD].lstrip(" \t\n\r").startswith("{"):
            return False
        self._at += 1
        return True

    def step(self) -> None:
        """Pass the closing bracket that comes next."""
        self._at += 1

    def goes_on(self, number: int, end: str) -> bool:
        """Return whether a member follows the first ``number`` ones; ``end`` is the bracket that would close them."""
        found = self._next()
        if found == end:
            return False
        if number:
            if found != ",":
                raise self._broken("Expecting ',' delimiter" if found else "the list does not end")
            self._at += 1
            if self._next() == end:
                raise self._broken("Illegal trailing comma before end of list")
        return True

    def value(self, place: str, most: int = MOST_ROW) -> Any:
        """Return the next value of at most so many characters, a DataError for a wrong one whose end is known."""
        while True:
            try:
                value, end = self._strict.at(self._text, self._at)
            except Unusable as error:
                wrong = DataError(f"{place}: not usable JSON ({error})")
                if error.end is None:
                    raise wrong from None
                self._at = error.end
                return wrong
            except json.JSONDecodeError as error:
                if self._over:
                    self._at = error.pos
                    raise self._broken(error.msg) from None
                length = len(self._text) - self._at
                if length > most:
                    raise DataError(
                        f"{place}: no JSON ({error.msg} at its character {error.pos - self._at + 1}), or longer than "
                        f"{most:,} characters, the most that it may have"
                    ) from None
                self._read(length)  # twice as much, so that a long row is not parsed too often
                continue
            if end == len(self._text) and not self._over:
                self._read(_CHUNK)  # a number may go on
                continue
            self._at = end
            return value

    def end(self) -> None:
        """Raise DataError where something follows."""
        if self._next():
            raise self._broken("Extra data")

    def _next(self) -> str:
        """Return the next character that is no space, empty at the end of the file."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = self._at if space is None else space.end()
            if self._at < len(self._text) or self._over:
                return self._text[self._at : self._at + 1]
            self._read(_CHUNK)

    def _read(self, count: int) -> None:
        try:
            more = self._read_text(max(count, _CHUNK))
        except UnicodeDecodeError as error:
            raise DataError(f"{self._where}: not UTF-8 text ({error.reason})") from error
        self._over = not more
        self._lines += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :] + more, 0
        self._file.check()

    def _broken(self, what: str) -> DataError:
        line = self._lines + self._text.count("\n", 0, self._at)
        return DataError(f"{self._where}, line {line}: not JSON ({what})")
