"""Code of others is executed by the commands that say so, and by no other: a plug-in that is imported leaves a mark."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bench.cli.app import app
from bench.core.frozen import PLUGIN_PREFIX
from bench.results.lock import LOCK
from tests.cli.test_cli import ROOT, Done, bench_sketched
from tests.whole import write_whole

pytestmark = pytest.mark.slow

MARK = "executed"
IMPORTED = f"from pathlib import Path\nPath(__file__).with_name('{MARK}').touch()\n"
METHOD = '''"""The base as it is, arXiv:2305.18290."""
from bench.core.method import Method

class Same(Method):
    strength: float = 1.0

    def policy(self, given):
        return given.base
'''
JUDGE = '''"""Prefers the longer response."""
from typing import ClassVar
from bench.core.judge import Judge, Verdict

class Longer(Judge):
    NAME: ClassVar[str] = "NAMED"
    VERSION: ClassVar[int] = 1
    by: int = 0

    def compare(self, task, pairs, io):
        return [Verdict(value=float(len(p.first) >= len(p.second))) for p in pairs]

    def rate(self, task, responses, io):
        return [Verdict(value=float(len(one.text))) for one in responses]
'''
TASK = '''"""Three prompts of its own."""
from typing import ClassVar
from bench.core.metrics import MetricInfo
from bench.core.policy import Decoding
from bench.core.task import Prompt, Task, user

class Own(Task):
    NAME: ClassVar[str] = "own"
    VERSION: ClassVar[int] = 1
    METRICS: ClassVar = (MetricInfo(name="letters", unit="letters", higher_is_better=True, description="letters"),)

    def prompts(self):
        return tuple(Prompt(id=word, chat=user(word), cluster=word) for word in ("a", "the", "do"))

    def decoding(self):
        return Decoding(max_new_tokens=4)

    def score(self, prompt, response):
        return {"letters": float(len(response))}
'''
MEASUREMENT = '''"""Measures nothing."""
from bench.evaluation.measurement import Measurement

class Nothing(Measurement):
    NAME = "nothing"

    def cells(self, design):
        yield from ()
'''
CODE = {
    "same.py": METHOD,
    "longer.py": JUDGE.replace("NAMED", "longer"),
    "own.py": TASK,
    "nothing.py": MEASUREMENT,
}
COMPARISON = """\
question: Is code of others executed where nothing is computed?
given:
  base: {path: ../../model, template: "{prompt}?"}
  seeds: [0]
methods:
  base: {}
  same: {method: ./same.py, strength: 2.0}
evaluate:
  tasks: [./own.py]
  win_rate: {judges: [{judge: ./longer.py, by: 1}, acme], versus: base}
  measurements: [./nothing.py]
gate:
  - {metric: letters, method: same, versus: base, not_worse_by: 0.9}
  - {metric: win_rate, method: same, versus: base, judge: acme, not_worse_by: 0.9}
"""
# What every command is called with here, and whether it executes code of others.
COMMANDS = {
    "run": ("{folder}", "--engine", "inline"),
    "plan": ("{folder}",),
    "report": ("{folder}",),
    "check": ("{folder}",),
    "baseline": ("{folder}", "--reason", "tried", "--replace"),
    "verify": ("{folder}",),
    "show": ("{folder}", "the"),
    "export": ("{folder}",),
    "track": ("{folder}", "--to", "tensorboard"),
    "human export": ("{folder}", "--to", "{folder}/questions.csv"),
    "human import": ("{folder}", "{folder}/answers.csv"),
    "new": ("{folder}/new",),
    "schema": (),
    "methods": (),
    "tasks": (),
    "judges": (),
    "checkers": (),
    "data": ("{folder}/../../preferences.jsonl",),
    "doctor": (),
    "score": ("--annotations", "{folder}/answers.csv"),
    "store show": ("{folder}",),
    "store prune": ("{folder}", "--dry-run"),
}
# Nothing varies here, nobody is asked, and there is no verdict of others.
STATUSES = {"check": (3,), "human export": (2,), "human import": (2,), "score": (2,)}
EXECUTE_FILES = {"run", "plan"}
# The last two list what is installed, packages of others included: here is a judge.
EXECUTE_PACKAGES = {"run", "plan", "judges", "schema"}


def commands_of(group: Any, before: str = "") -> Iterator[str]:
    """Yield every command of the program, those of groups with the group's name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{name} ")
        else:
            yield f"{before}{name}"


