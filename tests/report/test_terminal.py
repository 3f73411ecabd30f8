from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from bench.core.contrast import read_contrasts
from bench.core.records import read_records
from bench.core.summary import read_summary
from bench.report.terminal import PromptView, prompt_view, show_prompt, summary_table
from tests.report.synthetic import ARMS, build


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    build(path)
    return path


def drawn(what: RenderableType, width: int) -> str:
    out = StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(what)
    return out.getvalue()


def test_the_table_at_the_end_of_a_run(folder: Path) -> None:
    table = summary_table(read_contrasts(folder / "contrasts.json"), read_summary(folder / "run.json"))
    text = drawn(table, 100)
    assert text.index("win rate (gold judge, questions)") < text.index("dpo vs sft")
    line = next(line for line in text.splitlines() if "dpo vs sft" in line)
    for part in ("0.73", "[0.68, 0.78]", "< 0.001", "dpo better", "4.51 T", "1 min 43 s"):
        assert part in line
    assert "undecided, A/A control" in text
    assert "\u2026" not in drawn(table, 80)


def view(folder: Path, text: str) -> PromptView:
    rows = [{"method": arm, "run": 1, "draw": 0, "text": text, "finish": "end"} for arm in ARMS]
    rows[0] |= {"text": "", "finish": "length"}
    return prompt_view(("questions", "q011", "Where was she born?"), rows, read_records(folder / "records.parquet"))


def test_one_prompt_side_by_side(folder: Path) -> None:
    text = drawn(show_prompt(view(folder, "In the north."), 160), 160)
    assert "Where was she born?" in text
    assert all(arm in text for arm in ARMS)
    assert next(line for line in text.splitlines() if "In the north." in line).count("In the north.") == 3
    assert "(empty) [cut off: length]" in text
    assert "unparsed" in text
    assert "response tokens" in text
    narrow = drawn(show_prompt(view(folder, "In the north."), 60), 60)
    assert next(line for line in narrow.splitlines() if "In the north." in line).count("In the north.") == 1


def test_a_completion_cannot_steer_the_terminal(folder: Path) -> None:
    text = drawn(show_prompt(view(folder, "\x1b[31mred [bold]x[/bold]"), 160), 160)
    assert "\x1b[31m" not in text
    assert "[bold]x[/bold]" in text
