"""The GitHub Action: its form, and its shell scripts run as a runner would, with what a stranger might put in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
WRITES_A_TABLE = """\
for argument in "$@"; do
  case "$argument" in
    --) break ;;
    --markdown=*) echo "### Gate: told by bench" > "${argument#*=}" ;;
    --junit=*) echo "<testsuites/>" > "${argument#*=}" ;;
  esac
done
"""
SAYS = "told\n::set-output name=verdict::pass\n```\n<img src=x>"


def step(name: str) -> dict[str, Any]:
    return next(item for item in STEPS if item["name"] == name)


def test_the_form_is_that_of_a_composite_action() -> None:
    assert {"name", "description", "inputs", "outputs", "runs"} <= set(ACTION)
    assert ACTION["runs"]["using"] == "composite"
    for item in STEPS:
        assert ("run" in item) != ("uses" in item)
        if "run" in item:
            assert item["shell"] == "bash"  # a composite action has no default shell
            assert "${{" not in item["run"], "an input in a script is an injection: hand it over by env"
        else:
            assert re.fullmatch(r"actions/[\w/-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})", item["uses"])
            patterns = [value for name, value in item["with"].items() if name == "path"]
            assert all("inputs." not in value for value in patterns), "what is a pattern there is looked at first"


def test_every_input_and_output_that_is_named_exists() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    scripts = {item["id"]: item["run"] for item in STEPS if "id" in item}
    for identity, output in re.findall(r"steps\.(\w+)\.outputs\.(\w+)", text):
        assert f'echo "{output}=' in scripts[identity]
    assert step("Tell the verdict")["if"] == "always()"


@dataclass(frozen=True)
class Ran:
    """What came of a step: its exit status, its outputs, the job's summary, what it printed and what it called."""

    status: int
    outputs: dict[str, str]
    summary: str
    printed: str
    called: list[str]


def run_step(name: str, folder: Path, program: str = "exit 0", **inputs: str) -> Ran:
    """Run a step with a `bench`, `gh` and `python` that note how they were called and do as the program says."""
    tools, log = folder / "tools", folder / "calls"
    tools.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    for tool in ("bench", "gh", "python"):
        (tools / tool).write_text(f'#!/bin/bash\nprintf "%s\\0" "$@" > "{log}"\n{program}\n')
        (tools / tool).chmod(0o755)
    files = {key: folder / key.lower() for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.write_text("")
    given = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "RUNNER_TEMP": str(folder), "OUT": str(folder)}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]],
        env={**given, **{key: str(path) for key, path in files.items()}, **inputs},
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    called = log.read_text().split("\0")[:-1] if log.exists() else []
    return Ran(done.returncode, outputs, files["GITHUB_STEP_SUMMARY"].read_text(), done.stdout + done.stderr, called)


def commands_in(printed: str) -> list[str]:
    """Return the lines that a runner takes for commands: those outside of where it was told to stop."""
    found, until = [], ""
    for line in printed.splitlines():
        if until:
            until = "" if line == f"::{until}::" else until
        elif line.startswith("::stop-commands::"):
            until = line.removeprefix("::stop-commands::")
        elif line.startswith("::"):
            found.append(line)
    return found


CHECK = {"SET": "", "BASELINE": "", "UNDECIDED": "fail"}


