"""The public contract of plug-ins: what a file beside a comparison may import, and that it is there."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import bench.evaluation.judges
import bench.evaluation.measurements
import methods
import tasks
from tests.gate import signed_comparison

ROOT = Path(__file__).resolve().parents[2]
GIVING = (methods, tasks, bench.evaluation.judges, bench.evaluation.measurements)
# What plans and is planned; all else trains, and torch comes with it.
TRAINING = {
    "LossSum",
    "Rollouts",
    "Training",
    "fit",
    "train_on_pairs",
    "train_on_pairs_alone",
    "train_on_pairs_with_margins",
    "train_on_reward",
    "train_sft",
    "train_unpaired",
}
STUBS = sorted((ROOT / "tests" / "core" / "stubs").glob("*.py"))
PLUGINS = {
    "README": (ROOT / "tests" / "cli" / "my_hinge.py").read_text(encoding="utf-8"),
    "signed": signed_comparison.METHOD,
    **{path.stem: path.read_text(encoding="utf-8") for path in STUBS},
}


@pytest.mark.parametrize("package", GIVING, ids=lambda package: package.__name__)
def test_every_public_name_is_there_and_none_is_a_file(package: ModuleType) -> None:
    """``from methods import sft`` must be one thing, whether or not methods/sft.py has been imported before."""
    files = {info.name for info in pkgutil.iter_modules(package.__path__)}
    assert len(package.__all__) == len(set(package.__all__)) > 1
    assert not files & set(package.__all__)
    for name in package.__all__:
        value = getattr(package, name)
        if isinstance(value, type | FunctionType):
            assert value.__name__ == name
        assert name in dir(package)


@pytest.mark.parametrize("package", GIVING, ids=lambda package: package.__name__)
def test_every_public_name_is_told(package: ModuleType) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [name for name in package.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_a_type_checker_sees_the_names_that_are_there() -> None:
    tree = ast.parse(Path(methods.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("methods.")
        for alias in node.names
    }
    assert seen == methods._MODULES


def test_other_names_are_refused_and_files_are_modules() -> None:
    with pytest.raises(AttributeError, match="'methods' has no attribute 'no_such_name'"):
        getattr(methods, "no_such_name")  # noqa: B009 - the access itself is the test
    from methods import sft

    assert sft is sys.modules["methods.sft"]


def test_torch_loads_only_with_what_trains() -> None:
    planning = sorted(set(methods.__all__) - TRAINING)
    code = (
        "import sys, methods\n"
        "assert not [name for name in sys.modules if name.startswith(('bench', 'methods.', 'pydantic'))]\n"
        f"[getattr(methods, name) for name in {planning!r}]\n"
        "import tasks, bench.evaluation.judges\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
        # As if torch were not there: whatever needs it says so, in a fraction of the time that loading it takes.
        "sys.modules['torch'] = None\n"
        f"for name in {sorted(TRAINING)!r}:\n"
        "    try:\n        getattr(methods, name)\n"
        "    except ImportError as error:\n        assert error.name == 'torch', error\n"
        "    else:\n        raise AssertionError(f'{name} loads no torch')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def imported(code: str) -> Iterator[tuple[str, str]]:
    """Every name that a file imports, with the module."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


@pytest.mark.parametrize("name", PLUGINS)
def test_our_examples_keep_to_the_contract(name: str) -> None:
    public = {package.__name__: set(package.__all__) for package in GIVING}
    for module, what in imported(PLUGINS[name]):
        if module.split(".")[0] in {"bench", "methods", "tasks"}:
            assert module.startswith("bench.core.") or what in public.get(module, ()), f"{module}.{what}"
