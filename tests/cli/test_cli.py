"""The command line on a whole tiny comparison: every command, its exit status, and no torch where none is needed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.cli.app import main
from bench.cli.doctor import OPTIONAL
from bench.core.frozen import digest_of_file
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES, VERDICTS
from tests.once import take_stages
from tests.sketched import sketched
from tests.whole import COMPARISON, write_whole

ROOT = Path(__file__).resolve().parents[2]
README_METHOD = Path(__file__).parent / "my_hinge.py"
README_METHOD_DIGEST = "12b8fb037fed6ab87402966ba40d56fb6a5701a6e152599511b61cebf98c193f"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def bench(*arguments: str | Path) -> Done:
    """Run a command in this process, as a shell would."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "140")
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(code, out.getvalue(), err.getvalue())


def bench_sketched(*arguments: str | Path) -> Done:
    """Run a command in this process, without real pictures."""
    with sketched():
        return bench(*arguments)


@pytest.fixture(scope="module")
def ran(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison that the command has run in processes of its own, store and all."""
    return Path(shutil.copytree(computed, tmp_path_factory.mktemp("whole") / "copy")) / "results" / "whole"


def test_run_tells_how_far_it_is_what_it_found_and_where_the_report_is(computed: Path) -> None:
    printed = (computed / "printed.txt").read_text(encoding="utf-8")
    assert "report:" in printed
    assert "dpo vs sft" in printed
    assert "tokens/s" in printed or "58/58" in printed


def test_run_writes_everything_and_a_second_run_finds_it(ran: Path) -> None:
    for name in ("records.parquet", "contrasts.json", "run.json", "report.md", "report.html"):
        assert (ran / name).is_file()
    assert list((ran / "plots").glob("*.png"))
    assert list((ran / "plots").glob("*.svg"))
    before = (ran / "records.parquet").read_bytes()
    folder, elsewhere = copied(ran, "again"), ran.parent.parent / "elsewhere" / "store"
    shutil.copytree(ran.parent / ".store", elsewhere)
    again = bench_sketched("run", folder, "--store", elsewhere, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["stages"]["computed"] == 0
    assert told["stages"]["found"] == 58
    assert (folder / "records.parquet").read_bytes() == before
    there, here = (json.loads((where / "lock.json").read_text())["stages"] for where in (ran, folder))
    assert there == here
    used = json.loads(bench("store", "--store", elsewhere, "--json").stdout)["comparisons"]
    assert (str(folder / "comparison.yaml"), 58) in [(one["path"], one["stored"]) for one in used]
    assert (elsewhere / ".gitignore").is_file()


def copied(folder: Path, name: str) -> Path:
    """Return a copy beside a comparison's folder, with the same store: a test may write there."""
    return Path(shutil.copytree(folder, folder.parent / name))


def test_records_hold_every_cell(ran: Path) -> None:
    table = pq.read_table(ran / "records.parquet").to_pylist()
    verdicts = [row for row in table if row["metric"] == "win_rate"]
    assert len(verdicts) == 24 * 2 * 2 * 5  # prompts x orders x runs x contrasts
    assert {row["order"] for row in verdicts} == {"first", "second"}
    assert {row["run"] for row in table} == {0, 1}
    assert {row["method"] for row in table if row["versus"] is None} == {"base", "sft", "dpo", "dpo_again", "dpo_lora"}


def test_contrasts_have_the_agreed_fields(ran: Path) -> None:
    contrasts = json.loads((ran / "contrasts.json").read_text())["contrasts"]
    agreed = (
        "a b task metric judge estimate low high level p p_adjusted test n_prompts n_runs n_missing speaks_about "
        "verdict"
    )
    for contrast in contrasts:
        assert set(agreed.split()) <= set(contrast)
        assert contrast["verdict"] in {"a better", "b better", "undecided"}
        assert contrast["speaks_about"] == "the training procedure"
    pairs = {(contrast["a"], contrast["b"]) for contrast in contrasts}
    assert pairs == {("base", "sft"), ("dpo", "sft"), ("dpo_again", "sft"), ("dpo_lora", "sft"), ("dpo_again", "dpo")}


def test_one_run_speaks_about_these_models(tmp_path: Path, computed: Path) -> None:
    folder = write_whole(tmp_path)
    take_stages(computed, tmp_path)
    done = bench_sketched("run", folder, "--set", "given.seeds=[0]", "--engine", "inline", "--json")
    assert done.returncode == 0, done.stderr
    assert {contrast["speaks_about"] for contrast in json.loads(done.stdout)["contrasts"]} == {"these trained models"}


def test_report_and_check_and_plan_import_no_torch_and_report_gives_the_same_bytes(ran: Path) -> None:
    before = {name: (ran / name).read_bytes() for name in ("contrasts.json", "report.md", "report.html")}
    code = (
        "import sys; from bench.cli.app import main\n"
        "for command in ('plan', 'report', 'check'):\n"
        "    try:\n        main([command, sys.argv[1]])\n"
        "    except SystemExit as end:\n"
        "        heavy = {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
        "        assert not heavy, f'{command} imported {heavy}'\n"
        "        assert end.code in ((0, 1, 3) if command == 'check' else (0,)), (command, end.code)\n"
        "    else:\n        raise AssertionError('no exit status')\n"
        "import threadpoolctl\n"
        "told = [one for one in threadpoolctl.threadpool_info() if one['internal_api'] == 'openblas']\n"
        "assert told and all(one['num_threads'] == 1 for one in told), told"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "2"}  # conclusions are the same on any number of cores
    env.pop("OPENBLAS_NUM_THREADS", None)
    command = [sys.executable, "-c", code, str(ran)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {name: (ran / name).read_bytes() for name in before} == before


HEAVY = (
    "torch",
    "transformers",
    "peft",
    "lm_eval",
    "datasets",
    "pandas",
    "matplotlib",
    "scipy.stats",
    "scipy.optimize",
)


ONLY_LOOKING = (
    ("--help",),
    ("plan", "results/quickstart"),
    ("show", "results/quickstart", "benign-build-cart-0"),
    ("methods",),
    ("methods", "dpo"),
    ("tasks",),
    ("judges",),
    ("checkers",),
    ("doctor",),
    ("schema",),
    *((command, "--help") for command in ("check", "run", "report", "verify", "export", "score")),
)


def test_a_command_that_only_looks_loads_nothing_heavy() -> None:
    """One process runs them all: what one of them loads is found after it, and told with its name."""
    code = (
        "import json, sys; from bench.cli.app import app\n"
        "loaded, failed = {}, []\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    try:\n        app(command)\n"
        "    except SystemExit as end:\n        failed += [command] * bool(end.code)\n"
        "    else:\n        failed.append(command)\n"
        f"    for name in {HEAVY}:\n"
        "        if name in sys.modules:\n            loaded.setdefault(name, ' '.join(command))\n"
        "assert not loaded and not failed, (loaded, failed)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(ONLY_LOOKING)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_tables_are_read_without_pandas_and_data_frames_are_still_made() -> None:
    code = (
        "import sys, pyarrow.parquet as pq, pyarrow.compute as pc\n"
        "from bench.cli.no_pandas import use_tables_without_pandas\n"
        "use_tables_without_pandas()\n"
        "table = pq.read_table(sys.argv[1])\n"
        "table = table.filter(pc.equal(table['status'], 'ok'))\n"
        "assert table.num_rows and 'pandas' not in sys.modules\n"
        "assert not any('bench' in type(finder).__module__ for finder in sys.meta_path)\n"
        "assert len(table.to_pandas()) == table.num_rows"
    )
    file = ROOT / "results" / "quickstart" / "records.parquet"
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_check_writes_for_machines(ran: Path, tmp_path: Path) -> None:
    junit, markdown = tmp_path / "gate.xml", tmp_path / "gate.md"
    done = bench("check", ran, "--junit", junit, "--markdown", markdown, "--json")
    verdict = json.loads(done.stdout)
    assert done.returncode == verdict["exit_code"] == {"pass": 0, "regression": 1, "undecided": 3}[verdict["verdict"]]
    assert ET.parse(junit).getroot().get("tests") == "1"
    assert verdict["verdict"] in markdown.read_text()


def test_check_without_a_run_or_a_gate_is_wrong_usage(tmp_path: Path, ran: Path) -> None:
    folder = write_whole(tmp_path)
    done = bench("check", folder)
    assert done.returncode == 2
    assert "bench run" in done.stderr
    (ran.parent / "nogate").mkdir()
    (ran.parent / "nogate" / "comparison.yaml").write_text(COMPARISON.partition("gate:")[0])
    for name in ("records.parquet", "contrasts.json", "run.json"):
        (ran.parent / "nogate" / name).write_bytes((ran / name).read_bytes())
    done = bench("check", ran.parent / "nogate")
    assert done.returncode == 2
    assert "gate" in done.stderr


def test_plan_tells_stages_cost_and_smallest_effect(ran: Path, tmp_path: Path) -> None:
    told = json.loads(bench("plan", ran, "--json").stdout)
    assert sum(kind["total"] for kind in told["stages"]) == sum(kind["finished"] for kind in told["stages"]) == 58
    fresh = json.loads(bench("plan", write_whole(tmp_path), "--json").stdout)
    assert sum(kind["finished"] for kind in fresh["stages"]) == 0
    assert fresh["judgements"] == 24 * 2 * 2 * 5
    assert (fresh["power"]["rests_on"], told["power"]["rests_on"]) == ("assumed", "measured")
    assert fresh["power"]["smallest_detectable"] > 0
    assert "first Holm step of the 4 primary contrasts" in bench("plan", ran).stdout


def test_show_finds_a_prompt_by_id_and_by_text(ran: Path) -> None:
    found = bench("show", ran, "tell six")
    assert found.returncode == 0, found.stderr
    name = found.stdout.strip().splitlines()[1].split(":")[0].strip()
    shown = bench("show", ran, name, "--seed", "1")
    assert shown.returncode == 0, shown.stderr
    for arm in ("base", "sft", "dpo", "dpo_lora"):
        assert arm in shown.stdout
    assert bench("show", ran, "no such prompt").returncode == 2
    assert bench("show", ran, name, "--run", "9").returncode == 2


def test_what_was_written_stands_beside_the_records(ran: Path) -> None:
    responses, verdicts = RESPONSES.find(ran), VERDICTS.find(ran)
    assert responses is not None and verdicts is not None
    assert responses.num_rows == 24 * 5 * 2
    records = RECORDS.read(ran).to_pylist()
    judged = {
        (row["prompt"], row["method"], row["versus"], row["run"], row["order"]): row["value"]
        for row in records
        if row["versus"] is not None
    }
    said = {
        (row["prompt"], row["method"], row["versus"], row["run"], row["order"]): row["value"]
        for row in verdicts.to_pylist()
    }
    assert said == judged


def test_without_its_responses_a_run_is_shown_after_running_again(ran: Path) -> None:
    folder = copied(ran, "old")
    (folder / "responses.parquet").unlink()
    done = bench("show", folder, "tell six")
    assert done.returncode == 2
    assert f"bench run {folder}" in done.stderr
    assert bench_sketched("report", folder).returncode == 0


def test_a_failing_stage_leaves_the_rest_and_says_what_is_missing(tmp_path: Path, computed: Path) -> None:
    text = COMPARISON.replace(
        "dpo_lora: {method: dpo, beta: 0.1, lr: 0.02", "dpo_lora: {method: dpo, beta: 0.1, lr: 1.0e+30"
    )
    folder = write_whole(tmp_path, text)
    take_stages(computed, tmp_path)
    done = bench_sketched("run", folder, "--engine", "inline")
    assert done.returncode == 1
    assert "missing: responses (dpo_lora, seed 0" in done.stdout
    assert "Lower lr" in done.stdout
    contrasts = json.loads((folder / "contrasts.json").read_text())["contrasts"]
    assert {("dpo", "sft"), ("base", "sft")} <= {(contrast["a"], contrast["b"]) for contrast in contrasts}
    assert "dpo_lora" not in {contrast["a"] for contrast in contrasts}
    assert "dpo_lora" in (folder / "report.md").read_text()
    assert bench("check", folder).returncode == 2


def test_a_run_in_which_almost_everything_fails_still_reports(tmp_path: Path) -> None:
    folder = write_whole(tmp_path, COMPARISON.replace("sft: &sft {lr: 0.01", "sft: &sft {lr: 1.0e+30"))
    done = bench_sketched("run", folder, "--set", "given.seeds=[0]", "--engine", "inline")
    assert done.returncode == 1, done.stderr
    assert "missing: responses (sft, seed 0" in done.stdout
    text = (folder / "report.md").read_text()
    assert "Not checked" in text
    assert "Lower lr" in text
    assert bench("check", folder, "--set", "given.seeds=[0]").returncode == 2


@pytest.mark.parametrize(
    "command",
    [
        *("run", "plan", "report", "check", "baseline", "verify", "show", "export", "track", "score"),
        *("methods", "tasks", "judges", "checkers", "new", "schema", "doctor"),
    ],
)
def test_help_has_an_example(command: str) -> None:
    done = bench(command, "--help")
    assert done.returncode == 0
    assert f"bench {command}" in done.stdout.partition("Examples")[2]


def test_listings(tmp_path: Path) -> None:
    assert "dpo" in bench("methods").stdout
    shown = bench("methods", "dpo").stdout
    assert "2305.18290" in shown
    assert "beta" in shown
    assert "atlas" in bench("tasks").stdout
    assert "lexicon" in json.loads(bench("judges", "--json").stdout)
    rows = [line.split()[:2] for line in bench("checkers").stdout.splitlines()]
    assert [row for row in rows if row and row[0] in {"atomic", "bm25", "nli"}] == [
        ["atomic", "extractor"],
        ["bm25", "retriever"],
        ["nli", "verifier"],
    ]
    assert "batch_size" in bench("checkers", "nli").stdout
    wrong = bench("methods", "dop")
    assert wrong.returncode == 2
    assert "Did you mean 'dpo'?" in wrong.stderr
    doctor = json.loads(bench("doctor", "--json").stdout)
    assert doctor["packages"]["torch"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for name, (extra, _) in OPTIONAL.items():
        assert any(re.match(rf"{name}\b", requirement) for requirement in extras[extra])
        assert doctor["optional"][name]
    assert json.loads(bench("schema").stdout)["properties"]["methods"]


def test_the_method_of_the_readme_is_the_one_that_people_copied() -> None:
    """Its text is in the keys of whoever copied it: another example goes beside this one, which must go on working."""
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    assert shown == README_METHOD.read_text(encoding="utf-8")
    assert digest_of_file(README_METHOD) == README_METHOD_DIGEST


def test_the_method_of_the_readme_works(tmp_path: Path, computed: Path) -> None:
    code = README_METHOD.read_text(encoding="utf-8")
    arm = "  mine: {method: ./my_hinge.py, beta: 0.5, lr: 0.01, batch_size: 4, start: *sft}\n"
    folder = write_whole(tmp_path, COMPARISON.replace("  dpo_again:", arm + "  dpo_again:"))
    (folder / "my_hinge.py").write_text(code, encoding="utf-8")
    take_stages(computed, tmp_path)
    done = bench_sketched("run", folder, "--set", "given.seeds=[0]", "--engine", "inline", "--json")
    assert done.returncode == 0, done.stderr
    assert ("mine", "sft") in {(contrast["a"], contrast["b"]) for contrast in json.loads(done.stdout)["contrasts"]}
    wrong = bench("plan", folder, "--set", "methods.mine.beta=-1")
    assert wrong.returncode == 2
    assert "methods.mine.beta" in wrong.stderr


def test_new_writes_a_file_that_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench("new", "mine").returncode == 0
    assert (tmp_path / "results" / "mine" / "comparison.yaml").is_file()
    assert bench("plan", "results/mine").returncode == 0
    again = bench("new", "mine")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_wrong_input_is_exit_2_without_a_traceback(tmp_path: Path) -> None:
    folder = write_whole(
        tmp_path, COMPARISON.replace("beta: 0.1, lr: 0.01, epochs: 3", "bata: 0.1, lr: -1, epochs: 3", 1)
    )
    for command in ("run", "plan", "report", "check"):
        done = bench(command, folder)
        assert done.returncode == 2
        assert "comparison.yaml:10" in done.stderr
        assert "Did you mean 'beta'" in done.stderr
        assert "2 problems" in done.stderr
        assert "Traceback" not in done.stderr
    assert bench("run", tmp_path / "nowhere").returncode == 2
    assert bench("run").returncode == 2
    assert bench("--version").stdout.strip()


def test_contrasts_are_exported_to_a_file_a_folder_or_the_terminal(ran: Path, tmp_path: Path) -> None:
    printed = bench("export", ran, "--format", "json")
    assert printed.returncode == 0, printed.stderr
    told = json.loads(printed.stdout)
    assert told["contrasts"] == json.loads((ran / "contrasts.json").read_text())["contrasts"]
    assert bench("export", ran, "--format", "latex", "--to", tmp_path / "new" / "tables.tex").returncode == 0
    assert r"\toprule" in (tmp_path / "new" / "tables.tex").read_text()
    assert bench("export", ran, "--to", tmp_path).returncode == 0
    assert (tmp_path / "whole.csv").read_text().startswith("a,b,task,metric")


def test_a_policy_is_exported_and_wrong_wishes_are_refused(ran: Path, tmp_path: Path) -> None:
    done = bench("export", ran, "dpo_lora", "--to", tmp_path / "dpo", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert {"README.md", "config.json", "model.safetensors"} <= {path.name for path in (tmp_path / "dpo").iterdir()}
    for wrong, said in (
        (("dpo_lora",), "needs a place to go to"),
        (("dpo_lora", "--to", str(tmp_path / "dpo")), "not empty"),
        (("nobody", "--to", str(tmp_path / "x")), "there is no method 'nobody'"),
        (("base", "--to", str(tmp_path / "x"), "--adapter"), "not trained"),
        (("base", "--to", str(tmp_path / "x"), "--format", "csv"), "belongs to a table"),
        (("--seed", "1"), "belong to a policy"),
    ):
        refused = bench("export", ran, *wrong)
        assert refused.returncode == 2
        assert said in " ".join(refused.stderr.split())


def test_a_finished_run_is_tracked(ran: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    done = bench("track", ran, "--to", "tensorboard", "--folder", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dpo-seed1").is_dir() and (tmp_path / "contrasts").is_dir()
    folder = copied(ran, "tracked")
    assert bench_sketched("run", folder, "--track", "tensorboard").returncode == 0
    assert (folder / "tracked" / "tensorboard" / "sft-seed0").is_dir()
