"""YAML with places: plain values, and for every key path the file and line it stands on.

Scalars follow the YAML 1.2 core schema (``no`` is text, ``1e-5`` is a number, dates are text); ``10_000`` is a number
too. Anchors, aliases and ``<<`` work; duplicate keys are refused. ``${NAME}`` and ``${NAME:-default}`` are replaced
from the environment, ``$${`` stands for ``${``; an unquoted scalar is read again after that, so it may become a number.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from bench.config.document.problems import KeyPath, Place, Problems
from bench.core.errors import abridged
from bench.core.files import kind_at

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_MAX_VALUES = 100_000  # a bound on what aliases of aliases can blow up to; far above any real comparison
_MAX_NODES = 10_000  # a comparison of a hundred arms has 2,000; this many take one to two seconds to read
_MAX_DEPTH = 40
_MAX_BYTES = 256_000  # a comparison of a hundred arms has 20,000; every further megabyte takes seconds to read
_MAX_WHOLE = 2**63 - 1
_MOST_DIGITS = 100  # more are no number that is meant, and take time to read
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_VARIABLE = re.compile(r"([A-Za-z_]\w*)(?::-(.*))?", re.DOTALL)


class _Loader(yaml.SafeLoader):
    """The safe composer with the scalar rules of YAML 1.2, for texts of so many keys and values and no more."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    composed = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node; raises MarkedYAMLError where there are too many."""
        self.composed += 1
        if self.composed > _MAX_NODES:
            problem = f"more than {_MAX_NODES:,} keys and values"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


