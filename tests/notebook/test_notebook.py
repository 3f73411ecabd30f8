"""The bench from Python: the same values as the files and the commands have."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bench
from bench.core.errors import BenchError, DataError
from bench.results.conclusions.all import CONCLUSIONS
from tests.cli.test_cli import bench_sketched
from tests.once import take_stages
from tests.sketched import sketched
from tests.whole import write_whole

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
QUICKSTART = ROOT / "results" / "quickstart"


@pytest.fixture(scope="module")
def ran(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bench.Results]:
    root = tmp_path_factory.mktemp("notebook")
    folder = write_whole(root)
    take_stages(computed, root)
    with sketched():
        return folder, bench.run(folder, {"statistics.level": 0.9}, workers=1)


def test_run_gives_what_is_in_the_files(ran: tuple[Path, bench.Results]) -> None:
    folder, results = ran
    assert results.contrasts["level"].eq(0.9).all()
    contrasts = CONCLUSIONS.read(folder).contrasts
    assert results.contrasts["estimate"].tolist() == [one.estimate for one in contrasts]
    assert results.contrasts["verdict"].tolist() == [one.verdict for one in contrasts]
    assert len(results.records) > len(results.responses) > 0
    assert set(results.verdicts["judge"]) == {"lexicon"}
    assert results.report.is_file()
    assert results.told == ()


def test_load_needs_no_more_than_the_files_and_says_what_is_stale(
    ran: tuple[Path, bench.Results], tmp_path: Path
) -> None:
    folder, results = ran
    far = shutil.copytree(folder, tmp_path / "results" / "far")
    with pytest.warns(UserWarning, match="not here"):
        alone = bench.load(str(far), ["statistics.level=0.9"])
    pd.testing.assert_frame_equal(alone.contrasts, results.contrasts)
    pd.testing.assert_frame_equal(alone.records, results.records)
    with pytest.warns(UserWarning, match="stale: "):
        assert any("stale" in line for line in bench.load(folder, {"given.seeds": [0]}).told)


def test_a_contrast_is_found_by_its_names(ran: tuple[Path, bench.Results]) -> None:
    _, results = ran
    one = results.contrast("sft", "dpo")
    assert (one.a, one.b, one.metric) == ("dpo", "sft", "win_rate")
    assert one.interval[0] <= one.estimate <= one.interval[1]
    assert one.verdict in {"a better", "b better", "undecided"}
    with pytest.raises(BenchError, match="0 contrasts of 'dpo' and 'sfft'.*dpo - sft"):
        results.contrast("dpo", "sfft")
    with pytest.raises(BenchError, match=r"no column 'judg'. Did you mean 'judge'"):
        results.contrast("dpo", "sft", judg="lexicon")


def test_what_is_wrong_is_said_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such comparison file"):
        bench.load(tmp_path / "none")
    with pytest.raises(BenchError, match="given.seed: unknown key"):
        bench.run(write_whole(tmp_path), {"given.seed": 1})
    with pytest.raises(BenchError, match="write \\['a=1'\\]"):
        bench.load(tmp_path, "a=1")
    with pytest.raises(DataError, match="nothing to score"):
        bench.score()
    with pytest.raises(AttributeError):
        bench.nonesuch  # type: ignore[attr-defined]  # noqa: B018


def test_score_is_the_command_as_a_table(tmp_path: Path) -> None:
    rows = [
        {"instruction": str(number), "output_1": "a" * number, "output_2": "b", "preference": 1 + number % 2,
         "generator_1": "theirs", "generator_2": "mine", "annotator": "judge"}
        for number in range(1, 30)
    ]  # fmt: skip
    file = tmp_path / "verdicts.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    found = bench.score(annotations=[file])
    told = json.loads(bench_sketched("score", "--annotations", file, "--json").stdout)
    assert found.iloc[0].to_dict()["win_rate"] == told["win_rate"]
    assert len(found) == 1


def test_outputs_are_judged_as_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.txt").write_text("no\t-2.0\nred\t2.0\n", encoding="utf-8")
    for name, said in (("mine", "red "), ("theirs", "no ")):
        rows = [{"instruction": str(number), "output": said * (1 + number % 3)} for number in range(9)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    mood = {"judge": "lexicon", "path": str(tmp_path / "words.txt"), "name": "mood"}
    asked: dict[str, Any] = {
        "outputs": [tmp_path / "mine.json"],
        "reference": tmp_path / "theirs.json",
        "store": tmp_path / "store",
    }
    found = bench.score(**asked, judge=["longer_wins", mood]).set_index("judge")
    assert dict(found["win_rate"]) == {"longer_wins": 100.0, "mood": 100.0}
    assert found.loc["mood", "audit"]["asked"] == 18
    assert "9 of 9 pairs judged" in capsys.readouterr().err
    bench.score(**asked, judge=[mood])
    assert capsys.readouterr().err == ""
    with pytest.raises(BenchError, match="Did you mean 'lexicon'"):
        bench.score(**asked, judge=["lexicn"])
    with pytest.raises(BenchError, match="are lists, also of one"):
        bench.score(**asked, judge="lexicon")


def test_plugins_are_named_by_kind() -> None:
    found = bench.plugins()
    assert {"dpo", "sft"} <= set(found["method"])
    assert "likelihood" in found["judge"]
    assert set(found) == {"method", "task", "world", "judge", "extractor", "retriever", "verifier"}
    assert "load" in dir(bench)


def test_the_notebook_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {"__name__": "notebook"}
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 4
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for text in code:
            exec(compile(text, str(NOTEBOOK), "exec"), names)  # noqa: S102 - the cells of our own document
    assert "better" in capsys.readouterr().out


def test_importing_the_bench_imports_nothing_heavy() -> None:
    code = "import sys, bench; assert not {'pandas', 'numpy', 'typer', 'torch'} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