@pytest.mark.parametrize(
    ("status", "undecided", "exits", "verdict"),
    [
        (0, "fail", 0, "pass"),
        (1, "fail", 1, "regression"),
        (1, "pass", 1, "regression"),
        (3, "fail", 3, "undecided"),
        (3, "pass", 0, "undecided"),
        (2, "pass", 2, "error"),
        (4, "pass", 4, "error"),
        (130, "fail", 130, "error"),
        (137, "fail", 137, "error"),
    ],
)
def test_the_check_tells_the_verdict(tmp_path: Path, status: int, undecided: str, exits: int, verdict: str) -> None:
    asked = {**CHECK, "COMPARISON": "results/my run", "UNDECIDED": undecided}
    found = run_step("Check", tmp_path, f"{WRITES_A_TABLE}echo told >&2\nexit {status}", **asked)
    assert (found.status, found.outputs) == (exits, {"verdict": verdict})
    assert found.called[0] == "check"
    assert found.called[-2:] == ["--", "results/my run"]
    told = run_step("Tell the verdict", tmp_path, VERDICT=found.outputs["verdict"])
    assert told.status == 0
    assert told.outputs["verdict"] == verdict
    summary = Path(told.outputs["summary"]).read_text()
    assert summary == told.summary
    assert summary == ("### Gate: not checked\n\n    told\n" if verdict == "error" else "### Gate: told by bench\n")


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_verdict_without_a_table_is_an_error(tmp_path: Path, status: int) -> None:
    """So ends a help page, and Python where a package is missing."""
    found = run_step("Check", tmp_path, f"exit {status}", **CHECK, COMPARISON="x")
    assert (found.status, found.outputs) == (4, {"verdict": "error"})


