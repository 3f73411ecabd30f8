"""Data sets of the Hugging Face hub: which files of which commit hold the rows of a split. No script is ever run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from bench.core.errors import DataError, did_you_mean, one_line, some_of
from bench.core.files import text_in
from bench.core.formats.folders import SUFFIXES, check_complete, chosen_split, kind_of_file, split_of

README = "README.md"
MOVING = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOST_README = 5_000_000
SECONDS = 10.0  # for the hub to answer what a revision is
_HEAD = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class HubAsked:
    """What a comparison names on the hub."""

    repo: str
    revision: str = MOVING
    config: str | None = None
    split: str | None = None

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


@dataclass(frozen=True)
class HubFound:
    """Files of a data set: ``folder`` is a commit's snapshot in the cache, ``files`` are relative to it."""

    commit: str
    folder: Path
    files: tuple[str, ...]


def found_on_hub(asked: HubAsked) -> HubFound:
    """Return the files of a data set on the hub, downloaded where they are not in the cache.

    Offline (``HF_HUB_OFFLINE``), or where the hub cannot be reached, they are taken from the cache: of the hub, or what
    ``datasets`` has prepared from it. Raises DataError where there are none, for an unknown configuration or split, and
    for a repository without files of rows.
    """
    from huggingface_hub import errors  # noqa: PLC0415 - imported where data comes from the hub alone

    try:
        there = _on_hub(asked)
        folder = _snapshot(asked, [README], there)
        names = _in_cache(folder) if there is None else there.names
        files = _files(asked, folder, names)
        folder = _snapshot(asked, list(files), there)
    except errors.LocalEntryNotFoundError as error:
        prepared = _prepared(asked)
        if prepared is None:
            raise DataError(
                f"{asked}: not in the cache, and the hub cannot be reached\nrun once where it can be, or download it: "
                f"`hf download {asked.repo} --repo-type dataset --revision {asked.revision}`"
            ) from error
        return prepared
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError, ValueError) as error:
        raise DataError(f"{asked}: cannot be had from the hub ({one_line(str(error), 200)})") from error
    lacking = [name for name in files if not (folder / name).is_file()]
    if lacking:
        raise DataError(f"{asked}: not in the cache, and the hub cannot be reached: {some_of(lacking)}")
    return HubFound(folder.name, folder, files)


@dataclass(frozen=True)
class _Known:
    """What the hub says of a repository: the commit that the revision is now, and the names of its files."""

    commit: str
    names: tuple[str, ...]


def _on_hub(asked: HubAsked) -> _Known | None:
    """Return what the hub says, None where it cannot be reached."""
    from huggingface_hub import HfApi, constants, errors  # noqa: PLC0415

    if constants.HF_HUB_OFFLINE:
        return None
    unreachable: tuple[type[BaseException], ...] = (
        errors.OfflineModeIsEnabled,
        TimeoutError,
        ConnectionError,
        *transport_errors(),
    )
    try:
        info = HfApi().dataset_info(asked.repo, revision=asked.revision, timeout=SECONDS)
    except unreachable:
        return None
    return _Known(str(info.sha), tuple(sorted(one.rfilename for one in info.siblings or ())))


def transport_errors() -> tuple[type[Exception], ...]:
    """Return what the hub's client raises where a connection cannot be made or breaks: its library's own errors."""
    libraries = [sys.modules[name] for name in ("httpx2", "httpx") if name in sys.modules]
    return tuple(library.TransportError for library in libraries)


def _snapshot(asked: HubAsked, patterns: Sequence[str], there: _Known | None) -> Path:
    """Return the folder of a commit with those of these files that it has; offline, from the cache alone."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    revision = asked.revision if there is None else there.commit
    return Path(
        snapshot_download(
            asked.repo,
            repo_type="dataset",
            revision=revision,
            allow_patterns=list(patterns),
            local_files_only=there is None,
        )
    )


def _in_cache(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))


def _files(asked: HubAsked, folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the files of the split of the configuration that is asked for."""
    rows = [name for name in names if kind_of_file(name) in SUFFIXES and not name.startswith(".")]
    configs = _configs(folder / README, str(asked))
    by_split = _of_config(_chosen_config(asked, configs), rows) if configs else _by_name(asked, rows)
    if not by_split:
        script = f"{asked.repo.rpartition('/')[2]}.py" in names
        why = "it is made by a script, which is not run" if script else f"known: {', '.join(SUFFIXES)}"
        raise DataError(f"{asked}: holds no files of rows, or has none in the cache ({why})")
    files = chosen_split(by_split, asked.split, str(asked))
    check_complete(files, str(asked))
    return files


def _configs(readme: Path, where: str) -> list[Mapping[str, Any]]:
    """Return the configurations that the head of a README declares with their files."""
    if not readme.is_file():
        return []
    head = _HEAD.match(text_in(readme, _MOST_README))
    try:
        meta = yaml.safe_load(head.group(1)) if head is not None else None
    except yaml.YAMLError as error:
        raise DataError(f"{where}: the head of its README is no YAML") from error
    configs = meta.get("configs") if isinstance(meta, dict) else None
    return [one for one in configs if isinstance(one, dict)] if isinstance(configs, list) else []


