"""Results against their comparison as it is now: what is stale, what is not here, and what is neither."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.pipeline.standing import standing_of
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.lock import LATER_FIELDS
from tests.awaiting import AWAITING
from tests.cli.test_cli import ROOT, Done, bench, bench_sketched
from tests.once import take_stages
from tests.whole import COMPARISON, write_whole

pytestmark = pytest.mark.slow

COMMITTED = sorted({path.parent.name for path in (ROOT / "results").glob("*/lock.json")} - AWAITING)
YAML = "results/whole/comparison.yaml"
JUDGE = '''\
"""Prefers the longer response."""

from typing import ClassVar

from bench.core.judge import Judge, Verdict


class Longer(Judge):
    NAME: ClassVar[str] = "longer"
    VERSION: ClassVar[int] = 1

    by: int = 0

    def compare(self, task, pairs, io):
        return [Verdict(value=0.5 + 0.5 * (len(p.first) > len(p.second)) - 0.5 * (len(p.first) < len(p.second)))
                for p in pairs]

    def rate(self, task, responses, io):
        return [Verdict(value=float(len(one.text))) for one in responses]
'''
WITH_JUDGE = COMPARISON.replace(
    "judges: [{judge: lexicon, path: ../../words.txt}]",
    "judges: [{judge: lexicon, path: ../../words.txt}, {judge: ./longest_wins.py, by: 1}]",
)


def copied(source: Path, target: Path) -> Path:
    """Copy a root without its store, and return the copy's results folder."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".store", "printed.txt"))
    return target / "results" / "whole"


@pytest.fixture
def folder(computed: Path, tmp_path: Path) -> Path:
    """The results of a finished run beside its inputs, which a test may change."""
    return copied(computed, tmp_path / "copy")


