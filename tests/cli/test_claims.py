"""A whole tiny comparison whose claims are checked against pages, from the file to the report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.config.load import load_comparison
from bench.engine.store import Store
from bench.pipeline.forecast import forecast, forecast_lines
from bench.pipeline.plan import make_plan
from bench.results.claims import CLAIMS
from bench.results.conclusions.all import CONCLUSIONS
from tests.cli.test_cli import bench
from tests.evaluation.checkers.encoders import classifier
from tests.once import take_stages
from tests.sketched import sketched
from tests.whole import COMPARISON, write_whole

SECTION = """\
  factuality:
    tasks: [prompts]
    extractor: sentences
    verifier: {verifier: nli, path: ../../classifier}
    knowledge: {path: ../../pages.jsonl, passages: 2}
    gamma: 3
gate:
  - {metric: factual_error_rate, method: dpo, versus: sft, not_worse_by: 0.5}
  - {metric: mc2, method: dpo, versus: sft, not_worse_by: 0.9}
"""
QUIZ = "tasks: [{task: truthfulqa, path: ../../quiz.csv, multiple_choice: likelihood, max_new_tokens: 4}, "
TEXT = COMPARISON.replace("tasks: [", QUIZ).replace("gate:\n", SECTION)
HEAD = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers\n"
QUESTIONS = [f"adversarial,{kind},ask {kind},red.,red.; pink.,no.; no no.\n" for kind in ("one", "two", "three")]
PAGES = [{"title": word, "text": f"{word} is red and a big city"} for word in ("one", "two", "three", "i", "a")]


def written(root: Path, computed: Path) -> Path:
    folder = write_whole(root, TEXT)
    take_stages(computed, root)
    classifier(root / "classifier", seed=7)
    (root / "pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in PAGES), encoding="utf-8")
    (root / "quiz.csv").write_text(HEAD + "".join(QUESTIONS), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def ran(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a comparison that has been run in this process."""
    folder = written(tmp_path_factory.mktemp("claims"), computed)
    with sketched():
        done = bench("run", folder, "--engine", "inline", "--json")
        assert done.returncode == 0, done.stderr
        yield folder


def test_records_count_what_the_claims_file_holds(ran: Path) -> None:
    claims = CLAIMS.read(ran).to_pylist()
    assert {row["label"] for row in claims} == {"supported", "not_supported"}
    assert all(row["evidence"].startswith("entailed with") for row in claims)
    table = pq.read_table(ran / "records.parquet")
    counted = table.filter(pc.is_in(table["metric"], pc.cast(["supported_claims", "unsupported_claims"], "string")))
    rows = counted.to_pylist()
    assert len(rows) == 24 * 2 * 5 * 2  # prompts x runs x arms x labels
    assert sum(row["value"] for row in rows) == len(claims)
    scores = [row for row in table.to_pylist() if row["metric"] == "factscore"]
    answered = {(row["method"], row["run"], row["prompt"]) for row in claims}
    assert {(row["method"], row["run"], row["prompt"]) for row in scores if row["status"] == "ok"} == answered


def test_choices_have_records_and_contrasts(ran: Path) -> None:
    rows = pq.read_table(ran / "records.parquet").to_pylist()
    weighed = [row for row in rows if row["metric"] in ("mc1", "mc2")]
    assert len(weighed) == 3 * 2 * 5 * 2  # prompts x runs x arms x metrics
    assert {row["task"] for row in weighed} == {"truthfulqa"}
    assert all(0 <= row["value"] <= 1 for row in weighed)
    found = CONCLUSIONS.read(ran).contrasts
    assert len([item for item in found if item.metric == "mc2" and item.higher_is_better]) == 5
    folder = ran.parent.parent
    text = (ran / "comparison.yaml").read_text().replace("multiple_choice: likelihood, ", "")
    (folder / "results" / "none").mkdir()
    (folder / "results" / "none" / "comparison.yaml").write_text(text, encoding="utf-8")
    done = bench("plan", folder / "results" / "none")
    assert done.returncode == 2
    assert "no task of this file has the metric 'mc2'" in done.stderr


def test_every_number_of_the_section_is_a_number_of_contrasts_json(ran: Path) -> None:
    report = (ran / "report.md").read_text()
    section = report.split("## Factual errors\n", 1)[1].split("\n## ", 1)[0]
    found = CONCLUSIONS.read(ran)
    assert [item.arm for item in found.factual_rates] == ["base", "sft", "dpo", "dpo_again", "dpo_lora"]
    for item in found.factual_rates:
        lines = [line for line in section.split("\n") if line.startswith(f"| {item.arm} | prompts |")]
        cells, beside = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        assert item.error_rate is not None
        assert numbers(cells[2]) == pytest.approx(
            [100 * (part or 0.0) for part in (item.error_rate.value, item.error_rate.low, item.error_rate.high)],
            abs=0.051,
        )
        assert numbers(cells[3])[0] == pytest.approx(item.correct.value, abs=0.051)
        assert cells[6] == f"{item.n_claims:,}"
        assert numbers(beside[3]) == pytest.approx([100 * (rate or 0.0) for rate in item.per_run], abs=0.051)
    contrasts = {(item.a, item.b): item for item in found.contrasts if item.metric == "factual_error_rate"}
    assert len(found.error_reductions) == len(contrasts) == 5
    assert "lowered for fewer than 3 claims" in section
    assert (ran / "plots" / "factuality.svg").is_file()


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"[-+]?\d+\.?\d*", text.replace("\u2212", "-"))]


def test_the_gate_and_show_know_claims(ran: Path) -> None:
    done = bench("check", ran, "--json")
    assert done.returncode in (0, 3)
    assert "factual_error_rate" in done.stdout
    claims = CLAIMS.read(ran).to_pylist()
    shown = bench("show", ran, claims[0]["prompt"], "--run", str(claims[0]["run"]))
    assert shown.returncode == 0, shown.stderr
    assert "supported" in shown.stdout


def test_the_report_comes_again_the_same(ran: Path) -> None:
    names = ("contrasts.json", "report.md", "report.html")
    before = {name: (ran / name).read_bytes() for name in names}
    assert bench("report", ran).returncode == 0
    assert {name: (ran / name).read_bytes() for name in names} == before


def test_a_forecast_says_what_is_not_known_yet(ran: Path, tmp_path: Path) -> None:
    found = forecast(make_plan(load_comparison(ran)), Store(tmp_path / "empty"))
    assert found.unknown_calls == 5 * 2
    assert any(
        "10 stages that ask about rows or claims which are not made yet" in line for line in forecast_lines(found)
    )


def test_a_failing_verifier_is_told_and_loses_its_cells(tmp_path: Path, computed: Path) -> None:
    folder = written(tmp_path, computed)
    config = tmp_path / "classifier" / "config.json"
    text = config.read_text().replace('"Entailment"', '"yes"')
    config.write_text(text)
    done = bench("run", folder, "--engine", "inline", "--json", "--set", "given.seeds=[0]")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert {cell["arm"] for cell in told["missing"]} == {"base", "sft", "dpo", "dpo_again", "dpo_lora"}
    assert "begins with 'entail'" in told["missing"][0]["reason"]