HOSTILE = [
    "--help", "--junit=hacked", "-h", "$(touch hacked)", "`touch hacked`", "x; touch hacked", "x' \"y", "a b",
    "&& true", "-", "--", "results/ünï", "a=b", "x\\n", "results/${HOME}", ">hacked",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_no_path_is_an_option_or_a_command(tmp_path: Path, path: str) -> None:
    place = run_step("Look where the comparison is", tmp_path, COMPARISON=path, ARTIFACT=path, JOB="a-0", SYSTEM="L")
    assert place.status == 0
    assert set(place.outputs) == {"out", "folder", "store", "caches", "cache", "artifact"}
    assert Path(place.outputs["store"]).name == ".store"
    assert re.fullmatch(r"[A-Za-z0-9._-]+", place.outputs["artifact"])
    assert place.outputs["cache"] == f"{place.outputs['caches']}none"
    settings = {"SET": f"{path}\n\nb=c", "WORKERS": path, "FOLDER": str(tmp_path), "CACHES": "c-"}
    ran = run_step("Run", tmp_path, COMPARISON=path, **settings)
    assert ran.called == ["run", f"--set={path}", "--set=b=c", f"--workers={path}", "--", path]
    asked = run_step("Check", tmp_path, WRITES_A_TABLE, COMPARISON=path, SET=path, BASELINE=path, UNDECIDED="fail")
    assert asked.called[3:] == [f"--set={path}", f"--baseline={path}", "--", path]
    assert asked.outputs == {"verdict": "pass"}
    assert not list(tmp_path.glob("**/hacked"))


REFUSED = ["", "a\nverdict=pass", "a\rb", "x\x1b[2J", "results/*", "!secret", "~/x", "a[b]", "a?"]


@pytest.mark.parametrize("path", REFUSED)
def test_a_path_that_writes_outputs_or_is_a_pattern_is_refused(tmp_path: Path, path: str) -> None:
    place = run_step("Look where the comparison is", tmp_path, COMPARISON=path, ARTIFACT="a", JOB="a-0", SYSTEM="L")
    assert place.status == 2
    assert set(place.outputs) == {"out"}
    told = run_step("Tell the verdict", tmp_path, VERDICT="", OUT=place.outputs["out"])
    assert told.outputs["verdict"] == "error"
    assert "    the input path is empty, or holds a line end" in told.summary


def test_what_the_program_prints_commands_no_runner_and_is_no_markup(tmp_path: Path) -> None:
    program = f"cat <<'END' | tee /dev/stderr\n{SAYS}\nEND\nexit 2"
    ran = run_step("Run", tmp_path, program, COMPARISON="x", SET="", WORKERS="", FOLDER=str(tmp_path), CACHES="c-")
    assert ran.status == 2
    assert "::set-output" in ran.printed
    assert commands_in(ran.printed) == []
    # A run that fails leaves the check out; the verdict is told nevertheless, with what the run said.
    told = run_step("Tell the verdict", tmp_path, VERDICT="")
    assert (told.status, told.outputs["verdict"]) == (0, "error")
    body = told.summary.removeprefix("### Gate: not checked\n\n")
    assert all(line.startswith("    ") for line in body.splitlines())
    checked = run_step("Check", tmp_path, program, **CHECK, COMPARISON="x")
    assert checked.outputs == {"verdict": "error"}
    assert [line for line in commands_in(checked.printed) if "set-output" in line] == []


def test_the_verdict_is_told_where_nothing_else_was(tmp_path: Path) -> None:
    told = run_step("Tell the verdict", tmp_path, VERDICT="", OUT="")
    assert told.outputs["verdict"] == "error"
    assert told.summary.startswith("### Gate: not checked\n")


def test_what_is_installed_is_split_and_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    asked = {"INSTALL": "one[x]  two==1\n*.txt", "CONSTRAINTS": "my constraints.txt"}
    found = run_step("Install", tmp_path, **asked)
    pip = ["-m", "pip", "install", "--disable-pip-version-check"]
    assert found.called == [*pip, "--constraint=my constraints.txt", "one[x]", "two==1", "*.txt"]
    assert run_step("Install", tmp_path, INSTALL="one", CONSTRAINTS="").called == [*pip, "one"]


def test_names_differ_between_jobs_and_comparisons_and_the_store_is_found_by_the_lock(tmp_path: Path) -> None:
    def place(path: str, job: str = "a-0") -> dict[str, str]:
        asked = {"COMPARISON": path, "ARTIFACT": "mine", "JOB": job, "SYSTEM": "Linux-X64"}
        return run_step("Look where the comparison is", tmp_path, **asked).outputs

    mine = tmp_path / "results" / "mine"
    mine.mkdir(parents=True)
    some = (place("results/mine"), place("results/mine", "a-1"), place("results/other"))
    assert len({one["artifact"] for one in some}) == 3
    before = place("results/mine/comparison.yaml")
    assert Path(before["folder"]) == mine
    assert Path(before["store"]) == tmp_path / "results" / ".store"
    assert before["cache"].endswith("-none")
    (mine / "lock.json").write_text("{}")
    after = place("results/mine/comparison.yaml")
    assert after["caches"] == before["caches"]
    assert after["cache"] != before["cache"]
    ran = run_step("Run", tmp_path, COMPARISON="x", SET="", WORKERS="", FOLDER=str(mine), CACHES=after["caches"])
    assert ran.outputs == {"cache": after["cache"]}


def test_a_comment_that_may_not_be_written_fails_nothing(tmp_path: Path) -> None:
    asked = {"GH_TOKEN": "t", "NUMBER": "1", "REPOSITORY": "o/r", "SUMMARY": "a b.md"}
    found = run_step("Comment on the pull request", tmp_path, "exit 1", **asked)
    assert found.status == 0
    assert [line[:11] for line in commands_in(found.printed)] == ["::warning::"]
    assert found.called[:7] == ["pr", "comment", "1", "--repo", "o/r", "--body-file", "a b.md"]
    assert "::" not in run_step("Comment on the pull request", tmp_path, **asked).printed


def test_results_are_gathered_whatever_the_folder_is_called(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "-r *").mkdir()
    (tmp_path / "-r *" / "report.md").touch()
    assert run_step("Gather report and results", tmp_path, FOLDER="-r *", OUT=str(out)).status == 0
    assert (out / "results" / "report.md").is_file()
    assert run_step("Gather report and results", tmp_path, FOLDER="nowhere", OUT=str(out)).status == 0


def test_the_real_program_takes_an_option_for_a_path_behind_two_dashes(tmp_path: Path) -> None:
    program = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m bench.cli "$@"'
    found = run_step("Check", tmp_path, program, **CHECK, COMPARISON="--help")
    assert (found.status, found.outputs) == (2, {"verdict": "error"})
    assert "--help" in (tmp_path / "error.txt").read_text()
