"""How long the rows of a data set are in tokens, and what was cut so that they fit: counts, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field, PositiveInt

from bench.core.data import Data, Mixture
from bench.core.frozen import Frozen
from bench.core.policy import Chat, PolicySpec

# What a row of data holds besides its prompt: one response, two of which one was chosen, or none yet.
RowsOf = Literal["demonstrations", "preferences", "prompts"]
FilesOfRows = Annotated[Data | Mixture, Field(discriminator="kind")]
ROWS_OF: tuple[RowsOf, ...] = get_args(RowsOf)
REFUSED = 2  # the exit status of what counts them where a run would fail: its words say why


class Quantiles(Frozen):
    """Numbers of tokens: the median, the 95th percentile, and the most."""

    median: int
    high: int
    most: int


class LengthCounts(Frozen):
    """What fitting a data set into ``max_length`` tokens did to its rows, and how long they were before.

    ``rows``: how many were read, whatever became of them. ``max_length``: the tokens that a prompt and a response may
    take together. ``prompts_cut`` and ``responses_cut`` count those that lost tokens, and ``ends_lost`` the responses
    of which the end token was among these. ``unfinished``: responses that whoever wrote them did not end; no end
    token is put behind them. ``identical``: pairs dropped because both responses are the same tokens in the data;
    ``became_identical``: those whose cut responses are. ``dropped``: rows that do not fit at all. ``prompt``,
    ``response`` and ``together`` (a prompt with its longest response): tokens before anything was cut, None where
    there are none.
    """

    data: RowsOf
    rows: int
    max_length: int
    prompts_cut: int = 0
    responses_cut: int = 0
    ends_lost: int = 0
    unfinished: int = 0
    identical: int = 0
    became_identical: int = 0
    dropped: int = 0
    prompt: Quantiles | None = None
    response: Quantiles | None = None
    together: Quantiles | None = None

    def lost(self) -> int:
        """Return how many rows are not learnt from."""
        return self.dropped + self.identical + self.became_identical

    def whole(self) -> bool:
        """Return whether every row is used as it stands in the data."""
        return not (self.prompts_cut or self.responses_cut or self.unfinished or self.lost())


def told(counts: Sequence[LengthCounts]) -> dict[str, object]:
    """Return the counts of a stage's data sets as an entry of its ``diagnostics.json``."""
    return {"lengths": [one.model_dump() for one in counts]}


class WrittenCounts(Frozen):
    """What became of the prompts that a policy answered to make data, and of its responses.

    ``too_long``: prompts left out because they, or what was to be read with them, left the policy no room. ``cut``: the
    responses that were cut at the longest length; they are kept without an end, except ``left_out`` of them.
    """

    prompts: int
    too_long: int = 0
    responses: int = 0
    cut: int = 0
    left_out: int = 0

    def whole(self) -> bool:
        """Return whether every prompt was answered and every response ended by itself."""
        return not (self.too_long or self.cut)


class SpellingCounts(Frozen):
    """Responses that tokens do not give back as they are, or that hold special tokens.

    ``changed``: different responses of the data that do not come back from their tokens as they were. ``spelt``:
    different ones that spell special tokens, which are read as text. ``written``: responses in which a policy wrote
    special tokens before the end, of so many ``responses`` that it wrote; they are spelt out and read as text.
    """

    changed: int = 0
    spelt: int = 0
    written: int = 0
    responses: int = 0

    def told(self) -> dict[str, object]:
        """Return the counts as an entry of ``diagnostics.json``; nothing where there is nothing to tell."""
        return {"spelling": self.model_dump()} if self.changed or self.spelt or self.written else {}


