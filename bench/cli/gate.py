"""What the commands do that check a run: the gate, the baseline, and whether all can be computed again."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.config.load import load_comparison
from bench.gate.baseline import keep_baseline, refuse_replacing
from bench.gate.check import check_comparison
from bench.gate.decide import exit_code
from bench.gate.outputs import as_json, as_junit
from bench.gate.sentences import as_markdown
from bench.pipeline.verify import verify
from bench.results.baseline import BASELINE_FILE


@dataclass(frozen=True)
class GateOutputs:
    """Where a gate's results are written beside standard output, and in which form they go there."""

    junit: Path | None = None
    markdown: Path | None = None
    as_json: bool = False


def check_gate(path: Path, overrides: Sequence[str], baseline: Path | None, outputs: GateOutputs) -> int:
    """Return the exit status of the gate: 0 pass, 1 regression, 3 undecided."""
    found = check_comparison(load_comparison(path, overrides=overrides), baseline)
    if outputs.junit is not None:
        outputs.junit.write_text(as_junit(found.results), encoding="utf-8")
    if outputs.markdown is not None:
        outputs.markdown.write_text(as_markdown(found.results, found.notes), encoding="utf-8")
    text = as_json(found.results, found.notes) if outputs.as_json else as_markdown(found.results, found.notes)
    sys.stdout.write(text)
    return exit_code(found.results)


def make_first_baseline(path: Path, overrides: Sequence[str], reason: str, file: Path | None) -> None:
    """Write the baseline of the last run; raises BenchError where there is one already."""
    comparison = load_comparison(path, overrides=overrides)
    refuse_replacing(file or BASELINE_FILE.path(Path(comparison.path).parent))
    replace_baseline(path, overrides, reason, file)


def replace_baseline(path: Path, overrides: Sequence[str], reason: str, file: Path | None) -> None:
    """Write the baseline of the last run in the place of an earlier one."""
    target, baseline = keep_baseline(load_comparison(path, overrides=overrides), reason, file)
    prompts = sum(len(task.prompts) for task in baseline.tasks.values())
    told = f"baseline: {target} ({prompts:,} prompts, seeds {', '.join(map(str, baseline.seeds))}). Commit it."
    Console(highlight=False).print(told, markup=False, soft_wrap=True)


def verify_run(path: Path, overrides: Sequence[str], as_json: bool) -> int:
    """Return 0 when everything can be computed again from the stored rows, 1 when something differs."""
    found = verify(load_comparison(path, overrides=overrides))
    if as_json:
        sys.stdout.write(json.dumps(found.model_dump(), indent=1) + "\n")
    else:
        console = Console(highlight=False)
        for line in found.lines():
            console.print(line, markup=False, soft_wrap=True)
    return 0 if found.same else 1
