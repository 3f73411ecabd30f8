"""Judges that a command line names: by name, as a mapping, or in a file with such a mapping."""

from __future__ import annotations

from pathlib import Path

from bench.config.comparison import Named
from bench.config.document.merged import MergedDocument
from bench.config.document.positions import read_file, read_text
from bench.config.document.problems import Place, Problems
from bench.config.document.section import Section
from bench.config.fields.named_files import FilesToRead
from bench.config.fields.named_plugins import read_judge
from bench.core.errors import BenchError, ConfigError, abridged

LABEL = "name"  # the key that calls a judge otherwise, as under `evaluate:`
_KEY = "judge"


def read_judges_asked(texts: list[str]) -> tuple[Named, ...]:
    """Return the judges of these texts: ``NAME``, ``{judge: NAME, ...}``, or a ``.yaml`` file with such a mapping.

    Paths within a mapping start from the current folder, within a file from the file's. Raises BenchError with all
    problems found, and for two judges of one name.
    """
    found = []
    for text in texts:
        try:
            found.append(_read(text))
        except ConfigError as error:
            lines = [str(one).removeprefix(f"--set {_KEY}").strip(": ") for one in error.problems]
            raise BenchError("\n    ".join([f"--judge {abridged(text, 200)}:", *lines])) from error
    names = [named.label for named in found]
    if len(set(names)) < len(names):
        raise BenchError(f"two judges are called {max(names, key=names.count)!r}: give one a `name:` of its own")
    return tuple(found)


def _read(text: str) -> Named:
    problems = Problems()
    if text.endswith((".yaml", ".yml")):
        file = Path(text).resolve()
        if not file.is_file():
            raise BenchError(f"{text}: no such file. Give a judge's name, a mapping, or a file with one.")
        value, places = read_file(file, problems)
    else:
        value, places = read_text(text, Place(None, 0, _KEY), problems)
    places = {(_KEY, *path): place for path, place in places.items()} | {(): places[()]}
    section = Section(MergedDocument({_KEY: value}, places), problems, FilesToRead())
    judge = read_judge(section, (_KEY,), value, beside=(LABEL,))
    if judge is not None:
        try:
            judge.check("compare")
        except BenchError as error:
            section.refused((_KEY,), error)
    if judge is None or len(problems):
        raise problems.error()
    label = value.get(LABEL, judge.NAME) if isinstance(value, dict) else judge.NAME
    return Named(label=str(label), judge=judge)
