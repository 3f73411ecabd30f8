"""What a comparison declares: its gate and its files, as digests that a lock keeps and a check compares."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from bench.config.comparison import Comparison
from bench.core.frozen import Open, digest, digest_of_file


def gate_digest(comparison: Comparison) -> str:
    """Return the digest of the criteria and how they are corrected; where a baseline lies is no part of it."""
    return digest([*comparison.gate, comparison.gate_settings.correction])


def files_of(comparison: Comparison) -> dict[str, str]:
    """Return the digests of the comparison file and of the plug-ins that are files beside it, by name."""
    file = Path(comparison.path)
    found = {file.name: digest_of_file(file)} if file.is_file() else {}
    evaluation = comparison.evaluation
    values: Iterable[Open] = [
        *(arm.method for arm in comparison.arms),
        *evaluation.tasks,
        *(named.judge for named in (*evaluation.judges, *evaluation.ratings)),
    ]
    for value in values:
        source = type(value).source_digest()
        if source is not None:
            found[Path(str(sys.modules[type(value).__module__].__file__)).name] = source
    found |= {Path(name).name: digest_of_file(Path(name)) for name in evaluation.measurements if name.endswith(".py")}
    return dict(sorted(found.items()))
