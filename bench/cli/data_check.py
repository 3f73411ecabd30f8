"""``bench data``: what a file of data is, what is odd about it, and what a model reads of it."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli.options import JsonOption, example, out, write
from bench.core.errors import BenchError, DataError, StageError

if TYPE_CHECKING:
    from bench.core.data import Data
    from bench.core.lengths import LengthsAsked, LengthsFound, RowsOf, ShownRow, Stretch
    from bench.core.policy import Chat, Pretrained
    from bench.core.stage import Stage

SHOWN = 3
commands = typer.Typer()
GivenAs = Literal["preferences", "demonstrations", "prompts"]


@commands.command(
    epilog=example(
        "bench data pairs.jsonl",
        "bench data pairs.parquet --model models/mine --max-length 512",
        "bench data chats.json --as demonstrations --format messages",
    )
)
def data(  # noqa: PLR0913, PLR0917 - one parameter per option of the command
    file: Annotated[Path, typer.Argument(help="A file of rows, or a folder of them.", show_default=False)],
    model: Annotated[Path | None, typer.Option(help="The folder of a model: its tokenizer and chat template.")] = None,
    given_as: Annotated[
        GivenAs | None, typer.Option("--as", help="What the rows are given as; by default what they are recognised as.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="The format, where it is not to be recognised.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Another name of a column: --column prompt=question.", metavar="NAME=COLUMN"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read so many rows of the file.")] = None,
    max_length: Annotated[int, typer.Option(min=2, help="Tokens that prompt and response may take together.")] = 1024,
    as_json: JsonOption = False,
) -> None:
    """Show what a file of data is: its format, its rows and what is odd about them, token lengths and three examples.

    Reads all rows and says what a comparison would refuse. Without --model no tokens are counted, and the examples
    show turns without a template. What is trained on is bold, and stands in ⟦ ⟧.
    """
    from bench.engine.store import Store, chosen_store
    from bench.pipeline.lengths import kept
    from bench.report.terminal.examples import examples

    settings: dict[str, Any] = {} if form is None else {"format": form}
    settings |= {"columns": dict(_renamed(one) for one in columns)} if columns else {}
    settings |= {} if limit is None else {"limit": limit}
    rows_of, found = opened(file, given_as, settings)
    asked = _asked(rows_of, found, None if model is None else _reader(model), max_length)
    with ExitStack() as during:
        chosen = chosen_store(None)
        folder = during.enter_context(tempfile.TemporaryDirectory()) if chosen is None else str(chosen)
        answer = kept(asked, Store(Path(folder)))
    if isinstance(answer, str):
        raise BenchError(f"{file}: the rows could not be looked at: {answer}")
    if as_json:
        write(json.dumps(answer.model_dump(), indent=1) + "\n")
        return
    for line in _lines(answer):
        out.print(line, markup=False, soft_wrap=True)
    out.print(examples(answer.examples[0] if answer.examples else plain_rows(rows_of, found)))


def opened(file: Path, given_as: GivenAs | None, settings: dict[str, Any]) -> tuple[RowsOf, Data]:
    """Return what rows are given as, and the data, all of its rows looked at; raises DataError.

    Where it is not said, they are what they are first recognised as, of pairs, demonstrations and prompts.
    """
    from bench.config.fields.data_sources import COLUMNS, data_at

    place = file.absolute()
    roles: tuple[GivenAs, ...] = ("preferences", "demonstrations", "prompts") if given_as is None else (given_as,)
    refused = [_refusal(place, role, settings) for role in roles]
    role = next((role for role, why in zip(roles, refused, strict=True) if why is None), roles[0])
    return role, data_at(place, COLUMNS[role], settings)


def _refusal(place: Path, role: GivenAs, settings: dict[str, Any]) -> str | None:
    """Return why the first rows are not of the kind; None where they are."""
    from bench.config.fields.data_sources import files_at
    from bench.core.row_formats.listing import format_named
    from bench.core.row_formats.reading import recognised

    try:
        named = {"format": format_named(settings["format"], role)} if "format" in settings else {}
        recognised(files_at(place, {**settings, **named}), role, place.name)
    except DataError as error:
        return str(error)
    return None


def _renamed(text: str) -> tuple[str, str]:
    name, sign, column = text.partition("=")
    if not (name and sign and column):
        raise BenchError(f"--column {text}: write NAME=COLUMN, the program's name and the file's")
    return name, column


def _reader(folder: Path) -> Pretrained:
    from bench.config.fields.named_files import digest_of_model
    from bench.core.policy import Pretrained

    place = folder.absolute()
    return Pretrained(path=str(place), digest=digest_of_model(place))


def _asked(rows_of: RowsOf, data: Data, reader: Pretrained | None, max_length: int) -> LengthsAsked:
    from bench.core.lengths import DataAsked, ExamplesAsked, FilesAsked, LengthsAsked

    files = (FilesAsked(rows_of=rows_of, data=data),)
    if reader is None:
        return LengthsAsked(files=files)
    new_tokens = 1 if rows_of == "prompts" else None
    counted = DataAsked(rows_of=rows_of, data=data, readers=(reader,), max_length=max_length, new_tokens=new_tokens)
    return LengthsAsked(
        files=files, data=(counted,), examples=(ExamplesAsked(rows_of=rows_of, data=data, reader=reader),)
    )


def _lines(found: LengthsFound) -> list[str]:
    from bench.results.data_block import block_of, length_line

    return block_of(found.files[0], [length_line(one, "") for one in found.data])


def plain_rows(rows_of: RowsOf, data: Data) -> tuple[ShownRow, ...]:
    """Return the first rows of data as they are written, turn by turn, where no model reads them."""
    from bench.core.datasets import each_demonstration, each_preference, each_unpaired, is_unpaired, read_prompts
    from bench.core.lengths import ShownRow, Stretch
    from bench.core.row_formats.reading import RowsSeen

    def turns(chat: Chat) -> tuple[Stretch, ...]:
        parts = ((Stretch(text=f"{turn.role}: ", who="template"), turn) for turn in chat)
        return tuple(one for head, turn in parts for one in (head, Stretch(text=f"{turn.content}\n", who=turn.role)))

    def answer(text: str) -> tuple[Stretch, ...]:
        return (Stretch(text=text, who="assistant", learnt=True),)

    nothing, seen = NothingMade(), RowsSeen()
    if rows_of == "prompts":
        return tuple(ShownRow(prompt=turns(one.chat)) for one in read_prompts(data, nothing)[:SHOWN])
    if rows_of == "demonstrations":
        demonstrations = islice(each_demonstration(data, nothing, seen), SHOWN)
        return tuple(
            ShownRow(prompt=turns(one.prompt), responses=(("response", answer(one.response)),))
            for one in demonstrations
        )
    if is_unpaired(data):
        labelled = islice(each_unpaired(data, nothing, seen), SHOWN)
        return tuple(
            ShownRow(prompt=turns(one.prompt), responses=(("good" if one.good else "bad", answer(one.completion)),))
            for one in labelled
        )
    pairs = islice(each_preference(data, nothing, seen), SHOWN)
    return tuple(
        ShownRow(
            prompt=turns(one.prompt), responses=(("chosen", answer(one.chosen)), ("rejected", answer(one.rejected)))
        )
        for one in pairs
    )


class NothingMade:
    """There are no stages whose payloads could be read: the rows are those of files."""

    def read(self, stage: Stage) -> Path:
        """Raise StageError."""
        raise StageError(f"{stage.label()} is not computed here.")
