"""Whether what a plan trains can be trained: weights that are kept in 4 or 8 bits cannot, an adapter on them can."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.core.errors import BenchError
from bench.core.policy import Pretrained, root
from bench.core.stage import Stage


def check_packed_weights(stages: Mapping[str, Stage], labels: Callable[[], Mapping[str, str]]) -> None:
    """Raise BenchError for the first stage that trains all weights of a model that is loaded in 4 or 8 bits.

    ``stages`` and their ``labels`` by key. Stages of training are known by their fields, as methods are not known here.
    """
    for key, stage in stages.items():
        init = getattr(stage, "init", None)
        if init is None or getattr(stage, "lora", init) is not None:
            continue
        start = root(init)
        if isinstance(start, Pretrained) and start.load_in is not None:
            raise BenchError(
                f"{labels()[key]} trains all weights of a model that is loaded in {start.load_in}, of which only an "
                "adapter can be trained. Set given.lora, such as {rank: 8} (QLoRA), or leave load_in away."
            )