def test_no_command_is_forgotten() -> None:
    assert set(commands_of(typer.main.get_command(app))) == set(COMMANDS)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished run that rests on code of others, beside it and of an installed package."""
    root = tmp_path_factory.mktemp("others")
    folder = write_whole(root, COMPARISON)
    for name, text in CODE.items():
        (folder / name).write_text(text.replace('"""\n', f'"""\n{IMPORTED}', 1), encoding="utf-8")
    site = root / "site"
    package = site / "acme_judges-1.2.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-judges\nVersion: 1.2\n", encoding="utf-8")
    points = "[alignment_bench.judges]\nacme = acme_judges:Longer\n"
    (package / "entry_points.txt").write_text(points, encoding="utf-8")
    text = JUDGE.replace("NAMED", "acme").replace('"""\n', f'"""\n{IMPORTED}', 1)
    (site / "acme_judges.py").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        done = bench_sketched("run", folder, "--engine", "inline")
        assert done.returncode == 0, done.stderr
        yield folder
    forget()


def forget() -> None:
    """Let every plug-in be imported anew where one is asked for."""
    for name in [name for name in sys.modules if name.startswith((PLUGIN_PREFIX, "acme_judges"))]:
        del sys.modules[name]


def executed(root: Path, *arguments: str | Path) -> tuple[Done, set[str]]:
    """Return what a command said, and the places of code that it executed."""
    forget()
    for mark in root.rglob(MARK):
        mark.unlink()
    done = bench_sketched(*arguments)
    return done, {mark.parent.name for mark in root.rglob(MARK)}


@pytest.mark.parametrize("command", COMMANDS)
def test_code_of_others_is_executed_by_those_that_say_so(ran: Path, command: str) -> None:
    arguments = [part.format(folder=ran) for part in COMMANDS[command]]
    done, places = executed(ran.parents[1], *command.split(), *arguments)
    assert done.returncode in STATUSES.get(command, (0,)), done
    assert ("whole" in places) == (command in EXECUTE_FILES)
    assert ("site" in places) == (command in EXECUTE_PACKAGES)


def test_what_was_concluded_stands_without_executing_it(ran: Path) -> None:
    before = {name: (ran / name).read_bytes() for name in ("report.md", "contrasts.json", "report.html")}
    assert bench_sketched("run", ran, "--engine", "inline").returncode == 0
    assert {name: (ran / name).read_bytes() for name in before} == before
    done, places = executed(ran.parents[1], "report", ran)
    assert places == set()
    assert done.stdout.startswith("report: ")
    assert {name: (ran / name).read_bytes() for name in before} == before
    done = bench_sketched("verify", ran)
    assert done.returncode == 0, done.stdout
    assert "not compared" not in done.stdout


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("comparison.yaml", "strength: 2.0", "strength: 3.0", "stale: same.py: other settings (strength: 2.0 -> 3.0)"),
        ("comparison.yaml", "strength: 2.0", "strength: 2", None),
        ("comparison.yaml", ", strength: 2.0", "", "stale: same.py: other settings (strength: 2.0 -> 1.0)"),
        ("comparison.yaml", "by: 1", "by: 2", "stale: longer.py: other settings (by: 1 -> 2)"),
        ("longer.py", ">=", ">", "stale: longer.py was changed ("),
        ("own.py", '"the"', '"an"', "stale: own.py was changed ("),
        ("same.py", "given.base", "given.small", "stale: same.py was changed ("),
        ("nothing.py", "nothing", "something", "stale: nothing.py was changed ("),
    ],
)
def test_what_was_changed_in_it_is_stale_without_executing_it(
    ran: Path, tmp_path: Path, name: str, old: str, new: str, told: str | None
) -> None:
    shutil.copytree(ran.parents[1], tmp_path / "copy")
    folder = tmp_path / "copy" / "results" / "whole"
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    done, places = executed(tmp_path, "check", folder)
    assert places == set()
    assert (told is None and done.returncode == 3) or (told is not None and told in done.stderr), done


def test_a_results_folder_is_read_where_the_code_is_not(ran: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "whole"
    shutil.copytree(ran, folder, ignore=shutil.ignore_patterns("*.py", "tracked"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [place for place in sys.path if not place.endswith("/site")])
        for command in ("check", "report", "verify", "show", "export"):
            done = bench_sketched(command, folder)
            assert done.returncode in STATUSES.get(command, (0,)), done
        done = bench_sketched("check", folder)
    for line in (
        "not compared: longer.py is not here",
        "not compared: acme, which was of the package acme-judges 1.2 and is not installed here",
    ):
        assert line in done.stdout
    assert (folder / "contrasts.json").read_bytes() == (ran / "contrasts.json").read_bytes()


def test_the_lock_keeps_what_must_be_known_of_it(ran: Path) -> None:
    found = {use.code: use for use in LOCK.read(ran).plugins}
    assert found.keys() == {"same.py", "longer.py", "own.py", "acme"}
    assert found["acme"].package == "acme-judges 1.2"
    assert found["same.py"].settings == {"strength": 2.0}
    assert found["same.py"].cites == ("2305.18290",)
    assert [facts["name"] for facts in found["own.py"].metrics] == ["letters"]


def test_rewards_of_committed_results_are_not_executed(tmp_path: Path) -> None:
    folder = tmp_path / "length_bias"
    shutil.copytree(ROOT / "results" / "length_bias", folder)
    for file in folder.glob("*.py"):
        file.write_text(file.read_text(encoding="utf-8") + IMPORTED, encoding="utf-8")
    done, places = executed(tmp_path, "show", folder)
    assert (done.returncode, places) == (0, set())
    done, places = executed(tmp_path, "export", folder)
    assert places == set()
    assert "stale: method sft_longest, reward.digest: " in done.stderr
