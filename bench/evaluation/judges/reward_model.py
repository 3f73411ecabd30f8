"""The reward-model judge: prefers what a reward model scores higher, an arm's own or one made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import NonNegativeInt, model_validator

from bench.core.datasets import Reply
from bench.core.errors import BenchError, StageError
from bench.core.files import kind_at
from bench.core.formats.classifier_files import check_classifier_files
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import PolicySpec
from bench.core.reward import reward_models
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task
from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings

_PLACES = ("of", "path", "repo")
_OF_A_MODEL = ("revision", "dtype", "template", "label")


class RewardModelJudge(Judge):
    """Rates a response by the score of a reward model: the one that an arm learnt from, or one made elsewhere.

    A comparison is the sign of the difference of the scores, as for the other judges that rate. The sigmoid of the
    difference would be the model's own probability, but only where its rewards kept their scale (``spread: natural``)
    and it is calibrated; the sign is the same for any scale, and a win rate stays the share of prompts that were won.
    The ratings show how large the differences are.

    ``of``: an arm that learnt from a reward model, which is taken at the same seed (``by`` is filled in by the plan).
    Or a sequence classifier of transformers, by ``path`` (a folder) or ``repo`` with ``revision``: ``label`` is the
    number or the name of the logit that rates, where it has several; ``dtype``: what it computes in; ``template``: a
    text with ``{prompt}`` and ``{response}`` for a model whose tokenizer has no chat template, which reads the two as a
    pair of texts otherwise. What is longer than it reads loses its end, and the verdict's text says so.
    """

    NAME: ClassVar[str] = "reward_model"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)
    # The arm's name only says where the model is found; an arm renamed leaves its verdicts as they are.
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"of", "path"})
    ADDED: ClassVar[frozenset[str]] = frozenset({"digest", "repo", *_OF_A_MODEL})

    of: str | None = None
    by: Stage | None = None
    path: str | None = None
    digest: str | None = None
    repo: str | None = None
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    template: str | None = None
    label: NonNegativeInt | str | None = None

    @model_validator(mode="after")
    def _is_one_model(self) -> Self:
        """Refuse none or several models, and settings that the one would not read."""
        there = [name for name in _PLACES if getattr(self, name) is not None]
        if len(there) != 1:
            got = " and ".join(there) or "none"
            raise ValueError(f"judge reward_model needs exactly one of {', '.join(_PLACES)}, and has {got}")
        infos = type(self).model_fields
        for name in _OF_A_MODEL if self.of is not None else ():
            if getattr(self, name) != infos[name].default:
                raise ValueError(f"{name} is for a reward model made elsewhere, not for that of an arm. Leave it out.")
        if self.repo is not None and self.revision is None:
            raise ValueError("a repository needs its revision: add `revision: ...`, a commit")
        if self.template is not None and not all(part in self.template for part in ("{prompt}", "{response}")):
            raise ValueError("the template must hold {prompt} and {response}")
        return self

    def takes_from_arm(self) -> bool:
        """Return whether the model is that of an arm."""
        return self.of is not None

    def check(self, kind: Literal["compare", "rate"]) -> None:
        """Raise BenchError for a folder that holds no classifier with that label; one that is not here is let be."""
        del kind
        if self.path is not None and kind_at(Path(self.path)) is not None:
            check_classifier_files(Path(self.path), self.label, Path(self.path).name)

    def bound(self, policy_of: Callable[[str], PolicySpec]) -> Self:
        """Return this judge with the stage that trained the reward model of its arm.

        Raises BenchError for an arm that has learnt from no reward model, or from several at once.
        """
        if self.of is None:
            return self
        found = reward_models(policy_of(self.of))
        if len(found) != 1:
            several = (
                f"{len(found)} reward models at once, so it is not known which one" if found else "no reward model"
            )
            raise BenchError(
                f"judge reward_model: the method '{self.of}' has learnt from {several}. "
                "Under `of:` name a method that has learnt from one (rewarded by `model`), or choose another judge."
            )
        return self.model_copy(update={"by": found[0]})

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response has the higher score, 0 where the lower, 0.5 where equal."""
        return [verdict_on_ratings(first, second) for first, second in rated_pairs(self, task, pairs, io)]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the score of each response; the text says what of prompt and response was too long to be read.

        A response to a prompt that leaves it no room is undefined. Raises StageError when no reward model is filled in.
        """
        if self.of is None:
            return self._made_elsewhere(responses, io)
        from bench.models.reward_model import load_reward_model  # noqa: PLC0415 - torch loads here, not when planning

        if self.by is None:
            raise StageError(f"judge reward_model has no model yet: the plan takes it from the method '{self.of}'.")
        if not responses:
            return []
        model = load_reward_model(self.by, io)
        chats = [one.prompt.chat for one in responses]
        rows = list(model.rows(chats, [Reply(one.text, one.ended) for one in responses]))
        scores, cuts = model.score_rows(rows, io), model.cuts(rows)
        return [
            Verdict(value=score, status="undefined" if score is None else "ok", text=cut)
            for score, cut in zip(scores, cuts, strict=True)
        ]

    def _made_elsewhere(self, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        from bench.models.rating.classifier import Source, load_classifier  # noqa: PLC0415 - torch loads here

        if not responses:
            return []
        source = Source(self.path, self.digest, self.repo, self.revision)
        model = load_classifier(source, self.label, self.dtype, self.template, io)
        found = model.rate(
            [one.prompt.chat for one in responses], [Reply(one.text, one.ended) for one in responses], io
        )
        return [Verdict(value=one.value, text=one.cut) for one in found]
