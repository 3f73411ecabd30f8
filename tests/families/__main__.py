"""Check a tiny random model of every family of causal language models, and print or write the table of the paths taken.

    python -m tests.families [names ...] [--write]

``--write`` replaces the table of docs/families.md (all families only). The status is 1 when a check failed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path


def main() -> int:
    """Check the families that are named, or all."""
    os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1")
    warnings.simplefilter("ignore")
    import torch

    from tests.families.checks import Outcome, check_family
    from tests.families.families import BY_NAME, FAMILIES
    from tests.families.table import PAGE, table, written

    torch.set_num_threads(1)
    for name in ("bench.models.packing.sharing", "bench.models.decoding.session"):
        logging.getLogger(name).propagate = False  # what they say is in the table
    parser = argparse.ArgumentParser(prog="python -m tests.families")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BY_NAME, []], help="families; all by default")
    parser.add_argument("--write", action="store_true", help="replace the table of docs/families.md")
    asked = parser.parse_args()
    if asked.write and asked.names:
        parser.error("--write goes with all families")
    outcomes: list[Outcome] = []
    for family in [BY_NAME[name] for name in asked.names] or FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            outcomes.append(check_family(family, Path(folder)))
        found = outcomes[-1]
        state = "right" if not found.failed else "; ".join(f"{name}: {why}" for name, why in found.failed.items())
        sys.stderr.write(f"{family.name}, {found.parameters} parameters: {state}\n")
    failed = sum(bool(one.failed) for one in outcomes)
    sys.stdout.write(f"{table(outcomes)}\n{len(outcomes)} families, {failed} with a failure\n")
    if asked.write and not failed:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), table(outcomes)), encoding="utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
