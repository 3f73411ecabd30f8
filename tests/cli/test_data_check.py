"""``bench data``: what a file is and what is odd about it, before it is given to anything."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.cli.app import main
from bench.cli.data_check import opened
from bench.core.frozen import digest
from bench.core.lengths import FilesAsked, LengthsAsked
from bench.engine.store import LENGTHS, Store
from bench.models.count_lengths import counted, planning
from bench.pipeline import lengths
from tests.methods.tiny import pretrained

PAIR = {"prompt": "say red", "chosen": "red.", "rejected": "green."}
CHAT = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "say red"}]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a process of its own would answer is answered here."""

    run = subprocess.run

    def answer(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "bench.models.count_lengths" not in command:  # a template is tried in a process of its own
            return run(command, check=False, **{name: item for name, item in options.items() if name != "check"})
        io = planning(tmp_path / "scratch", Path(command[3]))
        return subprocess.CompletedProcess(
            command, 0, counted(LengthsAsked.model_validate_json(options["input"]), io).model_dump_json(), ""
        )

    monkeypatch.setattr(lengths.subprocess, "run", answer)
    monkeypatch.setenv("NO_COLOR", "1")


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    ended = status_of(*arguments)
    printed = capsys.readouterr()
    assert ended == 0, printed.err
    return printed.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert status_of(*arguments) == 2
    return " ".join(capsys.readouterr().err.split())


def status_of(*arguments: str | Path) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["data", *map(str, arguments)])
    return ended.value.code


def test_what_is_odd_about_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        PAIR,
        PAIR,
        {**PAIR, "rejected": "red."},
        {**PAIR, "chosen": " "},
        {**PAIR, "prompt": "other", "probability": 0.5, "margin": 2, "source": "web"},
    ]
    text = said(capsys, written(tmp_path / "pairs.jsonl", rows))
    for line in (
        "preferences: pairs.jsonl: format plain",
        "5 pairs and 2 different prompts",
        "1 duplicate row; 1 pair of the same text twice, left out of training; 1 response without a word",
        "1 pair with a soft label; 1 pair with a margin",
        "columns that nobody reads: source",
        "chosen: ⟦red.⟧",
    ):
        assert line in text


def test_tokens_and_who_wrote_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretrained(tmp_path / "model")
    file = written(tmp_path / "chats.jsonl", [{"messages": [*CHAT, {"role": "assistant", "content": "red."}]}] * 5)
    text = said(capsys, file, "--model", tmp_path / "model", "--max-length", "40")
    assert "demonstrations: chats.jsonl: format messages" in text
    assert "5 prompts cut at the beginning of what turns say" in text
    assert text.count("row ") >= 3
    assert "be kind" in text
    assert "⟦red." in text
    found = json.loads(said(capsys, file, "--model", tmp_path / "model", "--json"))
    assert [part["who"] for part in found["examples"][0][0]["prompt"]] == [
        "template",
        "system",
        "template",
        "user",
        "template",
    ]
    assert found["files"][0]["counts"]["duplicates"] == 4
    assert found["data"][0]["rows"] == 5


def test_what_is_left_out_is_told_before_all_else_and_all_turns_with_more_in_them_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = [{"role": "user", "content": "say red"}, {"role": "assistant", "content": "red."}]
    more = [[{**turn, f"a{number}": 1, "b": 2} for turn in whole] for number in range(9)]
    rows = [{"messages": chat} for chat in [*more, *more, whole[:1]]]
    lines = said(capsys, written(tmp_path / "chats.jsonl", rows)).splitlines()
    assert lines[2:4] == [
        "  1 x left out: no turn of the assistant behind one of the user",
        "  2 x turns have `a0`, `b`, which is not read",
    ]
    assert lines[10] == "  and 3 other remarks"


@pytest.mark.parametrize("damage", ["{}", '{"files": []}', "{", '{"files": 1}'])
def test_a_kept_answer_that_is_damaged_is_found_again(damage: str, tmp_path: Path) -> None:
    _, found = opened(written(tmp_path / "pairs.jsonl", [PAIR]), "preferences", {})
    asked, store = LengthsAsked(files=(FilesAsked(rows_of="preferences", data=found),)), Store(tmp_path / "store")
    first = lengths.kept(asked, store)
    path = store.root / LENGTHS / f"{digest(asked)}.json"
    path.write_text(damage, encoding="utf-8")
    assert lengths.kept(asked, store) == first
    assert path.read_text(encoding="utf-8") != damage


def test_prompts_labelled_responses_and_packed_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(
        capsys, written(tmp_path / "p.jsonl", [{"prompt": CHAT}, {"prompt": "b", "answer": "4"}]), "--as", "prompts"
    )
    assert "2 prompts and 2 different prompts" in text
    assert "columns that nobody reads: answer" in text
    rows = [{"prompt": "a", "completion": "b", "label": number > 0} for number in range(3)]
    packed = tmp_path / "kto.jsonl.gz"
    packed.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert "2 good and 1 bad" in said(capsys, packed)


def test_what_a_comparison_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*[PAIR] * 30, {**PAIR, "chosen": None}]
    assert "row 31: chosen is null, wanted a text" in refused(capsys, written(tmp_path / "null.jsonl", rows))
    assert "no such file" in refused(capsys, tmp_path / "none.jsonl")
    odd = written(tmp_path / "odd.jsonl", [{"x": 1}])
    assert "write NAME=COLUMN" in refused(capsys, odd, "--column", "prompt")
    assert "nothing" in refused(capsys, odd, "--format", "nothing")
    assert "columns" in refused(capsys, odd)


def test_a_template_that_refuses_a_turn_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretrained(tmp_path / "model")
    refuses = "{% if m.role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    template = f"{{% for m in messages %}}{refuses}{{{{ m.content }}}}{{% endfor %}}"
    (tmp_path / "model" / "chat_template.jinja").write_text(template, encoding="utf-8")
    plain = [{"prompt": "a", "response": "b"}] * 20
    file = written(tmp_path / "late.jsonl", [*plain, {"prompt": CHAT, "response": "b"}])
    assert "no system turns" in refused(capsys, file, "--model", tmp_path / "model")
