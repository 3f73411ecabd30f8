"""The GitHub Action: its form, and its shell scripts run as a runner would."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
REGRESSION = """\
while [ $# -gt 0 ]; do
  case "$1" in
    --markdown) echo "### Gate: told by bench" > "$2"; shift ;;
    --junit) echo "<testsuites/>" > "$2"; shift ;;
  esac
  shift
done
"""


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
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", item["uses"])


def test_every_input_and_output_that_is_named_exists() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    ids = {item["id"] for item in STEPS if "id" in item}
    assert set(re.findall(r"steps\.(\w+)\.outputs", text)) <= ids
    for name in ("verdict", "summary"):
        assert f'echo "{name}=' in step("Check")["run"]


def run_step(name: str, tmp_path: Path, status: int, **inputs: str) -> tuple[int, dict[str, str], str, list[str]]:
    """Run a step with a `bench` that exits with that status; its exit status, outputs, summary and what bench got."""
    tools = tmp_path / "tools"
    tools.mkdir()
    log = tmp_path / "calls"
    fake = tools / "bench"
    writes = "" if status == 2 else REGRESSION
    fake.write_text(f'#!/bin/bash\nprintf "%s|" "$@" > "{log}"\n{writes}echo "told" >&2\nexit {status}\n')
    fake.chmod(0o755)
    files = {key: tmp_path / key.lower() for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    env = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        **{key: str(path) for key, path in files.items()},
        **inputs,
    }
    for path in files.values():
        path.touch()
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]],
        env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    called = log.read_text().split("|")[:-1] if log.exists() else []
    return done.returncode, outputs, files["GITHUB_STEP_SUMMARY"].read_text(), called


@pytest.mark.parametrize(
    ("status", "undecided", "exits", "verdict"),
    [
        (0, "fail", 0, "pass"),
        (1, "fail", 1, "regression"),
        (1, "pass", 1, "regression"),
        (3, "fail", 3, "undecided"),
        (3, "pass", 0, "undecided"),
        (2, "pass", 2, "error"),
    ],
)
def test_the_check_tells_the_verdict(tmp_path: Path, status: int, undecided: str, exits: int, verdict: str) -> None:
    asked = {"COMPARISON": "results/my run", "BASELINE": "", "UNDECIDED": undecided}
    code, outputs, summary, called = run_step("Check", tmp_path, status, **asked)
    assert code == exits
    assert outputs["verdict"] == verdict
    assert Path(outputs["summary"]).is_file()
    assert called[:2] == ["check", "results/my run"]
    assert "--baseline" not in called
    wanted = "### Gate: not checked" if status == 2 else "### Gate: told by bench"
    assert summary.startswith(wanted)
    assert ("```\ntold\n```" in summary) == (status == 2)


def test_the_baseline_is_handed_over_and_nothing_is_evaluated_by_the_shell(tmp_path: Path) -> None:
    asked = {"COMPARISON": "$(touch hacked); x", "BASELINE": "a b.json", "UNDECIDED": "fail"}
    _, _, _, called = run_step("Check", tmp_path, 0, **asked)
    assert called[1] == "$(touch hacked); x"
    assert called[-2:] == ["--baseline", "a b.json"]
    assert not (tmp_path / "hacked").exists()


def test_the_run_and_the_folder(tmp_path: Path) -> None:
    code, _, _, called = run_step("Run", tmp_path, 1, COMPARISON="results/a b")
    assert (code, called) == (1, ["run", "results/a b"])
    (tmp_path / "folder").mkdir()
    (tmp_path / "tools").rename(tmp_path / "gone")
    assert run_step("Find the folder of the comparison", tmp_path, 0, COMPARISON="folder")[1] == {"path": "folder"}
    (tmp_path / "tools").rename(tmp_path / "gone2")
    (tmp_path / "github_output").unlink()
    told = run_step("Find the folder of the comparison", tmp_path, 0, COMPARISON="folder/comparison.yaml")[1]
    assert told == {"path": "folder"}
