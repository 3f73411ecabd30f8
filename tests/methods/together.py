"""A stage that runs other stages one after the other, so that one launch of several processes serves them all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import ClassVar

from bench.core.stage import Resources, Stage, StageIO, Weights


class Several(Stage):
    """Runs stages in folders named by their keys, and notes which processes took part and how they were launched.

    With ``ways`` it runs them once in each of these, in a folder of its own.
    """

    KIND: ClassVar[str] = "test/together"
    VERSION: ClassVar[int] = 1
    RESOURCES: ClassVar[Resources] = Resources(distributed=True)

    stages: tuple[Stage, ...]
    ways: tuple[Weights, ...] = ()

    def run(self, io: StageIO) -> None:
        from methods._train.loop import ranks

        folders = {way: Path(way) for way in self.ways} or {io.weights: Path()}
        for weights, folder in folders.items():
            for stage in self.stages:
                out, scratch = io.out / folder / stage.key, io.scratch / folder / stage.key
                out.mkdir(parents=True)
                scratch.mkdir(parents=True, exist_ok=True)
                part = StageIO(out, scratch, io.read_payload, io.device, weights, on_progress=io.on_progress)
                stage.run(part)
                io.meter = io.meter + part.meter
        found = ranks.gathered((ranks.rank(), os.getpid(), io.weights))
        (io.out / "processes.json").write_text(json.dumps(found))
