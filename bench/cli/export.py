"""``bench export`` and ``track``: hand a finished comparison on, as a table, as a model, to a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import PathArgument, SetOption, Tracker, example, out, write
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.config.comparison import Comparison
    from bench.export.contrast_tables import TableFormat
    from bench.export.model import PolicyChoice

commands = typer.Typer()


@commands.command(
    epilog=example(
        "bench export results/quickstart --format latex --to tables.tex",
        "bench export results/quickstart dpo --to exported/dpo --seed 1",
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
    overrides: SetOption = None,
) -> None:
    """Write contrasts for papers and programs, or a trained policy that transformers loads, with a model card.

    A table is printed where no file is named. Exit status 2 where there is nothing to write, with the reason.
    """
    from bench.config.load import load_comparison
    from bench.export.model import PolicyChoice

    comparison = load_comparison(path, overrides=overrides or [])
    if method is None:
        if seed is not None or adapter:
            raise BenchError("--seed and --adapter belong to a policy: name its METHOD after PATH, or leave them away.")
        export_table(comparison, form or "csv", to)
    elif form is not None:
        raise BenchError("--format belongs to a table: a policy has one form. Leave it away, or leave METHOD away.")
    elif to is None:
        raise BenchError(f"a policy needs a folder to go to: bench export {path} {method} --to FOLDER")
    else:
        export_model(comparison, PolicyChoice(method, seed, "adapter" if adapter else "merged"), to)


def export_table(comparison: Comparison, form: TableFormat, to: Path | None) -> None:
    """Write the contrasts as a table to a file, into a folder under the comparison's name, or to standard output."""
    from bench.export.contrast_tables import FORMATS, SUFFIXES
    from bench.gate.finished_run import stored
    from bench.results.conclusions.all import CONCLUSIONS

    folder, summary = stored(comparison)
    text = FORMATS[form](CONCLUSIONS.read(folder).contrasts, summary)
    if to is None:
        write(text)
        return
    file = to / f"{comparison.name}.{SUFFIXES[form]}" if to.is_dir() else to
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    out.print(f"wrote {file}", markup=False, soft_wrap=True)


def export_model(comparison: Comparison, wanted: PolicyChoice, to: Path) -> None:
    """Write one arm's policy as a model, with its card, into the folder ``to``."""
    from bench.engine.store import store_of
    from bench.export.model import export_policy
    from bench.gate.finished_run import stored
    from bench.pipeline.plan import make_plan
    from bench.results.conclusions.all import CONCLUSIONS

    folder, summary = stored(comparison)
    contrasts = CONCLUSIONS.read(folder).contrasts
    written = export_policy(make_plan(comparison), store_of(comparison), summary, contrasts, wanted, to)
    out.print(f"wrote {written}", markup=False, soft_wrap=True)


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
    from bench.config.load import load_comparison
    from bench.export import scalars, trackers
    from bench.gate.finished_run import stored
    from bench.results.conclusions.all import CONCLUSIONS
    from bench.results.records import RECORDS

    comparison = load_comparison(path, overrides=overrides or [])
    results, summary = stored(comparison)
    runs = scalars.tracked_runs(summary, CONCLUSIONS.read(results).contrasts, RECORDS.read(results))
    place = folder or scalars.default_folder(Path(comparison.path), to)
    trackers.track(to, runs, place)
    out.print(f"tracked: {len(runs)} runs in {place}", markup=False, soft_wrap=True)
