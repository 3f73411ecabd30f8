"""Compare the speed of training and sampling with TRL and transformers, and print one table.

    python -m tests.benchmarks [names ...] [--rounds 5] [--json FILE]
    python -m tests.benchmarks report

Both programs run alternately in one process, on one thread, in float32, from the same weights and on the same tokens.
Time is processor time of that process, which other load on the machine changes less than wall time. The first round
is not counted. Needs TRL: pip install alignment-bench[oracles].
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path


def quiet() -> None:
    """Set up this process: one thread, nothing downloaded, no bars and no warnings between the rows."""
    os.environ.update(
        OMP_NUM_THREADS="1",
        HF_HUB_OFFLINE="1",
        TQDM_DISABLE="1",
        TRL_EXPERIMENTAL_SILENCE="1",
        TRANSFORMERS_VERBOSITY="error",
    )
    warnings.simplefilter("ignore")
    import datasets
    import torch

    torch.set_num_threads(1)
    datasets.disable_progress_bars()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="which to run; all but the profile when none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the measured values to this file")
    parser.add_argument("--trl-ppo", type=Path, help="the python of an environment with trl==1.12.0; without it no ppo")
    options = parser.parse_args()
    if options.names == ["report"]:  # before quiet(), which loads torch: a report must not
        from tests.benchmarks.reporting import show

        sys.exit(show(None))
    quiet()

    from tests.benchmarks.choosing import SMOL, WORLD, against_inverting, share_of_a_step
    from tests.benchmarks.machine import share, show_profile
    from tests.benchmarks.measure import HEADER, Row
    from tests.benchmarks.memory import memory
    from tests.benchmarks.ppo import ppo
    from tests.benchmarks.proxying import proxying
    from tests.benchmarks.sampling import sampling
    from tests.benchmarks.statistics import bootstrap, length_control, there_is_alpaca_eval
    from tests.benchmarks.training import dpo, reward_model, sft
    from tests.benchmarks.workloads import LARGE, SMALL, TINY

    rounds = options.rounds
    known: dict[str, Callable[[], Row]] = {
        "dpo_long_prompt": lambda: dpo(TINY, (96, 32), 512, 3.5, rounds),
        "dpo_equal": lambda: dpo(TINY, (48, 48), 512, 2.5, rounds),
        "dpo_long_prompt_10m": lambda: dpo(SMALL, (96, 32), 16, 2.0, rounds),
        "dpo_equal_10m": lambda: dpo(SMALL, (48, 48), 16, 1.6, rounds),
        "reward_model": lambda: reward_model(TINY, (96, 32), 64, 1.5, rounds),
        "reward_model_equal": lambda: reward_model(TINY, (48, 48), 64, 1.5, rounds),
        "sft": lambda: sft(TINY, 128, rounds),
        "sampling": lambda: sampling(TINY, 64, 1, (8, 128), rounds),
        "samples": lambda: sampling(TINY, 16, 8, (64, 192), rounds),
        "choosing": lambda: share_of_a_step(SMOL, 8, 8, rounds),
        "choosing_alone": lambda: share_of_a_step(SMOL, 1, 8, rounds),
        "choosing_small": lambda: against_inverting(WORLD, 128, 48, rounds),
        "proxy": lambda: proxying(SMALL, TINY, 64, (8, 128), rounds),
        "proxy_equal": lambda: proxying(TINY, TINY, 64, (8, 128), rounds),
        "memory": memory,
        "bootstrap": lambda: bootstrap(rounds),
        "share_1m": lambda: share(TINY, 64, rounds),
        "share_10m": lambda: share(SMALL, 16, rounds),
        "share_100m": lambda: share(LARGE, 4, min(rounds, 2)),
    }
    if there_is_alpaca_eval():
        known["length_control"] = lambda: length_control(rounds)
    if options.trl_ppo is not None:
        known["ppo"] = lambda: ppo(TINY, 32, "separate", rounds, options.trl_ppo)
        known["ppo_shared_critic"] = lambda: ppo(TINY, 32, "shared", rounds, options.trl_ppo)
    if options.names == ["profile"]:
        show_profile()
        return
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(known)}, profile, report")
    sys.stdout.write(HEADER + "\n")
    rows: dict[str, Row] = {}
    for name in options.names or known:
        rows[name] = known[name]()
        sys.stdout.write(rows[name].line() + "\n")
        sys.stdout.flush()
    if options.json is not None:
        found = {name: {**asdict(row), "ratios": row.ratios(), "met": row.met()} for name, row in rows.items()}
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
