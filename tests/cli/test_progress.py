"""What a log says of a running stage that costs money."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from bench.cli import progress as console
from bench.cli.progress import PlainWatcher
from bench.core.stage import Progress
from bench.engine.wire import read_event
from tests.fakes import Number


def test_judgements_done_what_was_spent_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_PLAIN_LINES", 0.0)
    written = io.StringIO()
    stage = Number(value=1, journal="j")
    watcher = PlainWatcher(Console(file=written), {stage.key: "judge (a vs b)"}, 1)
    watcher.planned({stage.key: stage}, 0)
    watcher.started(stage, 0)
    watcher.progressed(stage, Progress(5, 10, "judgements", note="0.02 USD, 100 tokens"))
    watcher.progressed(stage, Progress(5, 10, "rows", tokens=0))
    watcher.progressed(stage, Progress(0, 10, "steps", tokens=70))
    lines = written.getvalue().splitlines()
    assert lines[1].startswith("  judge (a vs b): judgements 5 of 10, 0.02 USD, 100 tokens, about 0.0 s left")
    assert lines[2].startswith("  judge (a vs b): rows 5 of 10, about ")  # what writes no token has no such speed
    assert lines[3].startswith("  judge (a vs b): steps 0 of 10, ") and lines[3].endswith(" tokens/s")


def test_the_note_comes_over_from_a_worker() -> None:
    line = {"event": "progress", "key": "k", "done": 1, "total": 2, "unit": "judgements", "tokens": 0, "note": "1 USD"}
    event = read_event(json.dumps(line).encode())
    assert event is not None
    assert event.progress == Progress(1, 2, "judgements", 0, "1 USD")
