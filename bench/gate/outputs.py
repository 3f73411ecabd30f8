"""The gate's results for machines: JSON and JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from bench.gate.criteria import CriterionResult
from bench.gate.criteria_in_words import sentence
from bench.gate.decide import exit_code, overall
from bench.results.unseen import visible


def as_json(results: Sequence[CriterionResult], notes: Sequence[str] = ()) -> str:
    """Return ``{"verdict": ..., "exit_code": ..., "criteria": [...], "notes": [...]}``."""
    body = {
        "verdict": overall(results),
        "exit_code": exit_code(results),
        "criteria": [{"name": result.name, **result.model_dump()} for result in results],
        "notes": list(notes),
    }
    return json.dumps(body, indent=1, allow_nan=False) + "\n"


def as_junit(results: Sequence[CriterionResult]) -> str:
    """Return JUnit XML with one test case per result: a regression is a failure, an undecided criterion an error.

    An undecided criterion is not a skipped one: the test ran, and the gate is not passed. What no reader sees is spelt
    out, and so is whatever XML 1.0 forbids.
    """
    verdicts = [result.verdict for result in results]
    counts = {
        "tests": str(len(results)),
        "failures": str(verdicts.count("regression")),
        "errors": str(verdicts.count("undecided")),
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "alignment-bench gate", **counts})
    for result in results:
        where = f"gate.{result.criterion.metric}"
        case = ET.SubElement(suite, "testcase", {"classname": visible(where), "name": visible(result.name)})
        text = visible(sentence(result))
        if result.verdict == "pass":
            ET.SubElement(case, "system-out").text = text
        else:
            tag = "failure" if result.verdict == "regression" else "error"
            ET.SubElement(case, tag, {"type": result.verdict, "message": text}).text = text
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
