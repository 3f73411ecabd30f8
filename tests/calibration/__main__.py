"""Simulate the family-wise error of contrasts over training seeds, and print one table; the power beside it.

    python -m tests.calibration [--families 10000] [--seeds 2 3 5] [--contrasts 3 6 12] [--noise measured] [--power]

No arm differs, so every verdict is an error: at most 5% of families may have one. Per cell, the rates in percent under
``own`` and ``moderated`` by Holm, and under ``moderated`` by max-T. The status is 1 when a moderated rate is above
6.5%, or its lower 99% bound (exact, Bonferroni over the cells) above 5.5%. The whole grid takes about an hour.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from scipy import special

from tests.calibration.rates import errors, power
from tests.calibration.worlds import BY_NAME, MEASURED, PLANNED, QUIET, SPREADS, against_one, all_pairs, families

NOISES = {"planned": PLANNED, "measured": MEASURED, "quiet": QUIET}
HIGHEST_RATE, HIGHEST_BOUND = 0.065, 0.055
POWER_OF = ("equal, 0", "equal, 1", "equal, 2", "mixed", "one noisy arm")


def lower_bound(count: int, of: int, cells: int) -> float:
    """Return the exact one-sided lower bound of a share at 99%, Bonferroni over so many cells (Clopper-Pearson)."""
    return float(special.betaincinv(count, of - count + 1, 0.01 / cells)) if count else 0.0


def cells(asked: argparse.Namespace) -> Iterator[tuple[str, str, tuple[tuple[int, int], ...], int]]:
    """Yield the noise, the spread, the pairs and the seeds of every cell."""
    for noise in asked.noise:
        for seeds in asked.seeds:
            for pairs in [*(against_one(count) for count in asked.contrasts), all_pairs(4)]:
                for spread in SPREADS:
                    yield noise, spread.name, pairs, seeds


def show_power(count: int) -> None:
    """Print how often one true effect among ten contrasts is found with three seeds."""
    sys.stdout.write(f"{'noise':<9} {'seeds spread':<22} {'effect':>6} {'own':>6} {'moderated':>9} {'pooled':>6}\n")
    for noise, values in NOISES.items():
        for name in POWER_OF:
            given = families(np.random.default_rng(1), count, against_one(10), 3, BY_NAME[name], values)
            error = float(np.sqrt((given.prompts + given.seeds.var(axis=-1, ddof=1) / 3).mean()))
            found = [100 * power(given, law, 4 * error) for law in ("own", "moderated", "pooled")]
            sys.stdout.write(
                f"{noise:<9} {name:<22} {4 * error:>6.3f} {found[0]:>6.1f} {found[1]:>9.1f} {found[2]:>6.1f}\n"
            )


def main() -> int:
    """Print the table; return 1 where a cell does not hold its level."""
    parser = argparse.ArgumentParser(prog="python -m tests.calibration")
    parser.add_argument("--families", type=int, default=10_000, help="simulated per cell")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument("--contrasts", type=int, nargs="+", default=[3, 6, 12], help="with one reference")
    parser.add_argument("--noise", nargs="+", choices=list(NOISES), default=list(NOISES))
    parser.add_argument("--power", action="store_true", help="the power of one effect among ten, instead")
    asked = parser.parse_args()
    if asked.power:
        show_power(asked.families)
        return 0
    grid, failed = list(cells(asked)), 0
    sys.stdout.write(
        f"{'noise':<9} {'seeds spread':<22} {'seeds':>5} {'contrasts':>9} {'own':>6} {'moderated':>9} max-T\n"
    )
    for number, (noise, spread, pairs, seeds) in enumerate(grid):
        generator = np.random.default_rng([number, seeds, len(pairs)])
        given = families(generator, asked.families, pairs, seeds, BY_NAME[spread], NOISES[noise])
        own, (holm, by_max_t) = errors(given, "own"), errors(given, "moderated")
        worst = max(holm, by_max_t)
        bad = worst > HIGHEST_RATE * asked.families
        bad = bad or lower_bound(worst, asked.families, 2 * len(grid)) > HIGHEST_BOUND
        failed += bad
        kind = f"{len(pairs)}" if all(b == 0 for _, b in pairs) else f"{len(pairs)} all"
        rates = [100 * count / asked.families for count in (own[0], holm, by_max_t)]
        sys.stdout.write(
            f"{noise:<9} {spread:<22} {seeds:>5} {kind:>9} {rates[0]:>6.2f} {rates[1]:>9.2f} {rates[2]:>5.2f}"
            f"{'  too high' if bad else ''}\n"
        )
        sys.stdout.flush()
    sys.stdout.write(f"{len(grid)} cells, {failed} that do not hold\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
