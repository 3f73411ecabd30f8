"""``bench doctor``: what is installed here, which devices there are, and what is missing for which feature."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
from importlib import metadata
from pathlib import Path

import typer

from bench.cli.options import JsonOption, example, out, write

commands = typer.Typer()

# The extra of pyproject.toml that each optional package comes with, and what it is needed for.
OPTIONAL = {
    "openai": ("judge", "judges, labellers and verifiers behind an API"),
    "bm25s": ("retrieval", "the retriever bm25, which finds passages to check claims against"),
    "gguf": ("gguf", "GGUF files as a base"),
    "bitsandbytes": ("quant", "weights in 4 or 8 bits (load_in)"),
    "tensorboard": ("track", "bench track --to tensorboard"),
    "wandb": ("track", "bench track --to wandb"),
    "mlflow": ("track", "bench track --to mlflow"),
    "hypothesis": ("dev", "the project's own tests"),
    "playwright": ("dev", "tests of the report in a browser"),
    "trl": ("oracles", "tests and benchmarks against TRL"),
    "statsmodels": ("oracles", "tests of the statistics against another library"),
    "choix": ("oracles", "tests of the rankings against another library"),
}


@commands.command(epilog=example("bench doctor"))
def doctor(as_json: JsonOption = False) -> None:
    """Say what is installed, which devices there are, and what is missing for which feature."""
    facts = examined()
    if as_json:
        write(json.dumps(facts, indent=1) + "\n")
        return
    for title, values in facts.items():
        out.print(f"[bold]{title}[/]")
        for key, value in values.items():
            out.print(f"  {key:<22} {value}", markup=False, soft_wrap=True)


def examined() -> dict[str, dict[str, str]]:
    """Return the state of this machine by heading; no package is loaded for it, only looked for."""
    from bench.engine.processes import accelerators, slots_of_this_machine
    from bench.engine.provenance import processor, versions
    from bench.evaluation.api.ask import OFFLINE_VARIABLE

    devices = accelerators()
    slots = slots_of_this_machine(None)
    offline = [
        name for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", OFFLINE_VARIABLE) if os.environ.get(name) == "1"
    ]
    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    optional = {}
    for name, (extra, use) in OPTIONAL.items():
        there = importlib.util.find_spec(name) is not None
        missing = f"missing; needed for {use}: pip install 'alignment-bench[{extra}]'"
        optional[name] = f"{metadata.version(name)}, for {use}" if there else missing
    return {
        "machine": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processor": processor(),
            "accelerators": ", ".join(f"cuda:{index}" for index in devices) or "none: everything runs on the CPU",
            "stages side by side": str(len(slots)),
        },
        "packages": versions(),
        "optional": optional,
        "hub": {
            "cache": str(cache) if cache.is_dir() else "no cache yet",
            "offline": ", ".join(offline) or "no (models named by `repo:` are downloaded, judges behind an API asked)",
        },
    }
