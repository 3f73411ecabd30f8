"""A stage that runs other stages one after the other, so that one launch of several processes serves them all."""

from __future__ import annotations

import json
import os
from typing import ClassVar

from bench.core.stage import Resources, Stage, StageIO


class Several(Stage):
    """Runs stages in folders named by their keys, and notes which processes took part."""

    KIND: ClassVar[str] = "test/together"
    VERSION: ClassVar[int] = 1
    RESOURCES: ClassVar[Resources] = Resources(distributed=True)

    stages: tuple[Stage, ...]

    def run(self, io: StageIO) -> None:
        from methods._train.loop import ranks

        for stage in self.stages:
            out, scratch = io.out / stage.key, io.scratch / stage.key
            out.mkdir()
            scratch.mkdir(exist_ok=True)
            part = StageIO(out, scratch, io.read_payload, io.device, io.weights, on_progress=io.on_progress)
            stage.run(part)
            io.meter = io.meter + part.meter
        found = ranks.gathered((ranks.rank(), os.getpid()))
        (io.out / "processes.json").write_text(json.dumps(found))
