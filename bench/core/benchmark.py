"""A task of lm-eval (the Language Model Evaluation Harness of EleutherAI) as a value."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from bench.core.frozen import Frozen


class LmEvalTask(Frozen):
    """A task or group of lm-eval, from a folder of YAML files or, without ``folder``, of those lm-eval comes with.

    ``digest`` is that of the folder's files. ``harness`` is lm-eval's version, since a task's prompts and scores are
    its own. ``limit``: only the first documents of each task. ``num_fewshot``: None for what the task says.
    ``prompt``: ``text`` gives every model the task's text as it stands, behind a beginning token where the tokenizer
    has one, which makes numbers comparable with published ones; ``chat`` gives it as lm-eval's own chat, through the
    model's chat template or ``template``. A policy's instructions stand in front either way.
    """

    name: Annotated[str, Field(min_length=1)]
    harness: str
    folder: str | None = None
    digest: str | None = None
    limit: PositiveInt | None = None
    num_fewshot: NonNegativeInt | None = None
    prompt: Literal["text", "chat"] = "text"

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"folder"})
