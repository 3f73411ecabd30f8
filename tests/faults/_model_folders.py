"""A small model folder, what is changed in it, and how it is planned and loaded."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.models.limits.template_trial import MOST_SECONDS
from tests.faults._inputs import COMPARISON, SECONDS, comparison, raises_in_a_few_lines, refused, taken, warm_up
from tests.faults.case import Case

BASE = COMPARISON.replace("{world: atlas, size: base}", "{path: ../../model}").replace(
    "[atlas_prompts]", "[{task: prompts, path: prompts.jsonl}]"
).replace("gold", "longer_wins")  # fmt: skip
Change = Callable[[Path], object]


def _text(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def _put(name: str, put: Change) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        put(folder / name)

    return change


def _folder(root: Path, change: Change) -> Path:
    from tests.methods.tiny import pretrained  # noqa: PLC0415

    folder = root / "model"
    pretrained(folder)
    change(folder)
    return folder


def _planned(name: str, change: Change) -> Case:
    def do(root: Path) -> None:
        place = _comparison(root, change)
        _once()
        refused(["plan", str(place)], within=SECONDS + MOST_SECONDS)

    return Case(f"plan: {name}", do)


def _right(name: str, change: Change) -> Case:
    def do(root: Path) -> None:
        place = _comparison(root, change)
        _once()
        text = taken(["plan", str(place)])
        assert "could not be counted" not in text, text

    return Case(f"taken: {name}", do)


def _comparison(root: Path, change: Change) -> Path:
    rows = [{"prompt": "ask one", "response": "red."}]
    place = comparison(root, BASE, "".join(json.dumps(row) + "\n" for row in rows))
    (place / "prompts.jsonl").write_text('{"prompt": "ask two"}\n')
    _folder(root, change)
    return place


def _loaded(name: str, change: Change) -> Case:
    def do(root: Path) -> None:
        folder = _folder(root, change)
        from bench.core.policy import Pretrained  # noqa: PLC0415
        from bench.core.stage import StageIO  # noqa: PLC0415
        from bench.core.task import user  # noqa: PLC0415
        from bench.models.load import load_model  # noqa: PLC0415

        io_ = StageIO(out=root, scratch=root, read_payload=lambda stage: root)

        def load() -> None:
            policy = load_model(Pretrained(path=str(folder)), io_)
            policy.loglikelihood([(user("ask one"), "red.")])

        raises_in_a_few_lines(load)

    return Case(f"load: {name}", do)


def _once() -> None:
    """Import what counts lengths, and count in this process: a process of its own takes five seconds to start."""
    warm_up()
    import bench.models.count_lengths as counting  # noqa: PLC0415

    run = subprocess.run

    def run_here(command: list[str], **options: Any) -> Any:
        if command[1:] != ["-m", "bench.models.count_lengths"]:
            return run(command, **options)
        said, sys.stdin, out, sys.stdout = None, io.StringIO(options["input"]), sys.stdout, io.StringIO()
        try:
            counting.main()
        except SystemExit as error:
            said = error.code
        finally:
            printed, sys.stdout = sys.stdout.getvalue(), out
        status = said if isinstance(said, int) else int(said is not None)
        return SimpleNamespace(returncode=status, stdout=printed, stderr=said if isinstance(said, str) else "")

    if getattr(subprocess.run, "__name__", "") != "run_here":
        subprocess.run = run_here  # type: ignore[assignment]
