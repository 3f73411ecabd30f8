"""A policy made elsewhere: any checkpoint, or adapters of PEFT on one, as it is. Nothing is trained.

It answers every task's prompts as the arms do that are trained here, with its own tokenizer and chat template: what is
compared are texts. What its training cost is not known here, and no table says that it was nothing.

The same form makes it a part of other methods: the expert of ``proxy_tuning``, or what a method starts from.
"""

from __future__ import annotations

from typing import ClassVar

from bench.core.errors import BenchError
from bench.core.method import Given, Method
from bench.core.policy import PolicySpec, Pretrained


class PolicyElsewhere(Method):
    """A checkpoint made elsewhere, or an adapter on one, as it is.

    ``model``: a comparison writes its form in the arm's place: ``path`` (a folder) or ``repo`` with ``revision``, with
    ``template``, ``dtype``, ``end_token``, and ``adapter`` (a folder, ``{repo: ..., revision: ...}``, or a list of
    these, each trained on top of the one before it). An ``adapter`` alone is put on the base of the comparison.
    """

    SPREAD: ClassVar[str | None] = "model"

    model: PolicySpec

    def policy(self, given: Given) -> PolicySpec:
        """Return the policy; raises BenchError for adapters alone where the base is no model made elsewhere."""
        model = self.model
        if not isinstance(model, Pretrained) or model.path is not None or model.repo is not None:
            return model
        if not isinstance(given.base, Pretrained):
            raise BenchError(
                "an adapter alone is put on the base of the comparison, and that is made by a stage. Name the model "
                "that the adapter was trained on beside it (path or repo)."
            )
        return given.base.model_copy(update={"adapters": (*given.base.adapters, *model.adapters)})