for _name, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?\d+(?:_\d+)*$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$", list("-+.0123456789")),
    ("merge", r"^<<$", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def read_text(text: str, origin: Place, problems: Problems) -> tuple[Any, dict[KeyPath, Place]]:
    """Return the value of one YAML document and the place of every key path in it.

    ``origin`` is the place of the text: a file's first line, or an override, whose lines do not count. Problems that
    leave a value behind (a duplicate key, an unset variable) go to ``problems``; a text that is no YAML ends the
    reading by raising ConfigError.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.fail(origin.at_line(line), (), "not valid YAML: a control character stands there", "remove it")
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        problems.fail(origin.at_line(line), (), f"not valid YAML: {reason}", "check indentation, quotes and brackets")
    except RecursionError:
        problems.fail(origin, (), "not valid YAML: nested too deeply", "flatten it")
    finally:
        loader.dispose()
    if root is None:
        return None, {(): origin}
    reading = _Reading(origin, problems)
    return reading.value(root, ()), reading.places


def read_file(path: Path, problems: Problems) -> tuple[Any, dict[KeyPath, Place]]:
    """Return ``read_text`` of a file; a file that cannot be read ends the reading by raising ConfigError."""
    origin = Place(path, 1)
    if kind_at(path) != "file":
        problems.fail(origin, (), "no such file", "a comparison is a file, no folder, device or pipe")
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        problems.fail(origin, (), f"cannot be read: {error.strerror}", "check the path and its permissions")
    if len(raw) > _MAX_BYTES:
        what = f"longer than {_MAX_BYTES:,} bytes, the most that a comparison file may have"
        problems.fail(origin, (), what, "rows, prompts and texts go into files that it names by `path:`")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.fail(origin.at_line(line), (), "not UTF-8 text", "save the file as UTF-8")
    return read_text(text, origin, problems)


class _Reading:
    """One walk over the nodes of a document."""

    def __init__(self, origin: Place, problems: Problems) -> None:
        self.origin = origin
        self.problems = problems
        self.places: dict[KeyPath, Place] = {}
        self.open: set[int] = set()
        self.count = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the plain value of a node and note where it stands, unless its key has been noted already."""
        place = self.place(node)
        self.places.setdefault(path, place)
        self.count += 1
        if self.count > _MAX_VALUES:
            self.problems.fail(place, path, f"more than {_MAX_VALUES} values", "use fewer aliases of aliases")
        if len(path) > _MAX_DEPTH:
            self.problems.fail(place, path[:4], f"nested more than {_MAX_DEPTH} deep", "flatten it")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.open:
            self.problems.fail(place, path, "an alias that contains itself", "remove the alias")
        self.open.add(id(node))
        result: Any
        if isinstance(node, yaml.SequenceNode):
            result = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            result = self.mapping(node, path)
        self.open.discard(id(node))
        return result

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        """Return a mapping: its own keys first, then those merged in with ``<<`` that it does not have itself."""
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            place = self.place(key_node)
            if key_node.tag == _MERGE:
                merged.append(value_node)
                continue
            key = self.key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in lines:
                what = f"the key '{key}' stands twice, in lines {lines[key]} and {place.line}"
                self.problems.add(place, here, what, "remove one of the two")
                continue
            lines[key] = place.line
            self.places[here] = place
            found[key] = self.value(value_node, here)
        for source in merged:
            self.merge(source, found, path)
        return found

    def merge(self, source: yaml.Node, found: dict[str, Any], path: KeyPath) -> None:
        """Add what ``<<`` names to a mapping, keys that are there already left alone."""
        parts = source.value if isinstance(source, yaml.SequenceNode) else [source]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self.problems.add(self.place(part), path, "'<<' takes a mapping or a list of mappings")
                continue
            inner = _Reading(self.origin, self.problems)
            inner.open, inner.count = self.open, self.count
            new = {key: item for key, item in inner.value(part, path).items() if key not in found}
            found.update(new)
            below = ((at, place) for at, place in inner.places.items() if len(at) > len(path))
            self.places.update({at: place for at, place in below if at[len(path)] in new})
            self.count = inner.count

    def key(self, node: yaml.Node, path: KeyPath) -> str | None:
        """Return a key's text; a key that is not text is a problem."""
        if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "str" and _is_text(str(node.value)):
            return str(node.value)
        shown = abridged(repr(node.value), 80) if isinstance(node, yaml.ScalarNode) else "this key"
        self.problems.add(self.place(node), path, f"a key must be text, and {shown} is not", "put it in quotes")
        return None

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        """Return a scalar's value, variables of the environment replaced."""
        tag, text = node.tag, str(node.value)
        if tag == _TAG + "str" and "${" in text:
            text = self.expanded(text, path)
            if node.style is None:
                tag = str(_Loader("").resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]
        kind = tag.removeprefix(_TAG)
        try:
            return _plain_value(kind, text)
        except ValueError:
            what = f"{text[:40]!r} cannot be read as {'text' if kind == 'str' else kind}"
        except KeyError:
            what = f"the tag {abridged(node.tag.replace(_TAG, '!!'), 80)} is not allowed"
        except OverflowError:
            what = f"{abridged(text, 40)} cannot be read as int: it is beyond 2^63"
        self.problems.unreadable(self.places[path], path, what, "write plain text, a number, true, false or null")
        return None

    def expanded(self, text: str, path: KeyPath) -> str:
        """Return a text with its ``${...}`` replaced; a variable that is not set and has no default is a problem."""

        def replacement(match: re.Match[str]) -> str:
            if match.group() == "$${":
                return "${"
            variable = _VARIABLE.fullmatch(match.group(1)) if match.group().endswith("}") else None
            if variable is None:
                what = f"{abridged(match.group(), 80)!r} is no reference to a variable"
                hint = "write ${NAME}, ${NAME:-default}, or $${ for a plain ${"
                self.problems.unreadable(self.places[path], path, what, hint)
                return ""
            name, default = variable.groups()
            value = os.environ.get(name)
            if default is not None:
                return value or str(default)
            if value is None:
                what = f"the environment variable {name} is not set"
                self.problems.unreadable(self.places[path], path, what, f"set it, or write ${{{name}:-default}}")
            return value or ""

        return _REFERENCE.sub(replacement, text)

    def place(self, node: yaml.Node) -> Place:
        """Return where a node stands."""
        return self.origin.at_line(node.start_mark.line + 1)


def _plain_value(kind: str, text: str) -> Any:
    """Return the value of a scalar of a core type; raises KeyError for another type, ValueError for a bad text."""
    if kind == "bool":
        return {"true": True, "false": False}[text.lower()]
    if not _is_text(text):
        raise ValueError("no file or model has such a character in its name")
    if kind == "int" and len(text) > _MOST_DIGITS:
        raise OverflowError
    readers: dict[str, Any] = {
        "str": str,
        "null": lambda _text: None,
        "int": lambda digits: int(digits.replace("_", "")),
        "float": float,
        "merge": str,
    }
    value = readers[kind](text)
    if kind == "int" and abs(value) > _MAX_WHOLE:
        raise OverflowError
    return value


def _is_text(text: str) -> bool:
    """Return whether a text has no null character, which no path can have, and no half of a character."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
