"""A change of what stages compute with must be reviewed: raise VERSION or record why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import stage_lock


@pytest.fixture(scope="module")
def now() -> stage_lock.Survey:
    """The stages of this checkout."""
    return stage_lock.survey()


def test_no_unreviewed_change_of_a_stage(now: stage_lock.Survey) -> None:
    lines = stage_lock.differences(now)
    assert not lines, (
        "stages have changed since the lock was recorded. Raise VERSION where results change, then run\n"
        '  make lock REASON="what changed, and whether results are preserved"\n' + "\n".join(lines)
    )


def test_the_lock_sees_every_stage_of_the_three_packages(now: stage_lock.Survey) -> None:
    kinds = {name.split()[0] for name in now.stages}
    assert {"generate", "score", "judge", "train/sft", "train/dpo", "reference_logprobs", "atlas/pretrain"} <= kinds
    assert len(now.stages) >= 20


BODY = '''"""A helper."""

FACTOR = 2


def doubled(value):
    """Twice."""
    return FACTOR * value


def tripled(value):
    return 3 * value
'''
STAGE = '''"""A stage."""

from bench.helping import doubled, tripled


class Toy:
    KIND = "toy"
    VERSION = 1

    def run(self):
        from bench.helping import FACTOR

        return doubled(tripled(FACTOR))
'''


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree of packages with one stage, and its recorded lock; survey() imports nothing from it."""
    for package in stage_lock.PACKAGES:
        (tmp_path / package).mkdir()
    (tmp_path / "bench" / "helping.py").write_text(BODY)
    (tmp_path / "bench" / "toy.py").write_text(STAGE)
    toy = type("module", (), {"Toy": type("Toy", (), {"VERSION": 1})})
    monkeypatch.setattr(stage_lock.importlib, "import_module", lambda _name: toy)
    monkeypatch.setattr(stage_lock, "ROOT", tmp_path)
    now = stage_lock.survey(tmp_path)
    body = {
        "definitions": {
            module: {name: str(one) for name, one in names.items()} for module, names in now.definitions.items()
        },
        "versions": {name: stage.version for name, stage in now.stages.items()},
    }
    (tmp_path / "lock.json").write_text(json.dumps(body))
    assert changed(tmp_path) == []
    return tmp_path


def changed(tree: Path) -> list[str]:
    return stage_lock.differences(stage_lock.survey(tree), tree / "lock.json")


def test_a_module_that_moves_is_no_change(tree: Path) -> None:
    shutil.move(tree / "bench" / "helping.py", tree / "tasks" / "elsewhere.py")
    (tree / "bench" / "toy.py").write_text(STAGE.replace("bench.helping", "tasks.elsewhere"))
    assert changed(tree) == []
    moves = stage_lock.moved(stage_lock.survey(tree), stage_lock.locked(tree / "lock.json"))
    assert moves == ["tasks.elsewhere moved from bench.helping"]


def test_a_module_that_is_parted_is_no_change(tree: Path) -> None:
    first, _, second = BODY.partition("def tripled")
    (tree / "bench" / "helping.py").write_text(first)
    (tree / "bench" / "other.py").write_text("def tripled" + second)
    whole = STAGE.replace("doubled, tripled", "doubled") + "\n"
    (tree / "bench" / "toy.py").write_text(
        whole.replace('stage."""', 'stage."""\n\nfrom bench.other import tripled', 1)
    )
    assert changed(tree) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "names"),
    [
        ("helping.py", "3 * value", "4 * value", "bench.helping.tripled"),
        ("helping.py", "FACTOR = 2", "FACTOR = 3", "bench.helping.FACTOR"),
        ("toy.py", "doubled(tripled(", "tripled(tripled(", "bench.toy.Toy"),
    ],
)
def test_a_changed_definition_is_named(tree: Path, file: str, old: str, new: str, names: str) -> None:
    path = tree / "bench" / file
    path.write_text(path.read_text().replace(old, new))
    assert changed(tree) == [f"toy Toy (VERSION 1) rests on changed {names}"]


def test_an_import_that_is_pointed_at_another_known_definition_is_a_change(tree: Path) -> None:
    """The texts stay as they were; what ``tripled`` stands for does not."""
    text = STAGE.replace("import doubled, tripled", "import doubled\nfrom bench.helping import doubled as tripled")
    (tree / "bench" / "toy.py").write_text(text)
    assert changed(tree) == ["toy Toy (VERSION 1) rests on changed bench.toy.Toy"]


def test_words_about_the_code_are_no_change(tree: Path) -> None:
    path = tree / "bench" / "helping.py"
    path.write_text("# a remark\n" + BODY.replace("Twice.", "Two times the value.").replace("A helper.", "Help."))
    assert changed(tree) == []


def test_a_public_name_of_methods_is_followed_to_where_it_lies() -> None:
    text = "from methods import FineTuning, train_on_pairs as train\nfrom methods import _shared\n"
    assert list(stage_lock.imports_of(stage_lock.ast.parse(text))) == [
        ("FineTuning", "methods._train.fine_tuning", "FineTuning"),
        ("train", "methods._train.pairs.train", "train_on_pairs"),
        ("_shared", "methods", "_shared"),
    ]
