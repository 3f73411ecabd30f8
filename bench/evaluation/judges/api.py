"""The API judge: a model behind any OpenAI-compatible server says which response is better, or how good one is.

It reads the same prompt files as the labeller (``docs/labeller.md``) and is instructed how to write its answer, because
not every server returns log-probabilities. Every answer is stored for good (``docs/judges_paid.md``): what was paid for
is never asked again, and what is stored can be judged from offline.

A verdict is 1, 0 or 0.5 (a tie, where ``ties: allowed``), or the mean of several samples. A rating is that of RLAIF
(arXiv:2309.00267, section 2.2.2) with all the probability on the grade that was written: 2 (s - 1) / (n - 1) - 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import NonNegativeInt, PositiveInt, model_validator

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import Chat, Message
from bench.core.stage import StageIO
from bench.core.task import Task
from bench.evaluation.api.api_settings import OPERATION, ApiSettings
from bench.evaluation.api.ask import ask
from bench.evaluation.api.parsing import Chosen, ReplyStyle, chosen, possible, request
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.replies import Answer
from bench.evaluation.api.served import tell_served
from bench.evaluation.fenced import imitates
from bench.evaluation.judges._prompt_file import (
    DEFAULT,
    FIRST,
    PROMPT,
    RESPONSE,
    SECOND,
    CompareForm,
    Form,
    LabellerPrompt,
    RateForm,
    read_prompt,
    shipped_file,
    transcript,
    with_its_prompt,
)

_F = TypeVar("_F", bound=Form)
_BETWEEN_SAMPLES = "\n---\n"
TIE_VALUE = 0.5


class Api(ApiSettings, Judge):
    """A model behind an OpenAI-compatible server.

    In every key: ``model``, as the server names it; ``version``, what that name leaves open (who serves it, a date);
    ``prompt``, a shipped prompt file, or ``path``, one of your own, and its ``digest``; ``asks``: ``pairs`` at once, or
    ``grades`` of each response alone; ``reasoning``: ``none``, or ``written`` before the answer; ``ties``: whether a
    comparison may be answered so; ``max_tokens``, ``temperature`` and ``seed`` (null: not sent), another seed is
    another sample; ``samples`` of each answer, averaged over those that can be read; ``ask_again``: how often an answer
    that cannot be read is asked for once more. In no key, because they change no answer: ``base_url``; ``api_key_env``,
    the NAME of the environment variable with the key; ``limit_as``, the server's name for max_tokens; ``concurrency``;
    ``timeout`` of one request in seconds; ``retries`` of a failed one, the first after about ``first_wait`` seconds;
    ``prices`` in USD per million tokens {input, output}; ``spending_limit`` of one run {usd, tokens, calls}.
    """

    NAME: ClassVar[str] = "api"
    VERSION: ClassVar[int] = 3
    LOCATIONS: ClassVar[frozenset[str]] = OPERATION | {"path"}

    prompt: str | None = None
    path: str | None = None
    digest: str
    asks: Literal["pairs", "grades"] = "pairs"
    reasoning: Literal["none", "written"] = "none"
    ties: Literal["none", "allowed"] = "none"
    samples: PositiveInt = 1
    ask_again: NonNegativeInt = 0

    @model_validator(mode="before")
    @classmethod
    def _with_its_prompt(cls, fields: Any) -> Any:
        """Name the prompt that is read where none is named, and fill in a shipped one's digest."""
        return with_its_prompt(fields)

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        """Refuse settings that contradict each other."""
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("several samples at temperature 0 are one and the same. Raise the temperature.")
        if self.ties == "allowed" and self.asks == "grades":
            raise ValueError("ties is not read with asks: grades, where equal grades are a tie. Leave it out.")
        return self

    def texts(self) -> LabellerPrompt:
        """Return what the prompt file says; raises DataError when it is missing, changed or wrong."""
        file = Path(self.path) if self.path is not None else shipped_file(self.prompt or DEFAULT)
        return read_prompt(file, self.digest)

    def check(self, kind: Literal["compare", "rate"]) -> None:
        """Raise BenchError for a prompt file that does not fit the settings, or knows no such question."""
        if self.asks == "grades" or kind == "rate":
            self._rate_form()
        else:
            self._compare_form()

    def is_imitated_by(self, text: str, asked: Literal["compare", "rate"] = "compare") -> bool:
        """Return whether a response holds a line of the question, or one that begins as an answer does."""
        prompt = self.texts()
        form = prompt.rate if asked == "rate" or self.asks == "grades" else prompt.compare
        return form is not None and imitates(text, form.marks)

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1, 0 or 0.5 for each pair, or the mean over the samples."""
        if self.asks == "grades":
            return self._by_grades(pairs, io)
        form = self._compare_form()
        values = [0.0, 1.0] if form.inverted else [1.0, 0.0]
        return self._verdicts(self.questions_on(pairs), form, [*values, TIE_VALUE], io)

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the grade of each response, rescaled to [-1, 1]."""
        form = self._rate_form()
        questions = self.questions_about(responses)
        sign, steps = -1.0 if form.inverted else 1.0, len(form.answers) - 1
        values = [sign * (2 * place / steps - 1) for place in range(len(form.answers))]
        return self._verdicts(questions, form, values, io)

    def questions_on(self, pairs: Sequence[Pair]) -> list[ApiQuestion]:
        """Return what is asked about pairs: one question for each, or one for each response that is graded."""
        if self.asks == "grades":
            return self.questions_about(_alone(pairs))
        form = self._compare_form()
        return [
            self._question(
                form,
                {
                    PROMPT: transcript(pair.prompt.chat),
                    FIRST: pair.first.strip(),
                    SECOND: pair.second.strip(),
                },
                pair.prompt.id,
            )
            for pair in pairs
        ]

    def questions_about(self, responses: Sequence[Response]) -> list[ApiQuestion]:
        """Return what is asked about each response alone."""
        form = self._rate_form()
        return [
            self._question(form, {PROMPT: transcript(one.prompt.chat), RESPONSE: one.text.strip()}, one.prompt.id)
            for one in responses
        ]

    def samples_of(self, question: ApiQuestion) -> list[ApiQuestion]:
        """Return the question once for each sample."""
        return [
            ApiQuestion(question.chat, question.decoding, sample=number, name=question.name)
            for number in range(self.samples)
        ]

    def _by_grades(self, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response has the higher grade, 0 where the lower, 0.5 where equal."""
        grades = self.rate(None, _alone(pairs), io)
        return [_on_grades(first, second) for first, second in zip(grades[::2], grades[1::2], strict=True)]

    def _question(self, form: Form, texts: Mapping[str, str], prompt: str) -> ApiQuestion:
        reasoned = self.reasoning == "written"
        (turn,) = form.question(texts, reasoned=reasoned)
        how = request(form, self._style, self._possible(form))
        chat: Chat = (Message(role="user", content=f"{turn.content}{form.separator}{how}"),)
        return ApiQuestion(chat, self.decoding(), name=f"prompt {prompt}")

    def _verdicts(
        self, questions: Sequence[ApiQuestion], form: Form, values: Sequence[float], io: StageIO
    ) -> list[Verdict]:
        """Return the mean value of the samples of each question; ``values`` are those of the possible answers."""
        access = self.access()
        asked = [sample for question in questions for sample in self.samples_of(question)]
        answers = ask(asked, access, io)
        found = [self._chosen(form, answer) for answer in answers]
        for again in range(1, self.ask_again + 1):
            unread = [place for place, one in enumerate(found) if one.status == "unparsed"]
            once_more = [
                ApiQuestion(asked[place].chat, asked[place].decoding, asked[place].sample, again, asked[place].name)
                for place in unread
            ]
            for place, answer in zip(unread, ask(once_more, access, io), strict=True):
                answers[place], found[place] = answer, self._chosen(form, answer)
        tell_served(self.model, answers, io)
        count = self.samples
        return [
            _mean(found[start : start + count], answers[start : start + count], values)
            for start in range(0, len(asked), count)
        ]

    def _chosen(self, form: Form, answer: Answer) -> Chosen:
        return chosen(answer, form, self._style, self._possible(form))

    def _possible(self, form: Form) -> tuple[str, ...]:
        return possible(form, ties=self.ties == "allowed" and isinstance(form, CompareForm))

    @property
    def _style(self) -> ReplyStyle:
        return "reasoned" if self.reasoning == "written" else "bare"

    def _compare_form(self) -> CompareForm:
        return self._form("compare", self.texts().compare)

    def _rate_form(self) -> RateForm:
        return self._form("rate", self.texts().rate)

    def _form(self, kind: Literal["compare", "rate"], form: _F | None) -> _F:
        """Return the form of a kind of question. Raises StageError where the prompt file has none that fits."""
        where = self.path or f"the prompt '{self.prompt}'"
        if form is None:
            raise StageError(f"{where} has no `{kind}`, and it is asked for here. Add it, or choose another prompt.")
        if self.reasoning == "written" and form.rationale is None:
            raise StageError(
                f"{where} asks for no rationale under `{kind}`, and the judge has reasoning: written. "
                "Add `rationale: ...` to the file, or set reasoning: none."
            )
        if form.asks_by_principle:
            raise StageError(f"{where} has a place for a principle, and judge api has none. Choose another prompt.")
        return form


def _alone(pairs: Sequence[Pair]) -> list[Response]:
    return [Response(prompt=pair.prompt, text=text) for pair in pairs for text in (pair.first, pair.second)]


def _mean(found: Sequence[Chosen], answers: Sequence[Answer], values: Sequence[float]) -> Verdict:
    """Return the mean over the samples that can be read; without any, the status of the first and all the texts."""
    text = _BETWEEN_SAMPLES.join(answer.text for answer in answers)
    read = [values[one.place] for one in found if one.place is not None]
    if not read:
        return Verdict(value=None, status=found[0].status, text=text)
    return Verdict(value=sum(read) / len(read), text=text)


def _on_grades(first: Verdict, second: Verdict) -> Verdict:
    text = f"{first.text}{_BETWEEN_SAMPLES}{second.text}"
    if first.value is None or second.value is None:
        return Verdict(value=None, status=first.status if first.value is None else second.status, text=text)
    return Verdict(value=TIE_VALUE if first.value == second.value else float(first.value > second.value), text=text)
