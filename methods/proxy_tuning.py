"""Proxy-tuning: a large model that is never trained, steered while it decodes by a small one that is.

Liu et al. 2024, arXiv:2401.08565. With s the raw logits of the next token given the same response so far::

    s = s_base + alpha (s_expert - s_antiexpert)

where the expert is the small model after any method of tuning and the antiexpert the small model as it was.
``bench/models/proxy.py`` has the arithmetic and what it asks of the vocabularies.

Known differences. The paper's experts are tuned chat or task models from elsewhere; here the expert is tuned by a
method of this bench, on the comparison's own data. A setting of sampling (temperature, top-p) is applied to the
combined logits, as in the released code. The preference data are the comparison's; on atlas the large base's
supervised start wrote them, so that a small expert learns from pairs that are not its own.
"""

from __future__ import annotations

from typing import ClassVar

from bench.core.errors import BenchError
from bench.core.method import Given, Method
from bench.core.policy import PolicySpec, Proxy
from methods._shared import supervised_start


class ProxyTuning(Method):
    """Proxy-tuning (arXiv:2401.08565): steer the untouched base by a tuned and an untuned small model.

    ``alpha``: how far to go along the difference of the logits (1 in the paper; 0 is the base; more steers harder, at
    the price of what the base knows). ``expert``: the method that tunes ``given.small``, with its settings
    (``expert: {method: dpo, beta: 0.1}``); without one it is supervised fine-tuning at its defaults on
    ``given.demonstrations``.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"small"})

    alpha: float = 1.0
    expert: Method | None = None

    def needs(self) -> frozenset[str]:
        """Return what the expert needs, and the small model that it is made from."""
        return self.NEEDS | (frozenset({"demonstrations"}) if self.expert is None else self.expert.needs())

    def policy(self, given: Given) -> PolicySpec:
        """Return the base, steered by the small model tuned and untuned."""
        if given.small is None:
            raise BenchError("proxy-tuning steers by a small model of the base's family: add given.small to the file")
        small = given.model_copy(update={"base": given.small})
        if self.expert is not None:
            expert = self.expert.policy(small)
        elif given.demonstrations is None:
            raise BenchError(
                "proxy-tuning without `expert:` tunes the small model on demonstrations: add given.demonstrations, or "
                "name a method (`expert: {method: dpo}`)"
            )
        else:
            expert = supervised_start(small)
        return Proxy(base=given.base, expert=expert, antiexpert=given.small, alpha=self.alpha)
