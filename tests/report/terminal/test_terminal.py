from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from bench.config.comparison import Comparison
from bench.core.errors import BenchError, DataError
from bench.report.terminal.contrast_tables import summary_table
from bench.report.terminal.differences import only_in
from bench.report.terminal.show import Wanted, show
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.summary import SUMMARY
from tests.report.synthetic import ARMS, build


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    path = tmp_path_factory.mktemp("run")
    return path, build(path)


def drawn(what: RenderableType, width: int) -> str:
    out = StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(what)
    return out.getvalue()


def shown(ran: tuple[Path, Comparison], wanted: Wanted, width: int = 160) -> str:
    return drawn(show(*ran, wanted, width), width)


def test_the_table_at_the_end_of_a_run(ran: tuple[Path, Comparison]) -> None:
    folder, _ = ran
    table = summary_table(CONCLUSIONS.read(folder).contrasts, SUMMARY.read(folder))
    text = drawn(table, 100)
    assert text.index("win rate (gold judge, questions)") < text.index("dpo vs sft")
    line = next(line for line in text.splitlines() if "dpo vs sft" in line)
    for part in ("0.73", "[0.68, 0.78]", "< 0.001", "dpo better", "4.51 T", "1 min 43 s"):
        assert part in line
    assert "undecided, A/A control" in text
    assert "\u2026" not in drawn(table, 80)


def test_one_prompt_side_by_side(ran: tuple[Path, Comparison]) -> None:
    text = shown(ran, Wanted("q011", seed=1))
    assert "Where was person 11 born?" in text
    assert all(arm in text for arm in ARMS)
    first = next(line for line in text.splitlines() if "In the north" in line)
    assert first.count("In the north") == 3
    assert "(empty) [cut off: length]" in text
    assert "unparsed" in text
    assert "I prefer the first answer." in text
    assert "response tokens" in text
    narrow = shown(ran, Wanted("q011", seed=1), 60)
    assert next(line for line in narrow.splitlines() if "In the north" in line).count("In the north") == 1


def test_claims_are_told_with_their_labels(ran: tuple[Path, Comparison]) -> None:
    text = shown(ran, Wanted("q011", seed=1, methods=("dpo",)))
    assert "supported: In the north" in text
    assert "not supported: in 1900 (the record says 1911)" in text


def test_a_completion_cannot_steer_the_terminal(ran: tuple[Path, Comparison]) -> None:
    text = shown(ran, Wanted("q000", methods=("sft",)))
    assert "\x1b[31m" not in text
    assert "\u202e" not in text
    assert "[bold]x[/bold]" in text


def test_prompts_are_listed_by_kind_text_and_disagreement(ran: tuple[Path, Comparison]) -> None:
    kinds = shown(ran, Wanted(kind="question"))
    assert kinds.startswith("40 prompts, the first 40 shown") or kinds.startswith("40 prompts; show one")
    some = shown(ran, Wanted("person 1", kind="question", disagree=True))
    assert "dpo > sft" in some or "sft > dpo" in some
    assert "q002" not in some
    with pytest.raises(BenchError, match="question, request"):
        show(*ran, Wanted(kind="poem"), 100)
    with pytest.raises(BenchError, match="no run 9"):
        show(*ran, Wanted(seed=9), 100)
    with pytest.raises(BenchError, match="no method ppo"):
        show(*ran, Wanted(methods=("ppo",)), 100)
    with pytest.raises(BenchError, match="no prompt has the id"):
        show(*ran, Wanted("nowhere"), 100)


def test_a_run_without_responses_says_how_to_get_them(tmp_path: Path) -> None:
    comparison = build(tmp_path)
    (tmp_path / "responses.parquet").unlink()
    with pytest.raises(DataError, match="bench run"):
        show(tmp_path, comparison, Wanted("q011"), 100)


def test_words_that_the_other_text_has_not() -> None:
    assert only_in("one two three", "one three") == [(4, 7)]
    assert only_in("a b  c d", "a d") == [(2, 6)]
    assert only_in("same words", "same words") == []
    assert only_in("", "anything") == []
    assert only_in("all new", "") == [(0, 7)]
