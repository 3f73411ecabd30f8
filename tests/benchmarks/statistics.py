"""Speed of the statistics: length-controlled win rates against alpaca_eval 0.6.6, the bootstrap against scipy's.

alpaca_eval is not a dependency: ``pip install alpaca_eval==0.6.6`` first. It reads its calibration rows from the hub;
here it gets the surrogate of the shared data instead, so both fit the same rows.
"""

from __future__ import annotations

import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bench.statistics.length.regression import length_controlled_win_rate
from bench.statistics.tests.bootstrap import resampled_means
from tests.benchmarks.measure import Row, alternately
from tests.statistics.alpaca import AlpacaEval, Columns, read

DATA = Path(os.environ.get("ALIGNMENT_BENCH_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
METHODS, PROMPTS, RESAMPLES = 20, 805, 10_000
MODEL, FITS = "claude-2.1", 20


def there_is_alpaca_eval() -> bool:
    return find_spec("alpaca_eval") is not None and (DATA / "alpaca_eval").is_dir()


def length_control(rounds: int) -> Row:
    """Return fits per processor second; ours has its standard error with it, theirs one that is too small."""
    given = read(DATA)
    columns = given.models[MODEL]
    theirs, official = _official(given, columns)

    def ours(number: int) -> float:
        del number
        began = time.process_time()
        for _ in range(FITS):
            found = length_controlled_win_rate(*columns.three, columns.difficulty, given.calibration)
        seconds = time.process_time() - began
        assert abs(found.estimate - official()["length_controlled_winrate"]) < 0.2
        return FITS / seconds

    return Row("length_controlled", MODEL, "805 prompts", "fits/s", *alternately(ours, theirs, rounds), goal=10.0)


def _official(given: AlpacaEval, columns: Columns) -> tuple[Any, Any]:
    import pandas as pd
    from alpaca_eval.metrics import glm_winrate

    rows = len(given.calibration) // 2
    gamed = pd.DataFrame(
        {
            "model": np.repeat(["verbose", "concise"], rows),
            "index": np.tile(np.arange(rows), 2),
            "preference": given.calibration[:, 2],
            "std_delta_len": np.arctanh(given.calibration[:, 0].clip(-1 + 1e-9, 1 - 1e-9)),
            "instruction_difficulty": given.calibration[:, 1],
            "not_gamed_baseline": False,
        }
    )
    path = Path(tempfile.mkdtemp()) / "df_gamed.csv"
    gamed.to_csv(path, index=False)
    glm_winrate.hf_hub_download = lambda **_: str(path)
    annotations = pd.DataFrame(
        {
            "preference": columns.preference + 1,
            "output_1": ["x" * int(length) for length in columns.baseline_length],
            "output_2": ["x" * int(length) for length in columns.length],
            "generator_1": "baseline",
            "generator_2": MODEL,
            "annotator": "weighted_alpaca_eval_gpt4_turbo",
        }
    )

    def fit() -> dict[str, float]:
        return glm_winrate.get_length_controlled_winrate(
            annotations,
            save_weights_dir=None,
            is_add_glm_preference_inplace=False,
            is_warn_extreme_changes=False,
        )

    def run(number: int) -> float:
        del number
        began = time.process_time()
        fit()
        return 1 / (time.process_time() - began)

    return run, fit


def bootstrap(rounds: int) -> Row:
    """Return resamples per processor second, each of the means of 20 methods on 805 prompts, with intervals.

    Another seed each round: ours keeps the counts of a seed for the next contrast of the same design.
    """
    values = np.random.default_rng(0).random((METHODS, PROMPTS))

    def ours(number: int) -> float:
        began = time.process_time()
        resampled_means(values, np.arange(PROMPTS), RESAMPLES, number).percentile(0.95)
        return RESAMPLES / (time.process_time() - began)

    def theirs(number: int) -> float:
        began = time.process_time()
        generator = np.random.default_rng(number)
        stats.bootstrap(
            (values,), np.mean, axis=-1, n_resamples=RESAMPLES, method="percentile", batch=100, rng=generator
        )
        return RESAMPLES / (time.process_time() - began)

    data = f"{METHODS} methods x {PROMPTS} prompts"
    return Row("bootstrap", "-", data, "resamples/s", *alternately(ours, theirs, rounds), goal=1.0)
