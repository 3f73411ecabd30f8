"""A whole tiny comparison with ratings, divergences, labellers and a share of a gap, from the file to the report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.config.load import load_comparison
from bench.core.judge import reseeded
from bench.engine.store import Store
from bench.pipeline.forecast import forecast, forecast_lines
from bench.pipeline.plan import make_plan
from bench.results.summary import SUMMARY
from tests.cli.test_cli import ROOT, bench
from tests.once import take_stages
from tests.sketched import sketched
from tests.whole import COMPARISON, write_whole

SECTIONS = """\
  ratings:
    - {judge: lexicon, path: ../../words.txt}
    - {judge: lexicon, name: strict, path: ../../words.txt, tie_below: 0.5}
  divergence: {from: sft}
  labelling: {data: {path: ../../preferences.jsonl}, judges: [{judge: lexicon, path: ../../words.txt}], limit: 6}
  gap_closed: [{of: dpo, from: sft, to: dpo_lora}]
gate:
"""
TEXT = COMPARISON.replace("gate:\n", SECTIONS)


@pytest.fixture(scope="module")
def ran(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a comparison that has been run in this process."""
    root = tmp_path_factory.mktemp("evaluated")
    folder = write_whole(root, TEXT)
    take_stages(computed, root)
    with sketched():
        done = bench("run", folder, "--engine", "inline", "--json")
        assert done.returncode == 0, done.stderr
        yield folder


def test_records_hold_ratings_and_divergences(ran: Path) -> None:
    table = pq.read_table(ran / "records.parquet")
    ratings = table.filter(pc.equal(table["metric"], "rating"))
    assert ratings.num_rows == 24 * 2 * 5 * 2  # prompts x runs x arms x judges
    assert set(ratings["source"].to_pylist()) == {"lexicon", "strict"}
    for metric in ("divergence", "divergence_k3"):
        rows = table.filter(pc.equal(table["metric"], metric)).to_pylist()
        assert len(rows) == 24 * 2 * 5
        assert {row["value"] for row in rows if row["method"] == "sft"} == {0.0}
        moved = [row["value"] for row in rows if row["method"] == "dpo"]
        assert sum(moved) > 0
        assert metric == "divergence" or min(moved) >= 0


def test_contrasts_and_conclusions_are_written(ran: Path) -> None:
    told = json.loads((ran / "contrasts.json").read_text())
    assert {item["metric"] for item in told["contrasts"]} >= {"win_rate", "rating", "divergence"}
    assert "divergence_k3" not in {item["metric"] for item in told["contrasts"]}
    assert [(item["judge"], item["pairs"]) for item in told["labellers"]] == [("lexicon", 6)]
    assert [(item["of"], item["start"], item["goal"]) for item in told["gap_closed"]] == [("dpo", "sft", "dpo_lora")]
    labels = pq.read_table(ran / "labels.parquet")
    assert labels.num_rows == 12


def test_the_summary_holds_every_training_stage_once_and_small(ran: Path) -> None:
    summary = SUMMARY.read(ran)
    logged = {key: facts for key, facts in summary.stages.items() if facts.log}
    assert {facts.kind for facts in logged.values()} == {"train/sft", "train/dpo"}
    assert all(len(column) <= 100 for facts in logged.values() for column in facts.log.values())
    last = summary.last_log("dpo", "0")
    assert {"step", "loss"} <= last[0].keys()
    assert (ran / "run.json").stat().st_size < 150_000
    for facts in summary.arms.values():
        for run in facts.runs.values():
            assert [summary.stages[key].kind for key in run.answers] == ["generate"]
    (labeller,) = summary.labellers
    assert (labeller.judge, labeller.parameters, labeller.samples, labeller.missing) == ("lexicon", None, False, None)


def test_the_report_has_the_sections_and_comes_again_without_torch(ran: Path) -> None:
    report = (ran / "report.md").read_text()
    for heading in ("## Ratings and divergence", "## Labellers", "## Share of the gap closed", "## Training"):
        assert heading in report
    names = ("contrasts.json", "report.md", "report.html")
    before = {name: (ran / name).read_bytes() for name in names}
    code = (
        "import sys; from bench.cli.app import app; from tests.sketched import sketched\n"
        "for command in ('plan', 'report'):\n"
        "    try:\n        with sketched():\n            app([command, sys.argv[1]])\n"
        "    except SystemExit as end:\n"
        "        assert not end.code and 'torch' not in sys.modules, command\n"
        "    else:\n        raise AssertionError('no exit status')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ran)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert {name: (ran / name).read_bytes() for name in names} == before


def test_the_plan_counts_what_judges_are_asked(ran: Path, tmp_path: Path) -> None:
    found = forecast(make_plan(load_comparison(ran)), Store(tmp_path / "empty"))
    pairs, rated, labelled = 24 * 2 * 2 * 5, 24 * 2 * 5 * 2, 12
    assert found.judgements == pairs + rated + labelled
    assert found.unknown_calls == 0
    assert {kind.kind: kind.total for kind in found.stages}["divergence"] == 10
    assert any(line.strip().startswith("rate") for line in forecast_lines(found))


def test_every_stage_has_a_label(ran: Path) -> None:
    plan = make_plan(load_comparison(ran))
    labels = plan.labels()
    assert labels.keys() == plan.stages.keys()
    assert any(text.startswith("rate (base by strict, seed 0") for text in labels.values())
    assert any(text == "label_pairs (lexicon)" for text in labels.values())


def test_a_judge_without_a_seed_is_asked_once(ran: Path) -> None:
    plan = make_plan(load_comparison(ran))
    (labelled,) = plan.of("label_agreement")
    assert labelled.call == 0
    assert reseeded(labelled.stage.judge) is None


def test_an_arm_with_another_tokenizer_loses_its_divergence_alone(tmp_path: Path, computed: Path) -> None:
    folder = write_whole(tmp_path, TEXT)
    take_stages(computed, tmp_path)
    strange = tmp_path / "strange.py"
    strange.write_text(
        "from bench.core.method import Given, Method\n"
        "from bench.core.policy import PolicySpec, Pretrained\n\n\n"
        "class Strange(Method):\n"
        '    """Another model."""\n\n'
        "    def policy(self, given: Given) -> PolicySpec:\n"
        f"        return Pretrained(path={str(tmp_path / 'other')!r}, template='{{prompt}}?')\n"
    )
    write_whole(tmp_path / "second")
    (tmp_path / "second" / "model").rename(tmp_path / "other")
    spelled = json.loads((tmp_path / "other" / "tokenizer.json").read_text())
    words = spelled["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps(spelled))
    text = TEXT.replace("  dpo_lora:", "  strange: {method: ../../strange.py}\n  dpo_lora:")
    (folder / "comparison.yaml").write_text(text)
    done = bench("run", folder, "--engine", "inline", "--json", "--set", "given.seeds=[0]")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["missing"] == []
    assert "strange" in {item["a"] for item in told["contrasts"] if item["metric"] == "win_rate"}
    assert "not available with another tokenizer (token 4 is 'a' and 'b')" in (folder / "report.md").read_text()
