"""A task that reads a file."""

from collections.abc import Sequence
from typing import ClassVar

from bench.core.policy import Decoding
from bench.core.task import Prompt, Task


class FromFile(Task):
    NAME: ClassVar[str] = "from_file"
    VERSION: ClassVar[int] = 1
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    digest: str

    def prompts(self) -> Sequence[Prompt]:
        return ()

    def decoding(self) -> Decoding:
        return Decoding()
