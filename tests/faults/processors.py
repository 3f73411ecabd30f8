"""Other processors, emulated by the variables that choose kernels: under ``--portable`` all give the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

from bench.engine.kernels import portable_environment
from bench.engine.store import MANIFEST, PORTABLE_PART
from tests.evaluation.measurements.everything import EVERYTHING, write_everything
from tests.faults.case import Case
from tests.once import ROOT

TITLE = "`--portable` on another processor, emulated: the same bytes"
IN_SUITE = 0  # tests/cli/test_portable.py
WITHOUT_AVX = {
    "ATEN_CPU_CAPABILITY": "default",
    "DNNL_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
}
PROCESSORS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "without AVX": WITHOUT_AVX,
        "with AVX": {**WITHOUT_AVX, "DNNL_MAX_CPU_ISA": "AVX", "MKL_CBWR": "AVX", "OPENBLAS_CORETYPE": "Sandybridge"},
        "with AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
        # Where there is no AVX-512, an ordinary run would die of it.
        "with AVX-512": {
            "ATEN_CPU_CAPABILITY": "avx512",
            "DNNL_MAX_CPU_ISA": "AVX512_CORE",
            "MKL_CBWR": "AVX512",
            "OPENBLAS_CORETYPE": "SkylakeX",
        },
    }
)
# Every way of training and of writing, beside what the comparison has already.
METHODS = """\
  dpo: {beta: 0.1, lr: 0.01, epochs: 2, batch_size: 4}
  dpo_lora: {method: dpo, beta: 0.1, lr: 0.02, epochs: 1, batch_size: 4, lora: {rank: 2}}
  kto: {lr: 0.01, epochs: 1, batch_size: 4}
  ppo: {updates: 2, prompts_per_update: 4, samples: 2, batch_size: 4, epochs: 1, max_new_tokens: 5, lr: 0.01}
  grpo: {updates: 2, prompts_per_update: 4, samples: 2, batch_size: 4, max_new_tokens: 5, lr: 0.01}
  simpo: {lr: 0.01, epochs: 1, batch_size: 4}
  expert_iteration: {n: 2, rounds: 1, lr: 0.01, epochs: 1, batch_size: 4, decoding: {max_new_tokens: 5}}
"""
# Without lm-eval, which asks what each choice is worth as truthfulqa does, and lists the machine's packages every time.
EVERY_STAGE = (
    EVERYTHING.replace("evaluate:\n", f"{METHODS}evaluate:\n", 1)
    .replace("    - {lm_eval: tiny_choice, folder: ../../lm_eval}\n", "")
    .replace("seeds: [0, 1]", "seeds: [0]")
)


def cases() -> list[Case]:
    """Return a training and a whole comparison on every emulated processor."""
    found = [Case(f"a training, {name}", partial(trains_alike, name)) for name in PROCESSORS]
    return [*found, *(Case(f"a comparison, {name}", partial(runs_alike, name)) for name in PROCESSORS)]


def trains_alike(name: str, folder: Path) -> None:
    """Train some weights for some steps on this processor and on another."""
    assert trained(name) == trained(None)


def runs_alike(name: str, folder: Path) -> None:
    """Run a comparison on this processor and on another, and look at every file that a stage or a conclusion wrote."""
    here, there = compared_here(), compared(name, folder)
    assert here.keys() == there.keys()
    assert [file for file in here if here[file] != there[file]] == []


def trained(name: str | None) -> str:
    """Return the digest that this module prints in a process of the emulated processor, or of this one."""
    env = portable_environment(environment(name))
    return printed([sys.executable, "-m", "tests.faults.processors"], env)


@cache
def compared_here() -> dict[str, str]:
    """Return what this processor writes of the comparison."""
    with tempfile.TemporaryDirectory() as folder:
        return compared(None, Path(folder))


def compared(name: str | None, folder: Path) -> dict[str, str]:
    """Return the digests of what a portable run of the comparison writes, times and places left out."""
    place = write_everything(folder, EVERY_STAGE)
    printed([sys.executable, "-m", "bench.cli", "run", str(place), "--portable", "--workers", "1"], environment(name))
    store = place.parent / ".store" / PORTABLE_PART
    payloads = [path for path in store.glob("[!.]*/**/*") if path.is_file() and path.name != MANIFEST]
    concluded = [*place.glob("*.parquet"), place / "contrasts.json"]
    assert payloads
    return {str(path.relative_to(folder)): digest(path.read_bytes()) for path in (*payloads, *concluded)}


def environment(name: str | None) -> dict[str, str]:
    """Return this environment as it were on the processor of that name."""
    ours = {key: value for key, value in os.environ.items() if key not in WITHOUT_AVX}
    return {**ours, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **(PROCESSORS[name] if name else {})}


def printed(command: list[str], env: Mapping[str, str]) -> str:
    """Return what a command prints; it must end well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, cwd=ROOT, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def small_training() -> str:
    """Return a digest of what the libraries compute of some numbers, and of a layer of attention after some steps."""
    import math

    import numpy as np
    import torch

    values = np.random.default_rng(0).standard_normal((60, 60))
    by_numpy = [values @ values.T, np.linalg.solve(values, values.T), np.exp(values), np.tanh(values), np.sin(values)]
    by_libm = [[math.exp(x), math.log(abs(x)), math.pow(abs(x), 1.7), math.sin(x)] for x in values.flat]
    weights = torch.randn(3, 60, 60, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimiser = torch.optim.AdamW([weights], lr=0.01, fused=True)
    rows = torch.from_numpy(values).float()
    for _ in range(10):
        query, key, value = (torch.nn.functional.silu(rows @ one)[None] for one in weights)
        read = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        loss = torch.nn.functional.cross_entropy(read[0], torch.arange(60))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return digest(
        b"".join([np.array(by_numpy).tobytes(), np.array(by_libm).tobytes(), weights.detach().numpy().tobytes()])
    )


if __name__ == "__main__":
    sys.stdout.write(small_training())
