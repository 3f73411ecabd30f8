"""Numbers known from real data sets: AlpacaEval annotations, TruthfulQA predictions, an MT-bench judge."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.statistics.contrasts.position import order_agreement
from bench.statistics.tests import margin_tests as margins
from bench.statistics.tests import significance
from bench.statistics.tests.intervals import clustered_standard_error
from bench.statistics.tests.random_effects import crossed_effects

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def win_rates(real_data: Path) -> dict[str, np.ndarray]:
    """Model -> win rate in points by prompt."""
    path = real_data / "alpaca_eval" / "annotations_compact.csv.gz"
    if not path.is_file():
        pytest.skip("no AlpacaEval annotations there")
    found: dict[str, list[float]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["model"], []).append(100 * (float(row["preference"]) - 1))
    return {model: np.array(values) for model, values in found.items()}


def test_non_inferiority_of_claude_2(win_rates: dict[str, np.ndarray]) -> None:
    difference = win_rates["claude-2"] - win_rates["claude"]
    law = crossed_effects(difference[:, None]).confidence
    assert float(np.asarray(law.estimate)) == pytest.approx(0.2029, abs=1e-4)
    assert float(law.standard_error) == pytest.approx(0.7480, abs=1e-4)
    assert float(law.p_value(0)) == pytest.approx(0.7863, abs=1e-4)
    assert margins.one_sided_bounds(law, 0.95) == pytest.approx((-1.029, 1.435), abs=1e-3)
    assert margins.non_inferiority_p(law, 1.0) == pytest.approx(0.0541, abs=1e-4)
    assert margins.non_inferiority_p(law, 2.0) == pytest.approx(0.00166, abs=1e-5)
    flips = significance.sign_flip(difference, np.arange(805), 0.0, 10_000, 0)
    assert flips == pytest.approx(0.785, abs=0.015)


def test_pairing_makes_claude_2_and_claude_comparable(win_rates: dict[str, np.ndarray]) -> None:
    """Unpaired, the same difference would have more than twice the error."""
    a, b = win_rates["claude-2"], win_rates["claude"]
    assert np.hypot(stats.sem(a), stats.sem(b)) == pytest.approx(1.6572, abs=6e-5)
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(0.796, abs=6e-4)
    assert crossed_effects((a - b)[:, None]).confidence.standard_error == pytest.approx(0.7480, abs=6e-5)


def test_raw_win_rate_and_error(win_rates: dict[str, np.ndarray]) -> None:
    values = win_rates["FuseChat-Gemma-2-9B-Instruct"]
    law = crossed_effects(values[:, None]).confidence
    assert float(np.asarray(law.estimate)) == pytest.approx(70.497135, abs=1e-6)
    assert float(law.standard_error) == pytest.approx(1.342639, abs=1e-6)


def test_truthfulqa_mcnemar_and_clusters(real_data: Path) -> None:
    folder = real_data / "truthfulqa"
    if not (folder / "pred_ada.csv").is_file():
        pytest.skip("no TruthfulQA predictions there")
    answers: dict[str, list[float]] = {}
    categories: list[str] = []
    for model in ("ada", "davinci"):
        with (folder / f"pred_{model}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        answers[model] = [float(row["pred"]) for row in rows]
        categories = [row["category"] for row in rows]
    ada, davinci = np.array(answers["ada"]), np.array(answers["davinci"])
    clusters = np.unique(categories, return_inverse=True)[1]
    assert significance.mcnemar_exact(ada, davinci) == pytest.approx(3.602e-5, rel=1e-3)
    assert stats.sem(ada - davinci) == pytest.approx(0.020916, abs=1e-6)
    assert clustered_standard_error(ada - davinci, clusters) == pytest.approx(0.032312, abs=1e-6)


def test_two_orders_of_phi_3_dpo(real_data: Path) -> None:
    path = real_data / "mt_bench" / "phi3_dpo_gpt-4_pair.jsonl.gz"
    if not path.is_file():
        pytest.skip("no MT-bench judgements there")
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        rows = [json.loads(line) for line in file]
    value = {"model_1": 0.0, "model_2": 1.0, "tie": 0.5}
    kept = [row for row in rows if "error" not in (row["g1_winner"], row["g2_winner"])]
    # phi-3 (model_1) was shown first in game 1, phi-3-dpo (model_2) in game 2.
    second = np.array([value[row["g1_winner"]] for row in kept])
    first = np.array([value[row["g2_winner"]] for row in kept])
    found = order_agreement(first, second)
    assert found.conservative == pytest.approx(0.5137, abs=1e-4)
    assert ((first + second) / 2).mean() == pytest.approx(0.5103, abs=1e-4)
    assert found.consistency == pytest.approx(0.630, abs=1e-3)
    assert found.position_p == pytest.approx(0.00131, abs=5e-6)
