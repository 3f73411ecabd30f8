"""A whole tiny comparison whose judges are audited: controls beside them, and a judge with noise asked again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.config.load import load_comparison
from bench.engine.store import Store
from bench.pipeline.forecast import forecast
from bench.pipeline.plan import make_plan
from bench.results.conclusions.all import CONCLUSIONS
from tests.cli.test_cli import bench
from tests.once import take_stages
from tests.sketched import sketched
from tests.whole import COMPARISON, write_whole

JUDGES = "judges: [{judge: lexicon, path: ../../words.txt}, random, longer_wins]"
PROMPTS, RUNS, PAIRS, CONTROLS, RETEST = 24, 2, 5, 4, 10


def text() -> str:
    line = next(line for line in COMPARISON.split("\n") if "win_rate:" in line)
    start, _, rest = line.partition("judges: ")
    return COMPARISON.replace(line, f"{start}retest: {RETEST}, {JUDGES}{rest[rest.index(']') + 1 :]}")


@pytest.fixture(scope="module")
def ran(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("audited")
    folder = write_whole(root, text())
    take_stages(computed, root)
    with sketched():
        done = bench("run", folder, "--engine", "inline", "--json")
        assert done.returncode == 0, done.stderr
        yield folder


def test_controls_are_planned_for_every_pair_and_noise_for_judges_that_draw_it(ran: Path) -> None:
    plan = make_plan(load_comparison(ran))
    assert len(plan.of("judge_controls")) == RUNS * PAIRS
    assert [(cell.judge_label, cell.seed) for cell in plan.of("judge_retest")] == [("random", 0)] * PAIRS
    found = forecast(plan, Store(ran / "empty"))
    assert found.judgements == 3 * PAIRS * RUNS * PROMPTS * 2 + PAIRS * RETEST * 2
    none = make_plan(load_comparison(ran, overrides=["evaluate.win_rate.retest=0"]))
    assert none.of("judge_retest") == ()
    assert plan.labels().keys() == plan.stages.keys()


def test_verdicts_of_controls_are_no_records_and_no_contrasts(ran: Path) -> None:
    records = pq.read_table(ran / "records.parquet")
    judges = set(records.filter(pc.equal(records["metric"], "win_rate"))["source"].to_pylist())
    assert judges == {"lexicon", "random", "longer_wins"}
    told = json.loads((ran / "contrasts.json").read_text())
    assert {item["judge"] for item in told["contrasts"]} == {None, *judges}
    audit = pq.read_table(ran / "audit.parquet")
    assert audit.schema == records.schema
    controls = audit.filter(pc.equal(audit["metric"], "control"))
    assert controls.num_rows == CONTROLS * PAIRS * RUNS * PROMPTS * 2
    again = audit.filter(pc.equal(audit["metric"], "retest"))
    assert (again.num_rows, set(again["source"].to_pylist())) == (PAIRS * RETEST * 2, {"random"})


def test_the_audit_says_what_is_known_of_these_judges(ran: Path) -> None:
    found = CONCLUSIONS.read(ran)
    assert len(found.judges) == 3 * (1 + PAIRS)
    whole = {audit.judge: audit for audit in found.judges if audit.a is None}
    assert set(whole) == {"lexicon", "random", "longer_wins"}
    assert (whole["lexicon"].retest, whole["random"].retest) == ("no noise", "asked")
    assert whole["random"].retested.n == PAIRS * RETEST
    assert whole["lexicon"].flips.estimate == whole["longer_wins"].flips.estimate == 0
    flips = whole["random"].flips  # few clusters, and two equal responses are the same draw in both orders
    assert flips.low is not None and flips.high is not None
    assert flips.low < 0.5 < flips.high
    assert whole["longer_wins"].longer_wins.estimate == 1
    for audit in found.judges:
        names = {one.control for one in audit.controls}
        everyone = {"longer_wins", "first_wins", "word_overlap", "random"}
        assert names == (set() if audit.a is None else everyone - {audit.judge})
    (together,) = found.judges_together
    assert together.judges == ("lexicon", "longer_wins", "random")


def test_the_report_tells_it_and_comes_again_from_the_folder_alone(ran: Path) -> None:
    report = (ran / "report.md").read_text()
    for heading in (
        "### Positions and noise",
        "### Length",
        "### What simple rules explain",
        "### Agreement of judges",
    ):
        assert heading in report
    before = {name: (ran / name).read_bytes() for name in ("contrasts.json", "report.md")}
    assert bench("report", ran).returncode == 0
    assert {name: (ran / name).read_bytes() for name in before} == before


def test_an_older_run_without_an_audit_file_still_reports(ran: Path) -> None:
    older = Path(shutil.copytree(ran, ran.parent / "older"))
    (older / "audit.parquet").unlink()
    assert bench("report", older).returncode == 0
    found = CONCLUSIONS.read(older)
    assert found.judges
    assert all(audit.controls == () for audit in found.judges)
    assert {audit.retest for audit in found.judges} == {"no noise", "not asked"}
