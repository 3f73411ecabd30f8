"""The manifest of an artefact: what is in it, how it is written, and how strictly it is read.

Version 2 ends with a checksum over everything else in it, so that one flipped bit is noticed wherever it is. Version 1
had none; its artefacts are still read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bench.core.errors import DamagedArtefact, one_line
from bench.core.files import never_ends
from bench.core.frozen import encode
from bench.core.machine_limits import says_nothing_of_the_file
from bench.core.stage import Stage
from bench.results.documents import CHECKSUM, checksum

MANIFEST = "manifest.json"
MANIFEST_VERSION = 2
# The fields of each version that is read.
FIELDS = ("manifest_version", "kind", "key", "version", "inputs", "spec", "files", "cost", "provenance")
FIELDS_BY_VERSION = {1: frozenset(FIELDS), 2: frozenset((*FIELDS, CHECKSUM))}
MOST_BYTES = 64 * 2**20
# No count or number of FLOPs or seconds is as large.
MOST_COST = 10**30
# What others read of a cost.
COUNTED = {"seconds", "flops", "read_tokens", "generated_tokens"}
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """What is known about a finished artefact: its files with their digests, its cost, and where it was made."""

    kind: str
    key: str
    files: Mapping[str, str]
    cost: Mapping[str, float]
    provenance: Mapping[str, Any]

    def text_for(self, stage: Stage) -> str:
        """Return the text of the file, with what the stage is made of."""
        body = {
            "manifest_version": MANIFEST_VERSION,
            "kind": self.kind,
            "key": self.key,
            "version": stage.VERSION,
            "inputs": {step.key: step.KIND for step in stage.inputs()},
            "spec": encode(stage),
            "files": dict(self.files),
            "cost": dict(self.cost),
            "provenance": dict(self.provenance),
        }
        # Through JSON first, so that the checksum is of what a reader will have before it.
        whole = json.loads(json.dumps(body, allow_nan=False))
        return json.dumps({**whole, CHECKSUM: checksum(whole)}, indent=1, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in a folder.

    Raises DamagedArtefact, with the reason, for everything that this version would not have written there: no file,
    a folder in its place, a text that is not JSON, fields of other types, costs that no computation has, another
    version, another checksum. What only the machine is to blame for (memory, open files) is raised as it is.
    """
    path = folder / MANIFEST
    if never_ends(path):
        _refuse("is a pipe or a device")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            _refuse(f"has more than {MOST_BYTES:,} bytes")
        body = json.loads(content.decode("utf-8"), parse_constant=_no_number)
        return _checked(body)
    except FileNotFoundError:
        raise DamagedArtefact(f"there is no {MANIFEST}") from None
    except OSError as error:
        if says_nothing_of_the_file(error):
            raise
        raise DamagedArtefact(f"its {MANIFEST} cannot be read ({error.strerror})") from error
    except RecursionError as error:
        raise DamagedArtefact(f"its {MANIFEST} is nested too deeply") from error
    except ValueError as error:
        raise DamagedArtefact(f"its {MANIFEST} cannot be read ({one_line(str(error), 200)})") from error


def _checked(body: Any) -> Manifest:
    """Return the manifest that a parsed file says; raises DamagedArtefact where it is not one."""
    if not isinstance(body, dict):
        _refuse("is no JSON object")
    version = body.get("manifest_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        _refuse("says no version")
    if version not in FIELDS_BY_VERSION:
        _refuse(f"is of a newer version of the bench ({one_line(str(version), 20)}; this one reads {MANIFEST_VERSION})")
    odd = body.keys() ^ FIELDS_BY_VERSION[version]
    if odd:
        _refuse(f"lacks or adds {one_line(', '.join(sorted(odd)), 200)}")
    for name in ("kind", "key"):
        if not isinstance(body[name], str):
            _refuse(f"has a {name} that is no text")
    for name in ("inputs", "spec", "files", "cost", "provenance"):
        if not isinstance(body[name], dict):
            _refuse(f"has {name} that are no mapping")
    if not all(isinstance(value, str) and DIGEST.fullmatch(value) for value in body["files"].values()):
        _refuse("has digests of files that are none")
    if not body["cost"].keys() >= COUNTED or not all(_is_cost(value) for value in body["cost"].values()):
        _refuse("has costs that no computation has")
    if CHECKSUM in body and body[CHECKSUM] != checksum(body):
        _refuse("differs from its checksum")
    return Manifest(body["kind"], body["key"], body["files"], body["cost"], body["provenance"])


def _is_cost(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST_COST


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _refuse(why: str) -> NoReturn:
    raise DamagedArtefact(f"its {MANIFEST} {why}")