@pytest.fixture(scope="module")
def judged(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a finished run with a judge that is a file beside the comparison."""
    root = tmp_path_factory.mktemp("judged")
    folder = write_whole(root, WITH_JUDGE)
    (folder / "longest_wins.py").write_text(JUDGE, encoding="utf-8")
    take_stages(computed, root)
    done = bench_sketched("run", folder, "--engine", "inline")
    assert done.returncode == 0, done.stderr
    return root


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def report(folder: Path) -> tuple[Done, str, str]:
    """Make the report again; what was told, the report's Markdown and its page."""
    done = bench_sketched("report", folder)
    assert done.returncode == 0, done.stderr
    in_markdown, page = ((folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    return done, in_markdown, page


def test_nothing_is_said_where_nothing_has_changed(folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in ("report.md", "contrasts.json")}
    done, in_markdown, _ = report(folder)
    assert done.stdout.startswith("report: ")
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert "stale" not in in_markdown
    assert "not compared" not in in_markdown
    done = bench("check", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stale" not in done.stdout
    assert "not compared" not in done.stdout


CHANGES = {
    "a setting": (YAML, "beta: 0.1, lr: 0.01", "beta: 0.3, lr: 0.01", "method dpo, beta: 0.1 -> 0.3"),
    "an adapter": (YAML, "lora: {rank: 2}", "lora: {rank: 3}", "method dpo_lora, lora.rank: 2 -> 3"),
    "a seed more": (YAML, "seeds: [0, 1]", "seeds: [0, 1, 2]", "seeds 0, 1 then, 0, 1, 2 now"),
    "a seed less": (YAML, "seeds: [0, 1]", "seeds: [1]", "seeds 0, 1 then, 1 now"),
    "a method more": (YAML, "  base: {}\n", "  base: {}\n  kto: {lr: 0.02}\n", "method kto was not run"),
    "a method less": (
        YAML,
        "  dpo_lora: {method: dpo, beta: 0.1, lr: 0.02, epochs: 2, batch_size: 4, lora: {rank: 2}}\n",
        "",
        "method dpo_lora was run and is not in the comparison",
    ),
    "decoding": (YAML, "max_new_tokens: 6", "max_new_tokens: 5", "task prompts: other decoding (max_new_tokens: 6 ->"),
    "fewer prompts": (YAML, "max_new_tokens: 6", "max_new_tokens: 6, limit: 9", "task prompts: other prompts ("),
    "draws": (YAML, "  win_rate:", "  draws: 2\n  win_rate:", "decoding: 1 draws per prompt then, 2 now"),
    "a judge more": (
        YAML,
        "judges: [{judge: lexicon, path: ../../words.txt}]",
        "judges: [{judge: lexicon, path: ../../words.txt}, {judge: lexicon, path: ../../words.txt, name: second}]",
        "judge second was not run",
    ),
    "a judge's setting": (
        YAML, "words.txt}]", "words.txt, tie_below: 0.5}]", "judge lexicon: other settings (tie_below: 0.0 -> 0.5)"
    ),
    "data": ("preferences.jsonl", '"chosen"', ' "chosen"', "preferences.jsonl was changed ("),
    "data without columns": ("demonstrations.jsonl", '"response"', '"answer"', "demonstrations.jsonl was changed ("),
    "prompts": ("prompts.jsonl", "the ", "each ", "prompts.jsonl was changed ("),
    "a judge's words": ("words.txt", "red\t2.0", "red\t2.5", "words.txt was changed ("),
    "a judge's words, broken": ("words.txt", "\t", " ", "words.txt was changed ("),
    "the base": ("model/config.json", "{", "{ ", "model was changed ("),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_from_what_was_run_is_stale(folder: Path, change: str) -> None:
    name, old, new, told = CHANGES[change]
    replace(folder.parents[1] / name, old, new)
    refused = bench("check", folder)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"stale: {told}" in refused.stderr
    assert "--stale-ok" in refused.stderr
    assert "not compared" not in refused.stderr
    checked = bench("check", folder, "--stale-ok", "--json")
    assert checked.returncode == 0, checked.stderr
    assert any(note.startswith(f"stale: {told}") for note in json.loads(checked.stdout)["notes"])


@pytest.mark.parametrize(
    "change", ["a setting", "a seed more", "a method less", "a judge more", "data without columns"]
)
def test_a_report_of_stale_results_says_so_near_its_top_and_shows_the_run(folder: Path, change: str) -> None:
    name, old, new, told = CHANGES[change]
    replace(folder.parents[1] / name, old, new)
    before = (folder / "contrasts.json").read_bytes()
    done, in_markdown, page = report(folder)
    assert f"stale: {told}" in done.stdout
    assert in_markdown.index("These results are stale") < in_markdown.index(f"- stale: {told}")
    assert in_markdown.index(f"- stale: {told}") < in_markdown.index("## Verdicts")
    assert "These results are stale" in page
    assert (folder / "contrasts.json").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("not_worse_by: 0.9", "not_worse_by: 0.8", "the criteria were changed after the run"),
        ("question: Does", "question: Did", "comparison.yaml was changed after the run"),
        ("gate:", "# a remark\ngate:", "comparison.yaml was changed after the run"),
    ],
)
def test_what_computes_nothing_is_not_stale(folder: Path, old: str, new: str, note: str) -> None:
    replace(folder / "comparison.yaml", old, new)
    done = bench("check", folder)
    assert done.returncode == 0, done.stderr
    assert note in done.stdout
    assert "stale" not in done.stdout


@pytest.mark.parametrize("settings", ["level: 0.9", "primary: {metric: response_tokens}"])
def test_conclusions_of_other_statistics_are_stale_until_they_are_made_again(folder: Path, settings: str) -> None:
    replace(folder / "comparison.yaml", "evaluate:", f"statistics: {{{settings}}}\nevaluate:")
    done = bench("check", folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "stale: contrasts.json was concluded otherwise (contrasts[" in done.stderr
    assert f"bench report {folder}" in done.stderr
    done = bench("check", folder, "--stale-ok")
    assert done.returncode == 0
    assert "stale: contrasts.json was concluded otherwise" in done.stdout
    assert "stale" not in report(folder)[1]
    done = bench("check", folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["model", "demonstrations.jsonl", "preferences.jsonl", "prompts.jsonl", "words.txt"])
@pytest.mark.parametrize("version", ["this", "earlier"])
def test_what_is_not_here_is_told_and_all_else_is_compared(folder: Path, name: str, version: str) -> None:
    if version == "earlier":
        of_earlier_version(folder)
    gone = folder.parents[1] / name
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    line = f"not compared: {name} is not here"
    done = bench("check", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("not compared") == 1
    assert line in done.stdout
    replace(folder / "comparison.yaml", "beta: 0.1, lr: 0.01", "beta: 0.3, lr: 0.01")
    done = bench("check", folder)
    assert done.returncode == 2
    assert "stale: method dpo, beta: 0.1 -> 0.3" in done.stderr
    assert line in done.stderr


def of_earlier_version(folder: Path) -> None:
    """Take from the lock what earlier versions did not write."""
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    for name in LATER_FIELDS:
        lock.pop(name, None)
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")


def test_a_results_folder_by_itself_is_checked_and_reported(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere" / "deep" / "whole"
    shutil.copytree(folder, alone)
    done = bench("check", alone)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("not compared: ") == 5
    before = (alone / "contrasts.json").read_bytes()
    told, in_markdown, page = report(alone)
    for text in (told.stdout, in_markdown, page):
        assert "not compared: words.txt is not here" in text
    assert "stale" not in in_markdown
    assert (alone / "contrasts.json").read_bytes() == before
    (alone / "comparison.yaml").unlink()
    done = bench("check", alone)
    assert done.returncode == 0, done.stderr
    assert "not compared: comparison.yaml is not here" in done.stdout
    assert "dpo is worse than sft by less than 0.9" in done.stdout
    assert "not compared: comparison.yaml is not here" in report(alone)[1]


def test_without_the_comparison_and_without_a_record_of_it_nothing_is_held(folder: Path) -> None:
    of_earlier_version(folder)
    (folder / "comparison.yaml").unlink()
    for command in ("check", "report"):
        done = bench(command, folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert "comparison.yaml:1: no such comparison file" in done.stderr


def test_a_run_without_a_lock_is_told(folder: Path) -> None:
    (folder / "lock.json").unlink()
    done = bench("check", folder)
    assert done.returncode == 0
    assert "not compared: lock.json is not here" in done.stdout
    replace(folder / "comparison.yaml", "seeds: [0, 1]", "seeds: [0]")
    assert "stale: seeds 0, 1 then, 0 now" in bench("check", folder).stderr


def test_data_that_were_moved_are_the_same_data(folder: Path) -> None:
    root = folder.parents[1]
    (root / "preferences.jsonl").rename(root / "pairs.jsonl")
    assert "not compared: preferences.jsonl is not here" in bench("check", folder).stdout
    replace(folder / "comparison.yaml", "preferences.jsonl", "pairs.jsonl")
    done = bench("check", folder)
    assert done.returncode == 0
    assert "not compared" not in done.stdout
    assert "stale" not in done.stdout
    (root / "pairs.jsonl").unlink()  # under its new name nothing is recorded of it
    done = bench("check", folder)
    assert done.returncode == 0, done.stderr
    assert "not compared: pairs.jsonl is not here" in done.stdout
    assert "stages, which rest on it" in done.stdout


def test_files_of_one_name_are_told_apart(tmp_path: Path, computed: Path) -> None:
    text = COMPARISON.replace("../../demonstrations.jsonl", "../../a/rows.jsonl").replace(
        "../../preferences.jsonl", "../../b/rows.jsonl"
    )
    folder = write_whole(tmp_path, text)
    for name, whose in (("a", "demonstrations"), ("b", "preferences")):
        (tmp_path / name).mkdir()
        (tmp_path / f"{whose}.jsonl").rename(tmp_path / name / "rows.jsonl")
    take_stages(computed, tmp_path)
    assert bench_sketched("run", folder, "--engine", "inline").returncode == 0
    (tmp_path / "b" / "rows.jsonl").unlink()
    done = bench("check", folder)
    assert done.returncode == 0, done.stderr
    assert "not compared: b/rows.jsonl is not here" in done.stdout
    assert done.stdout.count("not compared") == 1
    (tmp_path / "a" / "rows.jsonl").write_text('{"prompt": "a", "response": "b"}\n', encoding="utf-8")
    assert "stale: a/rows.jsonl was changed (" in bench("check", folder).stderr


def test_what_a_comparison_extends_is_part_of_it(tmp_path: Path, computed: Path) -> None:
    folder = write_whole(tmp_path, "extends: ../../shared.yaml\nquestion: And again?\n")
    text = COMPARISON.replace("../../", "")  # paths start from the file that they stand in
    (tmp_path / "shared.yaml").write_text(text, encoding="utf-8")
    take_stages(computed, tmp_path)
    done = bench_sketched("run", folder, "--engine", "inline")
    assert done.returncode == 0, done.stderr
    replace(tmp_path / "shared.yaml", "beta: 0.1, lr: 0.01", "beta: 0.3, lr: 0.01")
    assert "stale: method dpo, beta: 0.1 -> 0.3" in bench("check", folder).stderr
    (tmp_path / "shared.yaml").unlink()
    done = bench("check", folder)
    assert done.returncode == 0, done.stderr
    assert "not compared: shared.yaml is not here" in done.stdout
    assert "stale" not in done.stdout


@pytest.mark.parametrize("name", COMMITTED)
def test_no_committed_result_is_stale_with_its_data_or_without(name: str, tmp_path: Path) -> None:
    assert standing_of(ROOT / "results" / name).stale == ()
    deep = tmp_path / "a" / "b" / "c" / "d" / name  # from where no relative path leads to data
    shutil.copytree(ROOT / "results" / name, deep)
    assert standing_of(deep).stale == ()
    for file in deep.glob("*.py"):
        file.unlink()
    alone = standing_of(deep)
    assert alone.stale == ()
    assert all(line.startswith("not compared: ") for line in alone.lines)


def test_a_comparison_that_cannot_be_read_is_told_in_a_line(folder: Path) -> None:
    (folder / "comparison.yaml").write_text("given: [\n", encoding="utf-8")
    for command in ("check", "report", "verify"):
        done = bench(command, folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert "comparison.yaml:2: not valid YAML" in done.stderr
        assert "Traceback" not in done.stderr


GATE = COMPARISON[COMPARISON.index("gate:") :]


@pytest.mark.parametrize("gate", ["", "gate: []\n", "gate:\n", "gate: {criteria: []}\n", "gate: {correction: none}\n"])
def test_a_gate_with_nothing_to_hold_is_no_pass(folder: Path, gate: str) -> None:
    replace(folder / "comparison.yaml", GATE, gate)
    for more in ((), ("--stale-ok",)):
        done = bench("check", folder, *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert "criteri" in done.stderr


def test_a_criterion_without_a_value_is_no_pass(folder: Path) -> None:
    found = CONCLUSIONS.read(folder)
    nothing = {"estimate": None, "low": None, "high": None, "standard_error": None, "n_prompts": 0, "support": ()}
    contrasts = tuple(item.model_copy(update={**nothing, "n_missing": item.n_prompts}) for item in found.contrasts)
    CONCLUSIONS.write(found.model_copy(update={"contrasts": contrasts}), folder)
    assert "stale: contrasts.json was concluded otherwise" in bench("check", folder).stderr
    done = bench("check", folder, "--stale-ok")
    assert done.returncode == 3
    assert "### Gate: undecided" in done.stdout
    CONCLUSIONS.write(found.model_copy(update={"contrasts": ()}), folder)
    done = bench("check", folder, "--stale-ok")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no contrast compares these two" in done.stderr


def test_a_judge_beside_the_comparison_that_was_changed_is_stale(judged: Path, tmp_path: Path) -> None:
    folder = copied(judged, tmp_path / "copy")
    assert bench("check", folder).returncode == 0
    replace(folder / "longest_wins.py", "0.5 *", "0.4 *")
    done = bench("check", folder)
    assert done.returncode == 2
    assert "stale: longest_wins.py was changed (" in done.stderr
    assert "stale: " in report(folder)[1]


@pytest.mark.parametrize("version", ["this", "earlier"])
def test_a_judge_beside_the_comparison_that_is_not_here_is_stood_in_for(
    judged: Path, tmp_path: Path, version: str
) -> None:
    folder = copied(judged, tmp_path / "copy")
    if version == "earlier":
        of_earlier_version(folder)
    replace(folder / "comparison.yaml", "judge: lexicon, not_worse_by: 0.9", "judge: longer, not_worse_by: 0.9")
    (folder / "longest_wins.py").unlink()
    before = (folder / "contrasts.json").read_bytes()
    done = bench("check", folder)
    assert done.returncode in (0, 3), done.stderr
    assert "not compared: longest_wins.py is not here" in done.stdout
    assert "stages, which rest on it" in done.stdout
    assert "(longer judge, prompts)" in done.stdout
    _, in_markdown, _ = report(folder)
    assert "not compared: longest_wins.py is not here" in in_markdown
    assert ("contrasts.json is as the run left it" in in_markdown) == (version == "earlier")
    assert "stale" not in in_markdown
    assert (folder / "contrasts.json").read_bytes() == before
    replace(folder / "comparison.yaml", "beta: 0.1, lr: 0.01", "beta: 0.3, lr: 0.01")
    done = bench("check", folder)
    assert done.returncode == 2
    assert "stale: method dpo, beta: 0.1 -> 0.3" in done.stderr


def test_verify_holds_stale_results_for_different_and_what_is_not_here_for_a_note(folder: Path) -> None:
    report(folder)
    (folder.parents[1] / "words.txt").unlink()
    done = bench_sketched("verify", folder)
    assert done.returncode == 0, done.stdout
    assert "note: not compared: words.txt is not here" in done.stdout
    replace(folder / "comparison.yaml", "beta: 0.1, lr: 0.01", "beta: 0.3, lr: 0.01")
    done = bench_sketched("verify", folder)
    assert done.returncode == 1
    assert "differs: stale: method dpo, beta: 0.1 -> 0.3" in done.stdout
