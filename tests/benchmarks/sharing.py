"""What sharing stages saves in a comparison: an accounting over its manifests, not a second measured run.

    python -m tests.benchmarks.sharing [--comparison results/quickstart]

A comparison that ran each (arm, run) by itself, with an empty store each time, would compute every stage below it
once per (arm, run). ``run.json`` names those stages and each stage's manifest the seconds it took. Printed is the sum
over (arm, run) of all their stages' seconds, over the sum over distinct stages: processor time saved, on the same
number of workers. Within one (arm, run) each stage counts once, so this is what the methods written one after another
would need, nothing recomputed without need. Seconds are those of the run that made the store, load and all.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def manifests(store: Path) -> dict[str, dict[str, Any]]:
    """Return every manifest of a store by its stage's key."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in store.rglob("manifest.json"))
    return {manifest["key"]: manifest for manifest in found}


def below(key: str, made: dict[str, dict[str, Any]]) -> set[str]:
    """Return the keys of a stage and of all stages it rests on."""
    found: set[str] = set()
    waiting = [key]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += made[current]["inputs"]
    return found


def account(comparison: Path) -> tuple[float, float]:
    """Return the seconds without sharing and those with it. Raises KeyError where the store misses a stage."""
    made = manifests(comparison.parent / ".store")
    run = json.loads((comparison / "run.json").read_text(encoding="utf-8"))
    apart = 0.0
    together: set[str] = set()
    for arm in run["arms"].values():
        for one in arm["runs"].values():
            needed = set[str]().union(*(below(key, made) for key in one["stages"]))
            apart += sum(made[key]["cost"]["seconds"] for key in needed)
            together |= needed
    return apart, sum(made[key]["cost"]["seconds"] for key in together)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparison", type=Path, default=ROOT / "results" / "quickstart")
    comparison = parser.parse_args().comparison
    try:
        apart, together = account(comparison)
    except KeyError as error:
        sys.exit(f"the store beside {comparison} lacks stage {error}: run `bench run {comparison}` first")
    sys.stdout.write(f"without sharing {apart:.0f} s, with sharing {together:.0f} s: ratio {apart / together:.2f}\n")


if __name__ == "__main__":
    main()
