"""Tasks of lm-eval among those that a comparison evaluates on: ``{lm_eval: NAME, limit: 100, ...}``."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from bench.config.document.problems import KeyPath
from bench.config.document.section import Section, as_written
from bench.core.benchmark import LmEvalTask
from bench.core.errors import BenchError
from bench.core.files import digest_of_folder
from bench.core.plugins import lm_eval_folder

WORD = "lm_eval"
FOLDER = "folder"
KEYS = (WORD, FOLDER, "limit", "num_fewshot", "prompt")


def is_lm_eval(item: Any) -> bool:
    """Return whether an entry of ``evaluate.tasks`` is a task of lm-eval."""
    return isinstance(item, dict) and WORD in item


def read_lm_eval(section: Section, path: KeyPath, item: dict[str, Any]) -> LmEvalTask | None:
    """Return a task of lm-eval, None (and reported) when it is wrong.

    It is looked for in ``folder``, which holds YAML files in lm-eval's format and nothing else, or without one among
    this program's own (``tasks/lm_eval``), or else it is one that lm-eval comes with. Whether lm-eval knows that name
    shows when the stage runs: asking it takes longer than planning.
    """
    fields = section.keys(path, item, KEYS) or {}
    name = item[WORD]
    if not isinstance(name, str) or not name:
        section.problem((*path, WORD), f"must be the name of a task of lm-eval, not {as_written(name)}")
        return None
    try:
        harness = version(WORD)
    except PackageNotFoundError:
        section.problem((*path, WORD), "lm-eval is not installed", "pip install lm-eval")
        return None
    folder = lm_eval_folder(name)
    if FOLDER in fields:
        if not isinstance(fields[FOLDER], str):
            section.problem((*path, FOLDER), f"must be text, not {as_written(fields[FOLDER])}")
            return None
        folder = section.resolve((*path, FOLDER), fields[FOLDER])
    computed: dict[str, Any] = {"name": name, "harness": harness, FOLDER: None}
    if folder is not None:
        try:
            computed |= {FOLDER: str(folder), "digest": section.files.digest(folder, partial(digest_of_folder, folder))}
        except BenchError as error:
            section.refused((*path, FOLDER), error)
            return None
        if _asks_its_examples(folder, name, fields.get("num_fewshot")):
            section.problem(
                (*path, "num_fewshot"),
                f"the task {name!r} has only the documents that are asked, and an example shows the answer",
                "give it a fewshot_split, a training_split or fewshot_config.samples, or write `num_fewshot: 0`",
            )
            return None
    return section.build(
        LmEvalTask, path, {key: value for key, value in fields.items() if key not in (WORD, FOLDER)}, computed
    )


class _Lenient(yaml.SafeLoader):
    """Reads lm-eval's YAML without running what its tags name (``!function``)."""


_Lenient.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def _asks_its_examples(folder: Path, name: str, wanted: Any) -> bool:
    """Return whether few-shot examples of a task could only be documents that are asked, as far as its file says.

    lm-eval takes examples from a training split, else from a validation split, else from the documents asked. What a
    file includes is not read; the stage looks at the documents themselves.
    """
    for file in sorted(folder.rglob("*.yaml")):
        try:
            task = yaml.load(file.read_text(encoding="utf-8"), Loader=_Lenient)  # noqa: S506 - a SafeLoader
        except (yaml.YAMLError, UnicodeDecodeError):
            continue  # lm-eval says what is wrong with it
        if isinstance(task, dict) and task.get("task") == name and "include" not in task:
            own = task.get("num_fewshot")
            shots = own if own == 0 or wanted is None else wanted
            other = task.get("training_split"), task.get("validation_split") if task.get("test_split") else None
            config = task.get("fewshot_config")
            given = config.get("split", config.get("samples", False)) if isinstance(config, dict) else False
            split = task.get("fewshot_split")
            from_asked = split == (task.get("test_split") or task.get("validation_split")) if split else not any(other)
            return isinstance(shots, int) and shots > 0 and from_asked and given is False
    return False
