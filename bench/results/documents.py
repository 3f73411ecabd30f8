"""A JSON document that a run leaves beside its comparison file: its name, its model, how it is written and read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from bench.core.errors import DataError
from bench.core.files import refuse_endless, replace_text
from bench.core.frozen import Frozen
from bench.results.strict_json import parsed, printable_line

CHECKSUM = "checksum"  # the field of a document that holds one over all others
M = TypeVar("M", bound=Frozen)
RUN_AGAIN = "Run `bench run {folder}` again: finished stages are kept."


def as_it_is(body: Any) -> Any:
    """Return the body of a document: all of it is fields."""
    return body


def checksum(body: Mapping[str, Any]) -> str:
    """Return the sha256 of a document's content, its own checksum left out."""
    rest = {name: value for name, value in body.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class JsonFile(Generic[M]):
    """A JSON file of a run.

    ``what`` it is, in words. ``again``: the command that makes it, with ``{folder}`` in the place of the results
    folder. ``text``: the file's text; equal values give equal bytes. ``fields``: from the parsed text to the model's
    fields; raises ValueError, with the reason, for a file of another kind or version.
    """

    name: str
    model: type[M]
    what: str
    again: str
    text: Callable[[M], str]
    fields: Callable[[Any], Any] = as_it_is

    def path(self, folder: Path) -> Path:
        """Return where the file lies in a results folder."""
        return folder / self.name

    def write(self, value: M, folder: Path) -> None:
        """Write the value into a results folder."""
        self.write_to(self.path(folder), value)

    def write_to(self, path: Path, value: M) -> None:
        """Write the value to a file of any name."""
        replace_text(path, self.text(value))

    def read(self, folder: Path) -> M:
        """Return the value of a results folder; see ``read_from``."""
        return self.read_from(self.path(folder))

    def read_from(self, path: Path) -> M:
        """Return the value in a file.

        Raises DataError, with the command that makes the file, where there is none and for one that this version does
        not read.
        """
        again = self.again.format(folder=path.parent)
        try:
            refuse_endless(path)
            return self.model.model_validate(self.fields(parsed(path.read_text(encoding="utf-8"))))
        except FileNotFoundError:
            raise DataError(f"{path}: no {self.what} there. {again}") from None
        except ValidationError as error:
            reason = first_problem(error)
        except OSError as error:
            reason = str(error.strerror)
        except ValueError as error:
            reason = str(error)
        raise DataError(f"{path}: not a {self.what} that this version reads ({printable_line(reason)}). {again}")


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with a document; a field that nobody knows is of a newer version."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"`{where}` is unknown: was it written by a newer version?"
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def as_json_without_empty(*names: str) -> Callable[[Frozen], str]:
    """Return what makes JSON with sorted names of a value, without those of the named fields that are empty.

    A file of an earlier version, which had none of them, is so written again to the same bytes.
    """

    def text(value: Frozen) -> str:
        empty = {name for name in names if not getattr(value, name)}
        return json.dumps(value.model_dump(mode="json", exclude=empty), indent=1, sort_keys=True) + "\n"

    return text