class RowCounts(Frozen):
    """What was counted of the texts of a data set.

    ``read``: rows of the files, of which ``rows`` were made; ``told``: how often the format told what of them.
    ``duplicates``: rows that stand in the data before, prompt and responses alike. ``prompts``: different prompts.
    ``identical``: pairs of which both responses are the same text. ``empty``: responses (prompts, where rows are
    prompts) without a word. ``soft``: pairs with a probability other than 1; ``margins``: pairs with a margin other
    than 0. ``bad``: responses that are labelled bad by themselves.
    """

    read: int = 0
    rows: int = 0
    duplicates: int = 0
    prompts: int = 0
    identical: int = 0
    empty: int = 0
    soft: int = 0
    margins: int = 0
    bad: int = 0
    told: dict[str, int] = {}


class FilesAsked(Frozen):
    """Files of data, and what the comparison gives them as."""

    rows_of: RowsOf
    data: FilesOfRows


class DataFindings(Frozen):
    """What is known of files of data.

    ``rows_are``: what each row is; ``unpaired`` is a response that is labelled by itself. ``format``: its name,
    ``plain`` for the program's own columns; ``why``: what told it. ``unused``: columns of the first rows that nobody
    reads. Of several files together each is named.
    """

    rows_of: RowsOf
    rows_are: Literal["demonstrations", "preferences", "unpaired", "prompts"]
    files: str
    format: str
    why: str
    unused: tuple[str, ...] = ()
    counts: RowCounts


class DataAsked(Frozen):
    """A file of data, and how it is trained on.

    ``readers``: who reads every prompt, each in its own wording; all must fit. ``new_tokens``: what is written to a
    prompt, where rows are prompts.
    """

    rows_of: RowsOf
    data: FilesOfRows
    readers: Annotated[tuple[PolicySpec, ...], Field(min_length=1)]
    max_length: PositiveInt
    new_tokens: PositiveInt | None = None


class PromptsAsked(Frozen):
    """The prompts of a task, how many tokens are written to them, and who reads them."""

    chats: tuple[Chat, ...]
    new_tokens: PositiveInt
    reader: PolicySpec


class ExamplesAsked(Frozen):
    """The first rows of data to be shown as one model reads them; ``most``: so many."""

    rows_of: RowsOf
    data: FilesOfRows
    reader: PolicySpec
    most: PositiveInt = 3


class Stretch(Frozen):
    """A part of a row as a model reads it. ``who`` wrote it: the template, or whose turn it is.

    ``learnt``: whether its tokens are trained on.
    """

    text: str
    who: Literal["template", "system", "user", "assistant"]
    learnt: bool = False


class ShownRow(Frozen):
    """A row as a model reads it: its prompt, and every response to it by name."""

    prompt: tuple[Stretch, ...]
    responses: tuple[tuple[str, tuple[Stretch, ...]], ...] = ()


class LengthsAsked(Frozen):
    """What a plan wants to know. ``version``: that of the way to count, so that no kept answer outlives a change."""

    version: Literal[2] = 2
    files: tuple[FilesAsked, ...] = ()
    data: tuple[DataAsked, ...] = ()
    prompts: tuple[PromptsAsked, ...] = ()
    examples: tuple[ExamplesAsked, ...] = ()


class LengthsFound(Frozen):
    """What is known of files, the counts of each way to read data, and how many prompts of each task leave no room.

    All in the order of the request.
    """

    files: tuple[DataFindings, ...] = ()
    data: tuple[LengthCounts, ...] = ()
    too_long: tuple[int, ...] = ()
    examples: tuple[tuple[ShownRow, ...], ...] = ()

    def answers(self, asked: LengthsAsked) -> bool:
        """Return whether there is an answer to everything that was asked; a damaged file may lack some."""
        found = (self.files, self.data, self.too_long, self.examples)
        wanted = (asked.files, asked.data, asked.prompts, asked.examples)
        return [len(one) for one in found] == [len(one) for one in wanted]


def quantiles(tokens: Sequence[int]) -> Quantiles | None:
    """Return the quantiles of numbers of tokens, each a number that is there (the nearest rank); None without any."""
    if not tokens:
        return None
    ordered = sorted(tokens)
    median, high = (ordered[-(-share * len(ordered) // 100) - 1] for share in (50, 95))
    return Quantiles(median=median, high=high, most=ordered[-1])
