"""A task that knows its claims and what is true."""

from collections.abc import Sequence
from typing import ClassVar

from bench.core.policy import Decoding
from bench.core.task import Claim, Finding, Prompt, Task


class Checkable(Task):
    NAME: ClassVar[str] = "checkable"
    VERSION: ClassVar[int] = 1
    WORLD: ClassVar[str | None] = "small_world"

    noise: int = 0

    def prompts(self) -> Sequence[Prompt]:
        return ()

    def decoding(self) -> Decoding:
        return Decoding()

    def claims(self, prompt: Prompt, response: str) -> Sequence[Claim]:
        return [Claim(text=response)]

    def support(self, prompt: Prompt, claim: str) -> Finding:
        return Finding(label="supported")
