"""Planted regressions on a real tiny run: each is caught, each with a message of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pyarrow.compute as pc
import pytest

from bench.results.baseline import BASELINE_FILE
from bench.results.lock import LOCK
from bench.results.records import RECORDS
from tests.cli.test_cli import ROOT, Done, bench
from tests.gate.signed_comparison import write_signed
from tests.sketched import sketched

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a comparison that has been run and has a baseline."""
    root = tmp_path_factory.mktemp("signed")
    folder = write_signed(root)
    assert bench("run", folder, "--engine", "inline").returncode == 0
    made = bench("baseline", folder, "--reason", "first  release")
    assert made.returncode == 0, made.stderr
    return root


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished comparison, store included, that a test may break."""
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy" / "results" / "whole"


def run(folder: Path) -> Done:
    """Run again, without real pictures: the gate looks at none."""
    with sketched():
        return bench("run", folder, "--engine", "inline")


def check(folder: Path, *more: str | Path) -> Done:
    return bench("check", folder, *more)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_an_unchanged_run_passes_and_says_what_it_was_held_against(folder: Path, tmp_path: Path) -> None:
    junit, summary = tmp_path / "gate.xml", tmp_path / "gate.md"
    done = check(folder, "--junit", junit, "--markdown", summary, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert [item["verdict"] for item in told["criteria"]] == ["pass", "pass"]
    assert told["criteria"][1]["advantage"] == 0.0
    assert told["notes"][0].startswith("baseline baseline.json: first release (")
    assert [case.get("name") for case in ET.parse(junit).iter("testcase")] == [
        "dpo is better than sft by more than 0 on win rate (lexicon judge, prompts)",
        "dpo is worse than its baseline by less than 0.2 on win rate against sft (lexicon judge, prompts)",
    ]
    assert summary.read_text(encoding="utf-8").startswith("### Gate: pass")


def test_a_method_trained_with_the_wrong_sign_is_a_regression(folder: Path) -> None:
    replace(folder / "signed.py", "SIGN = 1.0", "SIGN = -1.0")
    assert run(folder).returncode == 0
    done = check(folder)
    assert done.returncode == 1
    assert "### Gate: regression" in done.stdout
    assert done.stdout.count("**regression**") == 2
    assert "changed since the baseline: dpo.method: file " in done.stdout


def test_a_changed_word_list_or_template_of_the_judge_is_refused(folder: Path) -> None:
    replace(folder.parents[1] / "words.txt", "red\t2.0", "red\t2.5")
    assert run(folder).returncode == 0
    done = check(folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "judge lexicon: another template or word list (digest: " in done.stderr
    assert "nothing is compared" in done.stderr


def test_other_prompts_are_refused(folder: Path) -> None:
    replace(folder / "comparison.yaml", "max_new_tokens: 6", "max_new_tokens: 6, limit: 19")
    assert run(folder).returncode == 0
    done = check(folder)
    assert done.returncode == 2
    assert "task prompts: other prompts (digest " in done.stderr


def test_other_decoding_is_refused(folder: Path) -> None:
    replace(folder / "comparison.yaml", "max_new_tokens: 6", "max_new_tokens: 5")
    assert run(folder).returncode == 0
    assert "other decoding (max_new_tokens: 6 -> 5)" in check(folder).stderr


def test_a_fifth_of_the_prompts_missing_is_refused(folder: Path) -> None:
    records = RECORDS.read(folder)
    lost = sorted(set(records["prompt"].to_pylist()))[:5]
    gone = pc.is_in(records["prompt"], value_set=pc.unique(records["prompt"]).filter(
        pc.is_in(pc.unique(records["prompt"]), value_set=pc.cast(lost, "string"))
    ))  # fmt: skip
    RECORDS.write(records.filter(pc.invert(gone)), folder)
    done = check(folder)
    assert done.returncode == 2
    assert "records.parquet: not what the run wrote" in done.stderr
    LOCK.write(LOCK.read(folder).model_copy(update={"written": {}}), folder)  # as an earlier version has it
    done = check(folder)
    assert done.returncode == 2
    assert "5 of the baseline's 24 prompts have no win_rate of dpo now" in done.stderr
    with sketched():
        assert bench("report", folder).returncode == 0  # what is left of the rows is complete in itself
    done = check(folder)
    assert done.returncode == 2
    assert "task prompts has 24 prompts, and the run has values for 19 of them" in done.stderr
    with sketched():
        done = bench("verify", folder)
    assert done.returncode == 1
    assert "records.parquet: 5 prompts of task prompts have no row" in done.stdout


def test_an_older_baseline_is_refused(folder: Path) -> None:
    replace(folder / "baseline.json", '"alignment_bench_baseline": 1', '"alignment_bench_baseline": 0')
    done = check(folder)
    assert done.returncode == 2
    assert "it has version 0, and this program reads version 1" in done.stderr


def test_a_baseline_of_an_older_task_is_refused(folder: Path) -> None:
    text = json.loads((folder / "baseline.json").read_text(encoding="utf-8"))
    text["identity"]["tasks"]["prompts"]["version"] = 0
    del text["checksum"]  # as an earlier version wrote it
    (folder / "baseline.json").write_text(json.dumps(text), encoding="utf-8")
    assert "task prompts: version 0 then, 2 now" in check(folder).stderr


def test_a_damaged_or_foreign_file_is_no_baseline(folder: Path) -> None:
    for text, told in (("{", "not a baseline that this version reads"), ("[]", "not a baseline"), ("{}", "lacks")):
        (folder / "baseline.json").write_text(text, encoding="utf-8")
        done = check(folder)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert told in done.stderr
    (folder / "baseline.json").unlink()
    assert "no baseline there" in check(folder).stderr


def test_a_baseline_is_small_sorted_and_the_same_again(folder: Path, finished: Path) -> None:
    file = folder / "baseline.json"
    first = file.read_bytes()
    refused = bench("baseline", folder, "--reason", "second")
    assert refused.returncode == 2
    assert 'made because: "first release"' in refused.stderr
    assert file.read_bytes() == first
    assert bench("baseline", folder, "--reason", "first release", "--replace").returncode == 0
    assert file.read_bytes() == first
    assert bench("baseline", folder, "--reason", " ", "--replace").returncode == 2
    rows = [line for line in first.decode().split("\n") if '"cluster"' in line]
    assert len(rows) == 24
    assert rows == sorted(rows)
    values = BASELINE_FILE.read_from(file).tasks["prompts"]
    assert len(values.prompts) == 24
    assert {column.versus for column in values.columns if column.metric == "win_rate"} == {"sft"}


def test_an_incomplete_run_makes_no_baseline(folder: Path) -> None:
    replace(
        folder / "comparison.yaml", "dpo: {method: ./signed.py, beta: 0.1, lr: 0.02", "dpo: {method: dpo, lr: 1.0e+30"
    )
    assert run(folder).returncode == 1
    done = bench("baseline", folder, "--reason", "new", "--replace")
    assert done.returncode == 2
    assert "the last run is incomplete" in done.stderr


def test_criteria_changed_after_the_run_are_told(folder: Path) -> None:
    replace(folder / "comparison.yaml", "not_worse_by: 0.2", "not_worse_by: 0.3")
    done = check(folder)
    assert done.returncode == 0
    assert "the criteria were changed after the run" in done.stdout
    replace(
        folder / "comparison.yaml", "  - {metric: win_rate, method: dpo, versus: baseline, not_worse_by: 0.3}\n", ""
    )
    done = check(folder, "--baseline", folder / "baseline.json")
    assert done.returncode == 2
    assert "no criterion of the gate says `versus: baseline`" in done.stderr


def test_a_file_changed_after_the_run_is_told(folder: Path) -> None:
    replace(folder / "comparison.yaml", "question: Does", "question: Did")
    done = check(folder)
    assert done.returncode == 0
    assert "comparison.yaml was changed after the run; what is checked is the run" in done.stdout


def test_a_method_beside_the_comparison_that_is_not_here_is_stood_in_for(folder: Path) -> None:
    before = json.loads(check(folder, "--json").stdout)
    (folder / "signed.py").unlink()
    done = check(folder, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["criteria"] == before["criteria"]
    assert "not compared: signed.py is not here" in told["notes"]
    with sketched():
        assert bench("report", folder).returncode == 0
    replace(folder / "comparison.yaml", "sft: &sft {lr: 0.01", "sft: &sft {lr: 0.03")
    done = check(folder)
    assert done.returncode == 2
    assert "stale: method sft, lr: 0.01 -> 0.03" in done.stderr


def test_verify_finds_what_was_changed_by_hand(folder: Path) -> None:
    done = bench("verify", folder)
    assert done.returncode == 0, done.stdout
    body = json.loads((folder / "contrasts.json").read_text(encoding="utf-8"))
    body["contrasts"][0]["estimate"] += 0.1
    (folder / "contrasts.json").write_text(json.dumps(body), encoding="utf-8")
    (folder / "plots" / "old.png").write_bytes(b"")
    (folder / "report.md").write_text("# better\n", encoding="utf-8")
    replace(folder / "lock.json", '"python": "3', '"python": "2')
    (folder / "signed.py").write_text("# new\n" + (folder / "signed.py").read_text(encoding="utf-8"))
    with sketched():  # that real pictures come again, the first has shown
        done = bench("verify", folder, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    text = "\n".join(told["differences"])
    for wanted in (
        "contrasts.json, contrasts[0].estimate: ",
        "plots/old.png: no input gives this picture",
        "report.md, line 1: '# better' there",
        "stale: signed.py was changed (",
    ):
        assert wanted in text
    assert any(note.startswith("since the run: python: 2") for note in told["notes"])
    (folder / "lock.json").unlink()
    with sketched():
        assert "no lock there" in bench("verify", folder).stdout


def test_the_lock_is_the_same_for_the_same_run(folder: Path) -> None:
    before = (folder / "lock.json").read_bytes()
    assert run(folder).returncode == 0
    assert (folder / "lock.json").read_bytes() == before
    lock = LOCK.read(folder)
    assert set(lock.files) == {"comparison.yaml", "signed.py"}
    assert set(lock.data) == {"demonstrations", "preferences"}
    assert list(lock.models) == ["model"]
    assert "train/signed" in lock.stages.values()
    assert lock.packages["torch"]


def test_check_baseline_and_verify_load_no_torch(folder: Path) -> None:
    assert run(folder).returncode == 0  # which leaves empty pictures: tests/cli/test_cli.py draws real ones so
    code = (
        "import sys; from bench.cli.app import app; from tests.sketched import sketched\n"
        "for command in (['check'], ['verify'], ['baseline', '--replace', '--reason', 'again']):\n"
        "    try:\n        with sketched():\n            app([*command, sys.argv[1]])\n"
        "    except SystemExit as end:\n"
        "        assert not end.code and 'torch' not in sys.modules, command\n"
        "    else:\n        raise AssertionError('no exit status')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
