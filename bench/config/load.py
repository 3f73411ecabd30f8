"""From a comparison file to a Comparison: every problem at once, each with its line and key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison, GateSettings, StatisticsSettings
from bench.config.document.layers import comparison_file, read_layers
from bench.config.document.problems import Findings
from bench.config.document.section import Sheet, said
from bench.config.sections.evaluate import read_evaluation
from bench.config.sections.gate import read_gate
from bench.config.sections.given import read_given
from bench.config.sections.methods import read_arms

ROOT_KEYS = ("extends", "question", "given", "methods", "evaluate", "statistics", "gate")
REQUIRED = ("question", "given", "methods", "evaluate")


def load_comparison(path: Path, *, overrides: Sequence[str] = ()) -> Comparison:
    """Return the comparison in a file, or in the ``comparison.yaml`` of a folder.

    ``overrides`` are texts ``a.b.c=value``, the value read as YAML. Reads files and never writes. Raises ConfigError
    with every problem found: where it stands, what is wrong, what to do next.
    """
    findings = Findings()
    sheet = Sheet(read_layers(path, overrides, findings), findings)
    root = sheet.keys((), sheet.root, ROOT_KEYS, REQUIRED) or {}
    _check_question(sheet, root)
    given = read_given(sheet, root["given"]) if "given" in root else None
    methods = root.get("methods")
    names = list(methods) if isinstance(methods, dict) else []
    lora = given.lora if given is not None else None
    arms = read_arms(sheet, methods, root.get("given"), lora) if "methods" in root else ()
    before = sheet.count
    scoring = read_evaluation(sheet, root["evaluate"], names) if "evaluate" in root else None
    whole = scoring if sheet.count == before else None  # a gate is not blamed for a task that could not be read
    fields = sheet.keys(("statistics",), root.get("statistics", {}), list(StatisticsSettings.model_fields))
    statistics = sheet.build(StatisticsSettings, ("statistics",), fields or {})
    if statistics is not None and statistics.interval != "t" and given is not None and len(given.seeds) > 1:
        what = f"`{statistics.interval}` draws prompts again and knows nothing of other training seeds"
        sheet.problem(("statistics", "interval"), what, "use `t` with several seeds")
    gate, gate_settings = read_gate(sheet, root["gate"], names, whole) if "gate" in root else ((), GateSettings())
    if sheet.count or given is None or scoring is None or statistics is None:
        raise findings.error()
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
    )


def _check_question(sheet: Sheet, root: dict[str, Any]) -> None:
    question = root.get("question")
    if "question" in root and not (isinstance(question, str) and question.strip()):
        sheet.problem(("question",), f"must be the question that this comparison answers, not {said(question)}")
