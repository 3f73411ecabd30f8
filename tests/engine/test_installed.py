"""The installed package, run from a folder whose own ``bench``, ``methods`` and ``tasks`` must not shadow it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.whole import COMPARISON, write_whole

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "methods", "tasks")
METHODS = COMPARISON[COMPARISON.index("methods:") : COMPARISON.index("evaluate:")]
# One stage that trains.
SMALL = (
    COMPARISON[: COMPARISON.index("gate:")]
    .replace(METHODS, "methods:\n  base: {}\n  sft: {lr: 0.01, epochs: 1, batch_size: 4}\n")
    .replace("seeds: [0, 1]", "seeds: [0]")
    .replace("versus: sft", "versus: base")
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_every_file_that_the_packages_read(wheel: Path) -> None:
    there = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert there == {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(PACKAGES)}
    read = [name for name in there if not name.endswith(".py")]
    for place in (
        *("judges/prompts/helpful.yaml", "checkers/prompts/atomic_facts.txt", "page/web/page.css", "references.bib"),
        *("human/page.html", "methods/_data/constitution.yaml", "tasks/lm_eval/atlas_facts.yaml"),
    ):
        assert any(name.endswith(place) for name in read)


@pytest.fixture(scope="module")
def bench(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment with the wheel, and with all packages of this one but the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    # A path that stands in a .pth file is looked into, but .pth files in it (that of the checkout) are not read.
    (site / "environment.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return folder / "bin" / "bench"


@pytest.mark.slow
def test_folders_of_the_user_shadow_nothing(bench: Path, tmp_path: Path) -> None:
    """The command itself, its worker processes, and the processes that train together."""
    folder = write_whole(tmp_path, SMALL)
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('this is the folder of the user')\n")
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    command = [bench, "run", folder.relative_to(tmp_path), "--workers", "1", "--processes", "2", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["missing"] == []
    assert told["stages"]["computed"] > 0
