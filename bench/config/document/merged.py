"""Layers of a comparison: the file, the files it extends, and the overrides of the command line.

Mappings are merged key by key, lists and single values replaced. A mapping that names another source or plug-in than
the one it overlays (``world``, ``path``, ``repo``, ``method``, ``judge``) replaces it whole, because the fields of one
do not fit the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.document.positions import read_file, read_text
from bench.config.document.problems import KeyPath, Place, Problems, dotted, shown
from bench.config.fields.named_files import FilesToRead
from bench.core.errors import BenchError
from bench.core.files import kind_at, resolved

COMPARISON_FILE = "comparison.yaml"
_MOST_LAYERS = 40  # files that extend each other
_MOST_STEPS = 40  # parts of a key after --set
_MOST_DIGITS = 9
_SELECTORS = ("world", "path", "repo", "method", "judge")


@dataclass
class MergedDocument:
    """The merged value of all layers, and the place of every key path in it."""

    value: dict[str, Any]
    places: dict[KeyPath, Place]


def read_layers(path: Path, overrides: Sequence[str], problems: Problems, files: FilesToRead) -> MergedDocument:
    """Return the comparison in ``path`` (a file, or a folder that holds comparison.yaml), all layers merged.

    Raises ConfigError when a layer is missing, is no mapping, or extends itself.
    """
    file = comparison_file(path)
    if kind_at(file) != "file" and files.text(file) is None:
        problems.fail(Place(file, 1), (), "no such comparison file", "`bench new NAME` writes one to start from")
    document = _read_with_parents(file, problems, (), files)
    for override in overrides:
        _apply(override, document, problems)
    return document


def comparison_file(path: Path) -> Path:
    """Return the absolute path of the comparison file that a file or folder stands for."""
    path = resolved(path)
    return path / COMPARISON_FILE if kind_at(path) == "folder" else path


def layers_of(file: Path) -> list[Path]:
    """Return a comparison file and every file that it extends, the file itself first; none that cannot be read."""
    found: list[Path] = []
    while file not in found and len(found) <= _MOST_LAYERS and kind_at(file) == "file":
        found.append(file)
        try:
            value, _ = read_file(file, Problems())
        except BenchError:
            break  # whoever loads the comparison is told what is wrong with it
        parent = value.get("extends") if isinstance(value, dict) else None
        if not isinstance(parent, str):
            break
        file = comparison_file(file.parent / parent)
    return found


def _read_with_parents(
    file: Path, problems: Problems, chain: tuple[Path, ...], files: FilesToRead
) -> MergedDocument:  # fmt: skip
    text = None if kind_at(file) == "file" else files.text(file)
    value, places = read_file(file, problems) if text is None else read_text(text, Place(file, 1), problems)
    chain = (*chain, file)
    if value is None:
        problems.fail(Place(file, 1), (), "the file is empty", "`bench new NAME` writes a comparison to start from")
    if not isinstance(value, dict):
        problems.fail(places[()], (), "a comparison is a mapping, and this is not", "start with `question: ...`")
    document = MergedDocument(value, places)
    if "extends" not in value:
        return document
    place = places["extends",]
    parent = value.pop("extends")
    document.places = {at: where for at, where in places.items() if at[:1] != ("extends",)}
    if not isinstance(parent, str):
        problems.fail(place, ("extends",), "must be the path of another comparison file", None)
    target = comparison_file(place.folder / parent)
    if target in chain:
        circle = " -> ".join(shown(item) for item in (*chain[chain.index(target) :], target))
        problems.fail(place, ("extends",), f"the files extend each other in a circle: {circle}", "cut the circle")
    if len(chain) > _MOST_LAYERS:
        problems.fail(place, ("extends",), f"more than {_MOST_LAYERS} files extend each other", "put some into one")
    if kind_at(target) != "file" and files.text(target) is None:
        problems.fail(place, ("extends",), f"{shown(target)}: no such file", "the path starts from this file's folder")
    return _merged(_read_with_parents(target, problems, chain, files), document)


def _merged(below: MergedDocument, above: MergedDocument) -> MergedDocument:
    taken: set[KeyPath] = set()  # what is above's alone, with all below it
    both: set[KeyPath] = set()  # mappings of keys of both

    def merge(old: Any, new: Any, path: KeyPath) -> Any:
        if not (isinstance(old, dict) and isinstance(new, dict)) or _names_another(old, new):
            taken.add(path)
            return new
        both.add(path)
        result = dict(old)
        for key, item in new.items():
            here = (*path, key)
            if key in old:
                result[key] = merge(old[key], item, here)
            else:
                taken.add(here)
                result[key] = item
        return result

    def is_taken(at: KeyPath) -> bool:
        return any(at[:length] in taken for length in range(len(at) + 1))

    merged = merge(below.value, above.value, ())
    places = {at: place for at, place in below.places.items() if not is_taken(at)}
    places |= {at: place for at, place in above.places.items() if at in both or is_taken(at)}
    return MergedDocument(merged, places)


def _names_another(old: dict[str, Any], new: dict[str, Any]) -> bool:
    chosen = {name: new[name] for name in _SELECTORS if name in new}
    return bool(chosen) and chosen != {name: old[name] for name in _SELECTORS if name in old}


def _apply(override: str, document: MergedDocument, problems: Problems) -> None:
    """Put the value of ``a.b.c=value`` in its place, keys that are not there yet added."""
    key, equals, text = override.partition("=")
    key = key.strip()
    place = Place(None, 0, key)
    if not equals or not all(key.split(".")):
        place = Place(None, 0, override)
        return problems.add(place, (), "an override has the form KEY=VALUE", "for example --set given.seeds='[0, 1]'")
    if len(key.split(".")) > _MOST_STEPS:
        return problems.add(place, (), f"a key has at most {_MOST_STEPS} parts", "for example --set given.seeds='[0]'")
    if key.partition(".")[0] == "extends":
        return problems.add(place, (), "`extends` cannot be overridden", "write it in the file")
    value, inner = read_text(text, place, problems)
    target = _step_into(document, key.split(".")[:-1], place, problems)
    if target is None:
        return None
    container, path = target
    last: str | int = key.split(".")[-1]
    if isinstance(container, list):
        index = _index(container, str(last))
        if index is None:
            return problems.add(place, (), _no_such_item(container, str(last), path))
        last = index
    here = (*path, last)
    container[last] = value
    for old in [at for at in document.places if at[: len(here)] == here]:
        del document.places[old]
    document.places.update({(*here, *at): where for at, where in inner.items()})
    return None


def _step_into(
    document: MergedDocument, keys: list[str], place: Place, problems: Problems
) -> tuple[Any, KeyPath] | None:
    """Return the container below ``keys`` and its path; keys that are missing are added as empty mappings."""
    container: Any = document.value
    path: KeyPath = ()
    for key in keys:
        step: str | int = key
        if isinstance(container, list):
            index = _index(container, key)
            if index is None:
                problems.add(place, (), _no_such_item(container, key, path))
                return None
            step = index
        elif container.get(key) is None:
            container[key] = {}
            document.places.setdefault((*path, key), place)
        container, path = container[step], (*path, step)
        if not isinstance(container, dict | list):
            problems.add(place, (), f"{dotted(path)} is a single value, so nothing stands below it")
            return None
    return container, path


def _index(items: list[Any], key: str) -> int | None:
    """Return a list index from its text, None when the list has no such item."""
    return int(key) if key.isdecimal() and len(key) < _MOST_DIGITS and int(key) < len(items) else None


def _no_such_item(items: list[Any], key: str, path: KeyPath) -> str:
    return f"{dotted(path)} is a list of {len(items)}, and '{key}' is none of its positions (they count from 0)"
