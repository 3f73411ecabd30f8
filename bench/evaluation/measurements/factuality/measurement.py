"""Factuality: from responses to claims, from claims to passages, and from both to what is supported."""

from __future__ import annotations

from bench.config.comparison import Factuality
from bench.evaluation.generate import Generate
from bench.evaluation.measurements.factuality.extract import ExtractClaims
from bench.evaluation.measurements.factuality.retrieve import IndexPassages, RetrievePassages
from bench.evaluation.measurements.factuality.verify import CheckClaims


def checked(responses: Generate, factuality: Factuality) -> CheckClaims:
    """Return the stage that checks the claims of one generation, with all it rests on."""
    claims = ExtractClaims(responses=responses, extractor=factuality.extractor)
    knowledge = factuality.knowledge
    if factuality.verifier.READS == "task" or knowledge is None:
        return CheckClaims(claims=claims, verifier=factuality.verifier)
    index = IndexPassages(source=knowledge.source, retriever=knowledge.retriever, words=knowledge.words)
    passages = RetrievePassages(claims=claims, index=index, most=knowledge.passages)
    return CheckClaims(claims=claims, verifier=factuality.verifier, passages=passages)
