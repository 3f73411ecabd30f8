"""One answer that a task offers for a policy to weigh."""

from __future__ import annotations

from typing import Literal

from bench.core.frozen import Frozen


class Choice(Frozen):
    """One answer that is offered: the best, another right one, or a wrong one."""

    text: str
    kind: Literal["best", "right", "wrong"]
