from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.core.errors import DataError
from bench.core.policy import Message
from bench.results.responses import (
    RESPONSES,
    RESPONSES_SCHEMA,
    VERDICTS,
    VERDICTS_SCHEMA,
    chat_text,
    last_turn,
    turns,
    without_responses,
)

CHAT = (
    Message(role="system", content="Be brief."),
    Message(role="user", content='Wer ist "Ä"?\n</script>'),
)


def response(prompt: str, method: str, text: str = "") -> dict[str, object]:
    row: dict[str, object] = {"task": "t", "prompt": prompt, "kind": "k", "chat": chat_text(CHAT), "method": method}
    return {**row, "run": 0, "draw": 0, "text": text, "finish": "end"}


def test_a_chat_comes_back_turn_by_turn() -> None:
    assert turns(chat_text(CHAT)) == [("system", "Be brief."), ("user", 'Wer ist "Ä"?\n</script>')]
    assert last_turn(chat_text(CHAT)) == 'Wer ist "Ä"?\n</script>'


def test_equal_rows_give_equal_bytes_and_can_be_read_in_part(tmp_path: Path) -> None:
    rows = [response("b", "sft", "one"), response("a", "sft", "two"), response("a", "dpo", "three")]
    (tmp_path / "turned").mkdir()
    RESPONSES.write(pa.Table.from_pylist(rows, schema=RESPONSES_SCHEMA), tmp_path)
    turned = pa.Table.from_pylist(rows[::-1], schema=RESPONSES_SCHEMA)
    RESPONSES.write(turned, tmp_path / "turned")
    assert RESPONSES.path(tmp_path).read_bytes() == RESPONSES.path(tmp_path / "turned").read_bytes()
    whole = RESPONSES.find(tmp_path)
    part = RESPONSES.find(tmp_path, ["a"], ["method", "text"])
    assert whole is not None and part is not None
    assert whole["text"].to_pylist() == ["three", "two", "one"]
    assert part.to_pylist() == [{"method": "dpo", "text": "three"}, {"method": "sft", "text": "two"}]


def test_a_rating_has_no_other_side(tmp_path: Path) -> None:
    row = {"task": "t", "prompt": "a", "judge": "j", "method": "sft", "versus": None, "run": 0, "draw": 0}
    row |= {"order": None, "value": 3.5, "status": "ok", "text": "good"}
    VERDICTS.write(pa.Table.from_pylist([row], schema=VERDICTS_SCHEMA), tmp_path)
    read = VERDICTS.find(tmp_path)
    assert read is not None
    assert read.to_pylist() == [row]


def test_a_folder_of_an_earlier_run_has_none_and_other_columns_are_an_error(tmp_path: Path) -> None:
    assert RESPONSES.find(tmp_path) is None
    assert VERDICTS.find(tmp_path) is None
    assert f"bench run {tmp_path}" in without_responses(tmp_path)
    pq.write_table(pa.table({"prompt": ["a"]}), RESPONSES.path(tmp_path))
    with pytest.raises(DataError, match="bench run"):
        RESPONSES.find(tmp_path)
