"""Outputs made elsewhere as an arm: responses in a file, whoever wrote them. Nothing is trained or generated.

What is compared are texts, so that any system's answers stand beside those of policies trained here: a model behind an
API, an earlier run, people. There is no likelihood, and no further response can be had; what would need either is told.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.core.method import Given, Method
from bench.core.policy import Outputs, PolicySpec


class OutputsElsewhere(Method):
    """Responses made elsewhere, as they stand in a file.

    ``path``: JSON Lines, JSON, CSV or Parquet with a response in every row and what it answers: the id of a task's
    prompt, or the prompt (AlpacaEval's ``instruction`` and ``output`` too). Several rows for a prompt are its draws.
    ``columns`` names the file's columns where they are called otherwise: ``{prompt: question, response: reply}``.
    """

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    digest: str
    columns: dict[Literal["id", "prompt", "input", "response", "finish"], str] = {}

    def policy(self, given: Given) -> PolicySpec:
        """Return the outputs."""
        del given
        return Outputs(path=self.path, digest=self.digest, columns=tuple(sorted(self.columns.items())))
