"""A folder of files of rows: shards, what ``datasets`` saves to disk, and the splits of either."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from bench.core.errors import DataError, did_you_mean, some_of
from bench.core.files import kind_at, text_in

PACKED = (".gz", ".bz2", ".zst")
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow")
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"
# What tells of data and has no rows.
_BESIDE = frozenset({SAVED, SAVED_SPLITS, "dataset_info.json", "dataset_infos.json", "README.json", "package.json"})
_MOST_FILES = 10_000
_MOST_BYTES = 10_000_000
_SHARD = re.compile(r"(?P<split>\w+)-\d{5}-of-\d{5}$")
_NUMBERED = re.compile(r"-(?P<number>\d{5})-of-(?P<of>\d{5})\b")
_WORDS = {
    "train": "train", "training": "train",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z]+")


def kind_of_file(name: str) -> str:
    """Return the suffix that says what a file is, that of packing left out; empty for a name without one."""
    path = PurePosixPath(name)
    return PurePosixPath(path.stem).suffix if path.suffix in PACKED else path.suffix


def shards_in(folder: Path, split: str | None, where: str) -> tuple[str, ...]:
    """Return the names of the files of a folder that hold the rows of a split, sorted, relative to the folder.

    A folder that ``datasets`` saved says which files it has, in their order. In any other, files with rows are those
    with a known suffix in it and in its folders, hidden ones left out; their split is the word before
    ``-00000-of-00001``, or a word such as ``train`` or ``test`` in their name or their folder's. ``where``: how
    messages name the folder. Raises DataError for a folder without any, for an unknown split, and where there are
    several splits and none is named.
    """
    if (folder / SAVED_SPLITS).is_file():
        return _saved_split(folder, split, where)
    if (folder / SAVED).is_file():
        if split is not None:
            raise DataError(f"{where}: holds one data set without splits\nleave out `split:`")
        return _saved_files(folder, where)
    by_split: dict[str | None, list[str]] = {}
    for name in sorted(_files_with_rows(folder, where)):
        by_split.setdefault(split_of(name), []).append(name)
    if not by_split:
        raise DataError(f"{where}: holds no files of rows (known: {', '.join(SUFFIXES)})")
    files = chosen_split({name: tuple(names) for name, names in by_split.items()}, split, where)
    check_complete(files, where)
    return files


def check_complete(names: Sequence[str], where: str) -> None:
    """Raise DataError where a name says of how many files it is one, and there are others than these."""
    parts: dict[tuple[str, str], set[str]] = {}
    for name in names:
        found = _NUMBERED.search(name)
        if found is not None:
            parts.setdefault((name[: found.start()], found["of"]), set()).add(found["number"])
    for (before, of), numbers in parts.items():
        if len(numbers) != int(of):
            raise DataError(
                f"{where}: has {len(numbers):,} of the {int(of):,} files {before}-...-of-{of}\nget the others, too"
            )


def chosen_split(by_split: dict[str | None, tuple[str, ...]], split: str | None, where: str) -> tuple[str, ...]:
    """Return the files of a split; of the only one where none is named."""
    names = sorted(name for name in by_split if name is not None)
    if split is None and len(by_split) == 1:
        return next(iter(by_split.values()))
    if split is None:
        others = " and files of no split" if None in by_split else ""
        first = "train" if "train" in names else names[0]
        raise DataError(f"{where}: holds the splits {some_of(names)}{others}\nsay which: `split: {first}`")
    if split not in by_split:
        raise DataError(f"{where}: has no split '{split}'. {did_you_mean(split, names)}")
    return by_split[split]


def split_of(name: str) -> str | None:
    """Return the split that the relative name of a file says, None where it says none."""
    path = PurePosixPath(name)
    stem = path.name.partition(".")[0]
    shard = _SHARD.match(stem)
    if shard is not None:
        return _WORDS.get(shard["split"], shard["split"])
    for part in (stem, *reversed(path.parts[:-1])):
        found = {_WORDS[word.lower()] for word in _WORD.findall(part) if word.lower() in _WORDS}
        if len(found) == 1:
            return found.pop()
    return None


def _files_with_rows(folder: Path, where: str) -> Iterator[str]:
    count = 0
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if any(part.startswith((".", "_")) for part in name.parts) or name.name in _BESIDE:
            continue
        kind = kind_at(path)
        if kind_of_file(name.name) in SUFFIXES and kind != "folder":
            if kind is None:
                raise DataError(f"{where}/{name.as_posix()}: no file, or a link to none")
            count += 1
            if count > _MOST_FILES:
                raise DataError(f"{where}: holds more than {_MOST_FILES:,} files of rows")
            yield name.as_posix()


def _saved_split(folder: Path, split: str | None, where: str) -> tuple[str, ...]:
    splits = _json(folder / SAVED_SPLITS, f"{where}/{SAVED_SPLITS}").get("splits")
    if not isinstance(splits, list) or not splits or not all(isinstance(name, str) for name in splits):
        raise DataError(f"{where}/{SAVED_SPLITS}: names no splits")
    (chosen,) = chosen_split({name: (name,) for name in splits}, split, where)
    if not (folder / chosen / SAVED).is_file():
        raise DataError(f"{where}/{chosen}: holds no {SAVED}, so it was not saved whole")
    return tuple(f"{chosen}/{name}" for name in _saved_files(folder / chosen, f"{where}/{chosen}"))


def _saved_files(folder: Path, where: str) -> tuple[str, ...]:
    state = _json(folder / SAVED, f"{where}/{SAVED}")
    if state.get("_indices_data_files"):
        raise DataError(f"{where}: its rows are chosen by a list of indices\nflatten it: ds.flatten_indices()")
    files = state.get("_data_files")
    names = [one.get("filename") for one in files if isinstance(one, dict)] if isinstance(files, list) else []
    right = all(isinstance(name, str) and PurePosixPath(name).name == name for name in names)
    if not names or not right:
        raise DataError(f"{where}/{SAVED}: names no files of rows")
    return tuple(str(name) for name in names)


def _json(path: Path, where: str) -> dict[str, object]:
    try:
        found = json.loads(text_in(path, _MOST_BYTES))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({str(error)[:80]})") from error
    if not isinstance(found, dict):
        raise DataError(f"{where}: no mapping")
    return found
