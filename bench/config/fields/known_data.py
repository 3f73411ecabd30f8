"""Files of data that an earlier plan has looked at: what it found, kept beside the store by what their bytes are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from bench.config.fields.named_files import FilesToRead, digest_of
from bench.core.data import Data
from bench.core.errors import DataError
from bench.core.files import kind_at, replace_text
from bench.core.frozen import Frozen, digest
from bench.core.lengths import RowsOf
from bench.core.row_formats.row_facts import RowFacts, known_facts, remember

# Raised by hand where rows that were right are so no more, or a file's format is another.
VERSION = 1


class LookedAt(Frozen):
    """What was found in a file of data: what it is, and what its rows tell."""

    data: Data
    facts: RowFacts


class FilesKnown(FilesToRead):
    """What a run to come reads, where rows that were looked at once, and were right, are not looked at again.

    ``folder``: where that is kept. Nothing is written before ``keep``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new: dict[str, LookedAt] = {}

    def data(self, asked: Data, checked: Callable[[], Data], rows_of: RowsOf) -> Data:
        """Return the data that is asked for, which ``checked`` gives where these bytes were not looked at before."""
        if kind_at(Path(asked.path)) is None:
            return checked()
        try:
            content = digest_of(Path(asked.path))
        except DataError:  # whoever looks at the rows says what is wrong
            return checked()
        settings = {name: getattr(asked, name) for name in sorted(asked.model_fields_set - {"path"})}
        key = digest([VERSION, version("alignment-bench"), rows_of, content, settings])
        known = self._kept(key)
        if known is None:
            found = checked()
            if (facts := known_facts(found, rows_of)) is not None:
                self._new[key] = LookedAt(data=found, facts=facts)
            return found
        found = known.data.model_copy(update={"path": asked.path})
        remember(found, rows_of, known.facts)
        return found

    def keep(self) -> None:
        """Write down what was found; where that cannot be, it is found again."""
        for key, found in self._new.items():
            with contextlib.suppress(OSError):
                replace_text(self._place(key), found.model_dump_json())

    def _kept(self, key: str) -> LookedAt | None:
        with contextlib.suppress(OSError, ValueError, RecursionError):  # not there, or damaged: it is found again
            return LookedAt.model_validate_json(self._place(key).read_text(encoding="utf-8"))
        return None

    def _place(self, key: str) -> Path:
        return self._folder / f"rows-{key}.json"
