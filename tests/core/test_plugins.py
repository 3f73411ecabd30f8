"""Discovery: by name, lazily, and with an error that says what to do."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from bench.config.document.problems import Place
from bench.core import plugins
from bench.core.errors import BenchError
from bench.core.judge import Judge
from bench.core.plugins import EXTRACTOR, JUDGE, METHOD, RETRIEVER, TASK, VERIFIER, WORLD, Kind, find, listing

ROOT = Path(__file__).resolve().parents[2]
STUBS = Path(__file__).parent / "stubs"


def test_files_beside_a_comparison() -> None:
    assert find(METHOD, "./floor.py", STUBS).__name__ == "Floor"
    assert find(TASK, "task.py", STUBS).NAME == "questions"
    assert find(WORLD, "world.py", STUBS).NAME == "small_world"
    assert find(JUDGE, "judge.py", STUBS).NAME == "stub_judge"
    assert find(METHOD, "floor.py", STUBS) is find(METHOD, "../stubs/floor.py", STUBS)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("none.py", "no such file"),
        ("broken.py", "broken on purpose"),
        ("two.py", "One, Two"),
        ("abstract.py", r"does not define policy\(\)"),
        ("task.py", "defines no Method subclass"),
    ],
)
def test_a_file_that_holds_no_method(file: str, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        find(METHOD, file, STUBS)


def test_unknown_names() -> None:
    with pytest.raises(
        BenchError, match="to add one: create bench/evaluation/judges/golden.py with one Judge subclass"
    ):
        find(JUDGE, "golden")
    with pytest.raises(BenchError, match="Did you mean 'gold'?"):
        find(JUDGE, "golden")
    for name in ("../sft", "_train", "shared", "", "a.b"):
        with pytest.raises(BenchError, match="unknown method"):
            find(METHOD, name)


def test_listings_name_every_file() -> None:
    kinds: list[tuple[Kind[Any], str]] = [(JUDGE, "bench/evaluation/judges"), (METHOD, "methods")]
    for kind, folder in kinds:
        files = {file.stem for file in (ROOT / folder).glob("*.py")} - {"__init__"}
        found = listing(kind)
        assert set(found) == {name for name in files if not name.startswith("_")}
        for entry in found.values():
            assert entry.about and entry.origin == f"{folder}/{entry.name}.py"
    files = {file.stem for file in (ROOT / "tasks").glob("*.py") if not file.stem.startswith("_")}
    assert set(listing(TASK)) | set(listing(WORLD)) == files


def test_only_the_wanted_module_is_imported() -> None:
    code = (
        "import sys; from bench.core import plugins; plugins.find(plugins.JUDGE, 'gold');"
        "found = [name for name in sys.modules if name.startswith(('methods', 'tasks', 'bench.evaluation.judges.'))];"
        "print([name for name in found if not name.startswith('bench.evaluation.judges._')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "['bench.evaluation.judges.gold']"


class TestEntryPoints:
    @pytest.fixture(autouse=True)
    def _points(self, monkeypatch: pytest.MonkeyPatch) -> None:
        package = "tests.core.stubs"
        points = [
            EntryPoint("stub_judge", f"{package}.judge:Stub", "alignment_bench.judges"),
            EntryPoint("gold", f"{package}.judge:Stub", "alignment_bench.judges"),
            EntryPoint("misnamed", f"{package}.judge:Stub", "alignment_bench.judges"),
            EntryPoint("nothing", f"{package}.judge:Absent", "alignment_bench.judges"),
            EntryPoint("text", f"{package}.judge:__doc__", "alignment_bench.judges"),
            EntryPoint("small_world", f"{package}.world:Small", "alignment_bench.tasks"),
            EntryPoint("questions", f"{package}.task:Questions", "alignment_bench.tasks"),
        ]
        monkeypatch.setattr(plugins, "entry_points", lambda group: [item for item in points if item.group == group])

    def test_they_are_found_by_name(self) -> None:
        assert find(JUDGE, "stub_judge").NAME == "stub_judge"
        assert find(TASK, "questions").NAME == "questions"
        assert find(WORLD, "small_world").NAME == "small_world"
        assert "small_world" in listing(WORLD) and "small_world" not in listing(TASK)

    def test_our_own_file_comes_first(self) -> None:
        assert find(JUDGE, "gold").__module__ == "bench.evaluation.judges.gold"

    @pytest.mark.parametrize(
        ("name", "words"),
        [("misnamed", "make them equal"), ("nothing", "cannot be loaded"), ("text", "no Judge subclass")],
    )
    def test_wrong_ones_say_why(self, name: str, words: str) -> None:
        with pytest.raises(BenchError, match=words):
            find(JUDGE, name)

    def test_a_broken_neighbour_does_not_hide_an_unknown_name(self) -> None:
        with pytest.raises(BenchError, match="Did you mean 'questions'?"):
            find(TASK, "question")


def test_an_entry_has_a_class() -> None:
    assert issubclass(listing(JUDGE)["gold"].cls, Judge)


def test_every_kind_has_its_group_of_entry_points() -> None:
    kinds: tuple[Kind[Any], ...] = (METHOD, TASK, WORLD, JUDGE, EXTRACTOR, RETRIEVER, VERIFIER)
    groups = [kind.group.removeprefix("alignment_bench.") for kind in kinds]
    assert groups == ["methods", "tasks", "tasks", "judges", "extractors", "retrievers", "verifiers"]


def test_a_kind_may_be_any_class() -> None:
    kind = Kind("place", Place, "bench.config.document", named=False, alone=False)
    assert [entry.cls for entry in listing(kind).values()] == [Place]
    assert find(kind, "problems") is Place
    with pytest.raises(BenchError, match="to add one: create bench/config/document/mine.py with one Place subclass"):
        find(kind, "mine")
