"""From a comparison file to a Comparison: every problem at once, each with its line and key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison, GateSettings, StatisticsSettings
from bench.config.document.merged import comparison_file, read_layers
from bench.config.document.problems import Problems
from bench.config.document.section import Section, as_written
from bench.config.fields.named_files import FilesToRead
from bench.config.sections.evaluate import read_evaluation
from bench.config.sections.gate import read_gate
from bench.config.sections.given import read_given
from bench.config.sections.methods import read_methods
from bench.config.sections.primary import check_primary, check_test

ROOT_KEYS = ("extends", "question", "given", "methods", "evaluate", "statistics", "gate", "timeout")
REQUIRED = ("question", "given", "methods", "evaluate")
FILES_TO_READ = FilesToRead()


def load_comparison(
    path: Path, *, overrides: Sequence[str] = (), files: FilesToRead = FILES_TO_READ
) -> Comparison:  # fmt: skip
    """Return the comparison in a file, or in the ``comparison.yaml`` of a folder.

    ``overrides`` are texts ``a.b.c=value``, the value read as YAML. ``files``: how the files that it names are read,
    for a run to come unless something else is said. Reads files and never writes. Raises ConfigError
    with every problem found: where it stands, what is wrong, what to do next.
    """
    problems = Problems()
    section = Section(read_layers(path, overrides, problems, files), problems, files)
    root = section.keys((), section.root, ROOT_KEYS, REQUIRED) or {}
    _check_question(section, root)
    given = read_given(section, root["given"]) if "given" in root else None
    methods = root.get("methods")
    names = list(methods) if isinstance(methods, dict) else []
    lora = given.lora if given is not None else None
    arms = read_methods(section, methods, root.get("given"), lora) if "methods" in root else ()
    before = section.count
    scoring = read_evaluation(section, root["evaluate"], names) if "evaluate" in root else None
    whole = scoring if section.count == before else None  # a gate is not blamed for a task that could not be read
    statistics = section.model(StatisticsSettings, ("statistics",), root.get("statistics", {}))
    if statistics is not None and statistics.interval != "t" and given is not None and len(given.seeds) > 1:
        what = f"`{statistics.interval}` draws prompts again and knows nothing of other training seeds"
        section.problem(("statistics", "interval"), what, "use `t` with several seeds")
    if statistics is not None and whole is not None:
        statistics = check_primary(section, statistics, whole)
        check_test(section, statistics, whole, 1 if given is None else len(given.seeds))
    gate, gate_settings = read_gate(section, root["gate"], names, whole) if "gate" in root else ((), GateSettings())
    if "timeout" in root:
        section.field(Comparison, "timeout", ("timeout",), root["timeout"])
    if section.count or given is None or scoring is None or statistics is None:
        raise problems.error()
    file = comparison_file(path)
    return Comparison(
        name=file.parent.name,
        path=str(file),
        question=root["question"].strip(),
        given=given,
        arms=arms,
        evaluation=scoring.evaluation(arms, [(line.method, line.versus) for line in gate if not line.against_baseline]),
        statistics=statistics,
        gate=gate,
        gate_settings=gate_settings,
        timeout=root.get("timeout"),
    )


def _check_question(section: Section, root: dict[str, Any]) -> None:
    question = root.get("question")
    if "question" in root and not (isinstance(question, str) and question.strip()):
        section.problem(("question",), f"must be the question that this comparison answers, not {as_written(question)}")
