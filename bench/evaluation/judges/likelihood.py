"""The labeller: a policy judges by how probable it finds each answer.

RLAIF, Lee et al. 2023, arXiv:2309.00267, section 2. The policy reads a question about two responses, or about one, and
with l_i the log-probability that it goes on with the i-th of the possible answers::

    P_i = exp(l_i) / sum_j exp(l_j)
    compare: P(first) = P_1
    rate:    s = sum_i i P_i over the answers 1..n, and 2 (s - 1) / (n - 1) - 1, which lies in [-1, 1]

With a rationale (section 2.1.2) the policy writes a chain of thought first and is then asked behind it; with several
sampled ones (self-consistency, appendix) their distributions are averaged, not their votes. Constitutional AI (Bai et
al. 2022, arXiv:2212.08073, section 4.1) clamps the probabilities of chain-of-thought labels to 40-60%
(``confidence_limit: 0.6``).

Known differences from the paper, whose code is not released: complete answers are scored, with their spellings added up
and "10" separated from "1" (``bench.models.likelihood.answers``); the prompt texts are this program's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import Chat, Decoding, PolicySpec
from bench.core.stage import Resources, StageIO
from bench.core.task import Prompt, Task
from bench.evaluation.fenced import imitates
from bench.evaluation.generate import row_seed
from bench.evaluation.judges._prompt_file import (
    DEFAULT,
    FIRST,
    PRINCIPLE,
    PROMPT,
    RESPONSE,
    SECOND,
    Form,
    LabellerPrompt,
    read_prompt,
    shipped_file,
    transcript,
    with_its_prompt,
)

if TYPE_CHECKING:
    from bench.models.local import LocalPolicy

_F = TypeVar("_F", bound=Form)
# What sampled rationales read and greedy ones do not.
_SAMPLING = ("samples", "temperature", "top_k", "seed")


class Likelihood(Judge):
    """A policy as a judge (arXiv:2309.00267): the softmax over how probable it finds each answer.

    ``policy``: the labeller. ``prompt``: the name of a prompt file in ``bench/evaluation/judges/prompts`` (``helpful``
    where nothing is said), or ``path``: a prompt file of your own (``docs/labeller.md``); ``digest`` is that of its
    bytes. ``asks``: how two responses are compared. ``pairs`` shows both responses at once, as in the paper. ``grades``
    asks for the grade of each response alone (the prompt file's ``rate``) and returns P(first has the higher grade) +
    P(equal) / 2, the two grades being drawn independently: it has no position bias. ``rationale``: ``none``, or a chain
    of thought written before the answer: the ``greedy`` one, or ``sampled`` ones, ``samples`` of them at
    ``temperature`` from the ``top_k`` likeliest tokens, whose distributions are averaged (self-consistency; in the
    paper it hurts). ``max_rationale_tokens``: where a rationale is cut. ``seed``: of the sampled rationales and the
    drawn principles; another one gives other samples of the same labeller. ``confidence_limit``: probabilities are
    clamped to [1 - limit, limit]; 0.6 in Constitutional AI for labels with a chain of thought. Ratings are not clamped.
    ``principles``: what to judge by, for a prompt file with a place for one. One is drawn for each prompt and pair of
    responses, the same in both orders, as in Constitutional AI.
    """

    NAME: ClassVar[str] = "likelihood"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)
    CAUSAL_ONLY: ClassVar[str] = "asks a labeller how it goes on with a text"
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    policy: PolicySpec
    prompt: str | None = None
    path: str | None = None
    digest: str
    asks: Literal["pairs", "grades"] = "pairs"
    rationale: Literal["none", "greedy", "sampled"] = "none"
    samples: PositiveInt = 16
    temperature: PositiveFloat = 0.3
    top_k: PositiveInt | None = 40
    seed: NonNegativeInt = 0
    max_rationale_tokens: PositiveInt = 512
    confidence_limit: Annotated[float, Field(ge=0.5, le=1)] = 1.0
    principles: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _with_its_prompt(cls, fields: Any) -> Any:
        """Name the prompt that is read where none is named, and fill in a shipped one's digest."""
        return with_its_prompt(fields)

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        """Refuse what the kind of rationale would not read, and a prompt that asks for none."""
        unread = [] if self.rationale == "sampled" else [*_SAMPLING]
        unread = [name for name in unread if not (name == "seed" and self.principles)]
        unread += ["max_rationale_tokens"] if self.rationale == "none" else []
        infos = type(self).model_fields
        for name in unread:
            if getattr(self, name) != infos[name].default:
                raise ValueError(f"{name} is not read with rationale: {self.rationale}. Leave it out.")
        return self

    def texts(self) -> LabellerPrompt:
        """Return what the prompt file says; raises DataError when it is missing, changed or wrong."""
        file = Path(self.path) if self.path is not None else shipped_file(self.prompt or DEFAULT)
        return read_prompt(file, self.digest)

    def check(self, kind: Literal["compare", "rate"]) -> None:
        """Raise BenchError for a prompt file that does not fit the settings, or knows no such question."""
        asked: Literal["compare", "rate"] = "rate" if self.asks == "grades" else kind
        self._form(asked, getattr(self.texts(), asked))

    def is_imitated_by(self, text: str, asked: Literal["compare", "rate"] = "compare") -> bool:
        """Return whether a response holds a line of the question, or one that begins as an answer does."""
        prompt = self.texts()
        form = prompt.rate if asked == "rate" or self.asks == "grades" else prompt.compare
        return form is not None and imitates(text, form.marks)

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return P(first) of each pair, in the order in which it is shown."""
        if self.asks == "grades":
            return self._by_grades(pairs, io)
        form = self._form("compare", self.texts().compare)
        asked = [
            _Asked(
                pair.prompt,
                {
                    PROMPT: transcript(pair.prompt.chat),
                    FIRST: pair.first.strip(),
                    SECOND: pair.second.strip(),
                    **self._principle(pair.prompt, pair.first, pair.second),
                },
            )
            for pair in pairs
        ]
        return [
            _verdict(None if p is None else self._clamped(p[1 if form.inverted else 0]), text)
            for p, text in self._answered(form, asked, io)
        ]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the expected score of each response, rescaled to [-1, 1]."""
        form = self._form("rate", self.texts().rate)
        sign = -1.0 if form.inverted else 1.0
        return [
            _verdict(None if p is None else sign * rescaled_score(p), text)
            for p, text in self._graded(form, responses, io)
        ]

    def _by_grades(self, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return P(first) of each pair from the grades of its responses; each response is graded once."""
        form = self._form("rate", self.texts().rate)
        alone = {
            (pair.prompt.id, pair.prompt.chat, text): Response(prompt=pair.prompt, text=text)
            for pair in pairs
            for text in (pair.first, pair.second)
        }
        found = dict(zip(alone, self._graded(form, list(alone.values()), io), strict=True))
        verdicts = []
        for pair in pairs:
            which = (pair.prompt.id, pair.prompt.chat)
            (ours, why), (theirs, other) = found[*which, pair.first], found[*which, pair.second]
            text = "\n---\n".join(one for one in (why, other) if one)
            if ours is None or theirs is None:
                verdicts.append(_verdict(None, text))
                continue
            higher = probability_higher(theirs, ours) if form.inverted else probability_higher(ours, theirs)
            verdicts.append(_verdict(self._clamped(higher), text))
        return verdicts

    def _graded(self, form: Form, responses: Sequence[Response], io: StageIO) -> list[tuple[list[float] | None, str]]:
        """Return the distribution over the grades of each response, and the rationales behind it."""
        asked = [
            _Asked(
                one.prompt,
                {
                    PROMPT: transcript(one.prompt.chat),
                    RESPONSE: one.text.strip(),
                    **self._principle(one.prompt, one.text),
                },
            )
            for one in responses
        ]
        return self._answered(form, asked, io)

    def _form(self, kind: Literal["compare", "rate"], form: _F | None) -> _F:
        """Return the form of a kind of question. Raises StageError where the prompt file has none for it."""
        where = self.path or f"the labeller prompt '{self.prompt}'"
        if form is None:
            raise StageError(f"{where} has no `{kind}`, and it is asked for here. Add it, or choose another prompt.")
        if self.rationale != "none" and form.rationale is None:
            raise StageError(
                f"{where} asks for no rationale under `{kind}`, and the judge has rationale: {self.rationale}. "
                "Add `rationale: ...` to the file, or set rationale: none."
            )
        if form.asks_by_principle != bool(self.principles):
            has = "has a place for a principle" if form.asks_by_principle else "has no place {principle}"
            given = "has some" if self.principles else "has no principles"
            raise StageError(f"{where} {has} under `{kind}`, and the judge {given}. Make them fit each other.")
        return form

    def _principle(self, prompt: Prompt, *texts: str) -> dict[str, str]:
        """Return the principle that a prompt and its responses are judged by, whatever their order."""
        if not self.principles:
            return {}
        drawn = row_seed(self.seed, "\x1f".join([prompt.id, *sorted(texts)]), 0) % len(self.principles)
        return {PRINCIPLE: self.principles[drawn]}

    def _clamped(self, probability: float) -> float:
        return min(max(probability, 1.0 - self.confidence_limit), self.confidence_limit)

    def _answered(self, form: Form, asked: Sequence[_Asked], io: StageIO) -> list[tuple[list[float] | None, str]]:
        """Return the distribution over the answers to each question, and the rationales behind it.

        The mean over the samples; None with the reason where no answer has any probability, and where the policy
        cannot read the question, or has no room for its rationale.
        """
        from bench.models.kept import kept_policy  # noqa: PLC0415
        from bench.models.likelihood.answers import OpenedQuestion, answer_logprobs, probabilities  # noqa: PLC0415 - torch loads here
        from bench.models.local import NoRoom  # noqa: PLC0415

        policy = kept_policy(self.policy, io)
        plain = policy.tokenizer.chat_template is None
        reasoned = self.rationale != "none"
        chats = [form.question(one.texts, reasoned=reasoned) for one in asked]
        rationales: list[list[str | None]] = [[None] for _ in asked]
        if reasoned:
            rationales = self._reasoned(policy, form, asked, chats, io)
        questions = [
            OpenedQuestion(one.name, chat, form.opening(rationale, plain=plain))
            for one, chat, written in zip(asked, chats, rationales, strict=True)
            for rationale in written
        ]
        found = iter(answer_logprobs(policy, questions, form.answers, io))
        means: list[tuple[list[float] | None, str]] = []
        for written in rationales:
            rows = [next(found) for _ in written]
            unread = next((row for row in rows if isinstance(row, NoRoom)), None)
            read = [row for row in rows if not isinstance(row, NoRoom)]
            if not rows:
                means.append((None, self._too_long("it leaves no room for a rationale")))
            elif unread is not None:
                means.append((None, self._too_long(unread.why)))
            elif not all(max(row) > float("-inf") for row in read):
                means.append((None, "the labeller finds every answer impossible"))
            else:
                mean = mean_distribution([probabilities(row) for row in read])
                means.append((mean, "\n---\n".join(one for one in written if one is not None)))
        return means

    def _too_long(self, why: str) -> str:
        """Return what to say of a question that the policy cannot read."""
        room = "" if self.rationale == "none" else f" (max_rationale_tokens is {self.max_rationale_tokens})"
        return f"the question is too long for the labeller: {why}{room}"

    def _reasoned(
        self, policy: LocalPolicy, form: Form, asked: Sequence[_Asked], chats: Sequence[Chat], io: StageIO
    ) -> list[list[str | None]]:
        """Return the rationales that the policy writes to each question, none to one that leaves no room for them.

        The noise of a sampled one depends on the seed, the question and its number only.
        """
        sampled = self.rationale == "sampled"
        draws = range(self.samples if sampled else 1)
        decoding = Decoding(
            temperature=self.temperature if sampled else 0.0,
            top_k=self.top_k if sampled else None,
            max_new_tokens=self.max_rationale_tokens,
        )
        rows = [(one, chat, draw) for one, chat in zip(asked, chats, strict=True) for draw in draws]
        written = policy.generate(
            [chat for _, chat, _ in rows],
            decoding,
            seeds=[row_seed(self.seed, one.identity(), draw) for one, _, draw in rows],
            io=io,
        )
        found: list[list[str | None]] = [[] for _ in asked]
        for place, one in enumerate(written):
            if one.finish != "no_room":
                found[place // len(draws)].append(form.reasoning(one.text))
        return found


@dataclass(frozen=True)
class _Asked:
    """One question: the prompt it is about, and the texts that fill its places."""

    prompt: Prompt
    texts: Mapping[str, str]

    @property
    def name(self) -> str:
        """What an error message calls it."""
        return f"prompt {self.prompt.id}"

    def identity(self) -> str:
        """Return what identifies the question, for its noise."""
        return "\x1f".join([self.prompt.id, *self.texts.values()])


def rescaled_score(distribution: Sequence[float]) -> float:
    """Return the expected answer among 1..n by its probabilities, rescaled from [1, n] to [-1, 1]."""
    expected = sum(place * probability for place, probability in enumerate(distribution, 1))
    return 2 * (expected - 1) / (len(distribution) - 1) - 1


def probability_higher(one: Sequence[float], other: Sequence[float]) -> float:
    """Return P(X > Y) + P(X = Y) / 2 for independent X and Y with these distributions over the same grades 1..n."""
    below, found = 0.0, 0.0
    for p, q in zip(one, other, strict=True):
        found += p * (below + q / 2)
        below += q
    return found


def mean_distribution(distributions: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of distributions over the same answers."""
    return [sum(column) / len(distributions) for column in zip(*distributions, strict=True)]


def _verdict(value: float | None, text: str) -> Verdict:
    if value is None:
        return Verdict(value=None, status="undefined", text=text)
    return Verdict(value=value, text=text)
