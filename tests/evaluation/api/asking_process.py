"""A process that asks an API judge about numbered pairs, for tests that kill it: FOLDER, URL and NUMBER of pairs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench.core.judge import Pair, Verdict
from bench.core.stage import StageIO
from bench.core.task import Prompt, user
from bench.evaluation.judges.api import Api


def judge(url: str, **fields: Any) -> Api:
    settings: dict[str, Any] = {"model": "stub", "base_url": url, "prompt": "brief", "max_tokens": 4}
    settings |= {"concurrency": 16, "timeout": 2.0, "first_wait": 0.02, "retries": 12}
    return Api.model_validate({**settings, **fields})


def pairs(count: int) -> list[Pair]:
    return [
        Pair(
            prompt=Prompt(id=f"p{number}", chat=user(f"ask {number}"), cluster=f"p{number}"),
            first=f"answer {number}",
            second=f"other {number}",
        )
        for number in range(count)
    ]


def io_for(folder: Path) -> StageIO:
    def refuse(_stage: object) -> Path:
        raise AssertionError("nothing is read here")

    return StageIO(out=folder, scratch=folder, read_payload=refuse, answers=folder / ".answers")


def ask_all(folder: Path, url: str, count: int, **fields: Any) -> list[Verdict]:
    return judge(url, **fields).compare(None, pairs(count), io_for(folder))


if __name__ == "__main__":
    verdicts = ask_all(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    sys.stdout.write(" ".join(str(verdict.value) for verdict in verdicts))