def _chosen_config(asked: HubAsked, configs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    by_name = {str(one.get("config_name", "default")): one for one in configs}
    if asked.config is not None:
        if asked.config not in by_name:
            raise DataError(f"{asked}: has no configuration '{asked.config}'. {did_you_mean(asked.config, by_name)}")
        return by_name[asked.config]
    default = [one for name, one in by_name.items() if one.get("default") is True or name == "default"]
    if len(by_name) == 1 or default:
        return default[0] if default else configs[0]
    raise DataError(
        f"{asked}: has the configurations {some_of(sorted(by_name))}\nsay which: `config: {sorted(by_name)[0]}`"
    )


def _of_config(config: Mapping[str, Any], rows: Sequence[str]) -> dict[str | None, tuple[str, ...]]:
    """Return the files of each split of a configuration: those that its patterns name, in the order of their names."""
    folder = str(config.get("data_dir") or "").strip("/")
    own = [name for name in rows if not folder or name.startswith(f"{folder}/")]
    data_files = config.get("data_files")
    if data_files is None:
        return _split_by_name(own)
    listed = data_files if isinstance(data_files, list) else [data_files]
    if isinstance(data_files, dict):
        listed = [{"split": split, "path": path} for split, path in data_files.items()]
    found: dict[str | None, tuple[str, ...]] = {}
    for entry in listed:
        split = entry.get("split", "train") if isinstance(entry, dict) else "train"
        path = entry.get("path") if isinstance(entry, dict) else entry
        patterns = [str(one) for one in (path if isinstance(path, list) else [path])]
        files = [name for name in own if any(_matches(name, one, folder) for one in patterns)]
        found[str(split)] = (*found.get(str(split), ()), *files)
    return {split: files for split, files in found.items() if files}


def _matches(name: str, pattern: str, folder: str) -> bool:
    whole = f"{folder}/{pattern}" if folder else pattern
    return fnmatch(name, whole.removeprefix("./")) or fnmatch(name, whole.replace("**/", ""))


def _by_name(asked: HubAsked, rows: Sequence[str]) -> dict[str | None, tuple[str, ...]]:
    """Return the files of each split by their names; a configuration is a folder of the repository then."""
    if asked.config is None:
        top = [name for name in rows if "/" not in name]
        return _split_by_name(top or rows)
    own = [name for name in rows if name.startswith(f"{asked.config}/")]
    if not own:
        folders = sorted({name.partition("/")[0] for name in rows if "/" in name})
        raise DataError(f"{asked}: has no configuration '{asked.config}'. {did_you_mean(asked.config, folders)}")
    return _split_by_name(own)


def _split_by_name(rows: Sequence[str]) -> dict[str | None, tuple[str, ...]]:
    found: dict[str | None, tuple[str, ...]] = {}
    for name in rows:
        split = split_of(name)
        found[split] = (*found.get(split, ()), name)
    return found


# What `datasets` has prepared -----------------------------------------------------------------------------------------


def _prepared(asked: HubAsked) -> HubFound | None:
    """Return what ``datasets`` has prepared of a data set in its cache, None where there is nothing.

    It lies at ``org___name/config/version/commit/name-split.arrow`` (the name in lower case, with underscores). Raises
    DataError where several are meant.
    """
    from huggingface_hub import constants  # noqa: PLC0415

    owner, _, name = asked.repo.rpartition("/")
    cache = _datasets_cache(Path(constants.HF_HOME))
    roots = [
        one for one in cache.glob(f"{owner}___*" if owner else "*") if _are_one(one.name.rpartition("___")[2], name)
    ]
    places = sorted({path.parent for one in roots for path in one.glob("*/*/*/*.arrow")})
    places = [place for place in places if (place / "dataset_info.json").is_file()]  # the last that is written
    if asked.config is not None:
        places = [place for place in places if place.parts[-3] == asked.config]
    if _COMMIT.fullmatch(asked.revision):
        places = [place for place in places if place.name == asked.revision]
    if not places:
        return None
    if len(places) > 1:
        known = some_of(["/".join(place.parts[-3:]) for place in places])
        raise DataError(f"{asked}: `datasets` has prepared it several times ({known})\nsay which by config or commit")
    by_split: dict[str | None, tuple[str, ...]] = {}
    for path in sorted(places[0].glob("*.arrow")):
        split = re.sub(r"-\d{5}-of-\d{5}$", "", path.stem).rpartition("-")[2]
        by_split[split] = (*by_split.get(split, ()), path.name)
    return HubFound(places[0].name, places[0], chosen_split(by_split, asked.split, str(asked)))


def _are_one(one: str, other: str) -> bool:
    """Return whether two names differ at most in case and marks: ``datasets`` writes HelpSteer2 as help_steer2."""
    return re.sub(r"[-_.]", "", one).lower() == re.sub(r"[-_.]", "", other).lower()


def _datasets_cache(home: Path) -> Path:
    named = os.environ.get("HF_DATASETS_CACHE")
    return home / "datasets" if named is None else Path(named)
