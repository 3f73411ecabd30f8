"""``bench export`` and ``track``: hand a finished comparison on, as a table, as a model, to a tracker."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import (
    PathArgument,
    SetOption,
    StoreOption,
    Tracker,
    example,
    out,
    tell_standing,
    wait_for_results,
    write,
    writing_results,
)
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.config.comparison import Comparison
    from bench.engine.store import Store
    from bench.export.contrast_tables import TableFormat
    from bench.export.model import PolicyChoice
    from bench.export.push import Repository
    from bench.pipeline.standing import Standing

commands = typer.Typer()


@commands.command(
    epilog=example(
        "bench export results/quickstart --format latex --to tables.tex",
        "bench export results/quickstart dpo --to exported/dpo --seed 1",
        "bench export results/quickstart dpo --push me/atlas-dpo --dry-run",
    )
)
def export(  # noqa: PLR0913 - a command has as many parameters as options
    path: PathArgument,
    method: Annotated[
        str | None, typer.Argument(help="Write this method's policy as a model; without it, the contrasts as a table.")
    ] = None,
    *,
    to: Annotated[Path | None, typer.Option("--to", help="The file, or the folder for a policy to write.")] = None,
    form: Annotated[
        Literal["csv", "latex", "json"] | None, typer.Option("--format", help="The form of the table; csv by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The policy's training seed; the first by default.")] = None,
    adapter: Annotated[bool, typer.Option("--adapter", help="Keep a LoRA adapter apart from its base.")] = False,
    push: Annotated[
        str | None, typer.Option("--push", metavar="ORG/NAME", help="Send the policy to the Hugging Face hub.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody read a repository made by --push.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what --push would send, and send nothing.")] = False,
    overrides: SetOption = None,
    store: StoreOption = None,
) -> None:
    """Write contrasts for papers and programs, or a trained policy that transformers loads, with a model card.

    A table is printed where no file is named.
    """
    from bench.config.load import load_comparison
    from bench.engine.last_store import store_of_last_run
    from bench.export.model import PolicyChoice
    from bench.export.push import Repository
    from bench.pipeline.concluded import with_conclusions
    from bench.pipeline.recorded_run import recorded_run, refuse_absent
    from bench.pipeline.standing import standing_of

    wait_for_results(path)
    if push is None and (public or dry_run):
        raise BenchError("--public and --dry-run belong to --push ORG/NAME: add it, or leave them away.")
    if method is None:
        if seed is not None or adapter or push is not None:
            raise BenchError(
                "--seed, --adapter and --push belong to a policy: name its METHOD after PATH, or leave them away."
            )
        export_table(with_conclusions(standing_of(path, overrides or [])), form or "csv", to)
    elif form is not None:
        raise BenchError("--format belongs to a table: a policy has one form. Leave it away, or leave METHOD away.")
    elif to is None and push is None:
        raise BenchError(
            f"a policy needs a place to go to: bench export {path} {method} --to FOLDER, or --push ORG/NAME"
        )
    else:
        repository = None if push is None else Repository(push, public)  # its name is looked at first
        refuse_absent(recorded_run(path, overrides or []), f"the policy of {method} is planned from it")
        comparison = load_comparison(path, overrides=overrides or [])
        choice = PolicyChoice(method, seed, "adapter" if adapter else "merged")
        where = store_of_last_run(comparison, store)
        with tempfile.TemporaryDirectory() as unnamed:
            folder = Path(unnamed) / "policy" if to is None else to
            export_model(comparison, where, choice, folder)
            if to is not None:
                out.print(f"wrote {folder}", markup=False, soft_wrap=True)
            if repository is not None:
                push_policy(folder, repository, f"{method} of {comparison.name}", dry_run=dry_run)


def export_table(standing: Standing, form: TableFormat, to: Path | None) -> None:
    """Write the contrasts as a table to a file, into a folder under the comparison's name, or to standard output."""
    from bench.core.files import replace_text
    from bench.export.contrast_tables import FORMATS, SUFFIXES
    from bench.results.conclusions.all import CONCLUSIONS

    tell_standing(standing)
    text = FORMATS[form](CONCLUSIONS.read(standing.folder).contrasts, standing.summary)
    if to is None:
        write(text)
        return
    file = to / f"{standing.comparison.name}.{SUFFIXES[form]}" if to.is_dir() else to
    replace_text(file, text)
    out.print(f"wrote {file}", markup=False, soft_wrap=True)


def export_model(comparison: Comparison, store: Store, wanted: PolicyChoice, to: Path) -> None:
    """Write one arm's policy as a model, with its card, into the folder ``to``."""
    from bench.export.model import export_policy
    from bench.gate.finished_run import stored
    from bench.pipeline.plan import make_plan
    from bench.results.conclusions.all import CONCLUSIONS

    folder, summary = stored(comparison)
    contrasts = CONCLUSIONS.read(folder).contrasts
    export_policy(make_plan(comparison), store, summary, contrasts, wanted, to)


def push_policy(folder: Path, repository: Repository, what: str, *, dry_run: bool) -> None:
    """Send a folder with a policy to the hub, or, in a dry run, say what would be sent."""
    from bench.export.push import push, push_lines

    for line in push_lines(folder, repository):
        out.print(line, markup=False, soft_wrap=True)
    if dry_run:
        out.print("nothing was sent (--dry-run)")
    else:
        out.print(f"sent: {push(folder, repository, what)}", markup=False, soft_wrap=True)


@commands.command(
    epilog=example("bench track results/quickstart --to tensorboard", "bench track results/mine --to mlflow")
)
def track(
    path: PathArgument,
    to: Annotated[Tracker, typer.Option("--to", help="Which tracker.")],
    folder: Annotated[Path | None, typer.Option(help="Where; tracked/TRACKER beside the file by default.")] = None,
    overrides: SetOption = None,
) -> None:
    """Hand a finished run's settings, curves, costs and results to an experiment tracker, in files of this machine."""
    from bench.export import scalars, trackers
    from bench.pipeline.concluded import with_conclusions
    from bench.pipeline.standing import standing_of
    from bench.results.conclusions.all import CONCLUSIONS
    from bench.results.records import RECORDS

    with writing_results(path):
        standing = with_conclusions(standing_of(path, overrides or []))
        tell_standing(standing)
        contrasts, records = CONCLUSIONS.read(standing.folder).contrasts, RECORDS.read(standing.folder)
        runs = scalars.tracked_runs(standing.summary, contrasts, records)
        place = folder or scalars.default_folder(Path(standing.comparison.path), to)
        trackers.track(to, runs, place)
    out.print(f"tracked: {len(runs)} runs in {place}", markup=False, soft_wrap=True)
