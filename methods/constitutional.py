"""Constitutional AI: harmlessness from a list of principles instead of human labels.

Bai et al. 2022, arXiv:2212.08073. Two halves, with the same principles:

1. Supervised (section 3). A policy answers a prompt; then, ``rounds`` times, it criticises its answer by a principle
   and rewrites it. The base is fine-tuned on the answers of all rounds, together with the helpful demonstrations.
2. From AI feedback (section 4). That policy answers each prompt twice. A labeller says which answer follows a principle
   better, a soft label p that behind a chain of thought is clamped to [0.4, 0.6]. ``then`` starts from the policy and
   learns from the labels; in the paper, a preference model and PPO.

A principle is drawn anew for every round of every prompt, and for every pair.

Known differences. The paper's writer is a helpful-only RLHF model and its labeller a pretrained one with exemplars;
here the writer is the supervised start and the labeller is given. Labels are averaged over both orders, which the paper
does not say. Earlier critiques leave the context when the next round begins, which the paper leaves open. The
preference model learns from these labels alone, not also from human labels of helpfulness. The principles are this
program's own words, and fewer than the paper's sixteen.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from bench.core.data import Made
from bench.core.errors import BenchError
from bench.core.judge import Judge
from bench.core.method import Given, Method
from bench.core.policy import Decoding, PolicySpec
from bench.core.reward import CutResponses
from bench.evaluation.judges.likelihood import Likelihood
from methods._train.feedback import learners as feedback
from methods._train.feedback.label_pairs import SamplePairs
from methods._train.feedback.revise import Principle, Revise, named_principles

PROMPT = "principle"


class Constitutional(Method):
    """Constitutional AI (arXiv:2212.08073): revisions by principles to imitate, then a labeller's preferences by them.

    ``principles``: the name of a set in ``methods/_data/constitution.yaml``, or a list of your own, each
    ``{name, critique, revision, choice}``. ``rounds`` of critique and revision; 0 leaves the first answers.
    ``decoding``: of answers, critiques and revisions, and of the pairs. ``cut_responses``: answers that were cut are
    learnt from as far as they go, without an end (``keep``), or left out (``leave_out``), with their pair.
    ``labeller``: a policy (``likelihood``); the comparison's ``given.labeller`` where none is named. Its prompt file is
    ``principle`` unless it names one with a place for a principle. ``rationale``, ``max_rationale_tokens`` and
    ``confidence_limit`` are how it labels: the greedy chain of thought, at most that long, clamped to
    [1 - limit, limit]; without a rationale labels are not clamped.
    ``then``: the method that learns from the labels, PPO at its defaults where none is named. Its ``start`` has the
    settings of both supervised trainings.
    """

    principles: Literal["english", "brief"] | Annotated[tuple[Principle, ...], Field(min_length=1)] = "english"
    rounds: NonNegativeInt = 4
    decoding: Decoding = Decoding(temperature=1.0, max_new_tokens=256)
    cut_responses: CutResponses = "keep"
    labeller: Judge | None = None
    rationale: Literal["none", "greedy"] = "greedy"
    max_rationale_tokens: PositiveInt = 256
    confidence_limit: Annotated[float, Field(ge=0.5, le=1)] = 0.6
    then: Method | None = None

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        """Refuse what the settings would leave unread, and a labeller that reads no principles."""
        feedback.check_learner(self.then)
        infos = type(self).model_fields
        if self.rationale == "none":
            for name in ("max_rationale_tokens", "confidence_limit"):
                if getattr(self, name) != infos[name].default:
                    raise ValueError(f"{name} is for rationale: greedy, and is not read without one. Leave it out.")
        if self.labeller is not None and not isinstance(self.labeller, Likelihood):
            raise ValueError(_NO_POLICY.format(self.labeller.NAME))
        return self

    def needs(self) -> frozenset[str]:
        """Return the prompts, the labeller where none is named, and what ``then`` needs besides labels."""
        own = frozenset({"prompts"}) | (frozenset({"labeller"}) if self.labeller is None else frozenset())
        return own | (feedback.learner(self.then).needs() - {"preferences"})

    def written_out(self) -> Self:
        """Return the method with what learns from the labels in the place of None."""
        return self.model_copy(update={"then": feedback.learner(self.then)})

    def policy(self, given: Given) -> PolicySpec:
        """Return the policy that ``then`` makes of the labels, starting from the one that learnt the revisions."""
        then, prompts = feedback.learner(self.then), feedback.prompts(given)
        judge = self._judge(feedback.labeller(self.labeller, given))
        common: dict[str, Any] = {
            "prompts": prompts,
            "decoding": self.decoding,
            "cut_responses": self.cut_responses,
            "seed": given.seed,
        }
        revisions = Revise(
            policy=feedback.start_of(then, given),
            helpful=given.demonstrations,
            principles=self._principles(),
            rounds=self.rounds,
            **common,
        )
        revised = given.model_copy(update={"demonstrations": Made(by=revisions)})
        samples = SamplePairs(policy=feedback.start_of(then, revised), **common)
        return then.policy(feedback.relabelled(revised, Made(by=samples), judge))

    def _principles(self) -> tuple[Principle, ...]:
        return named_principles()[self.principles] if isinstance(self.principles, str) else self.principles

    def _judge(self, labeller: Judge) -> Likelihood:
        """Return the labeller, judging by the principles."""
        if not isinstance(labeller, Likelihood):
            raise BenchError(_NO_POLICY.format(labeller.NAME))
        compare = labeller.texts().compare
        by_principle = compare is not None and compare.asks_by_principle
        prompt = {"prompt": labeller.prompt, "path": labeller.path, "digest": labeller.digest}
        reasoned = {"max_rationale_tokens": self.max_rationale_tokens, "confidence_limit": self.confidence_limit}
        return Likelihood.model_validate(
            {
                "policy": labeller.policy,
                **(prompt if by_principle else {"prompt": PROMPT}),
                "principles": tuple(principle.choice for principle in self._principles()),
                "rationale": self.rationale,
                **(reasoned if self.rationale == "greedy" else {}),
            }
        )


_NO_POLICY = (
    "constitutional asks its labeller by principles, which the judge {} cannot read: name a policy as labeller."
)
