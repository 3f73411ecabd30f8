"""Which kernels the numerical libraries of this process take, and how ``bench run --portable`` fixes them.

ATen, MKL, oneDNN, OpenBLAS, NumPy, Arrow and the C library each look at the processor when they are loaded and take
the fastest kernels that it can run. These add in another order and fuse other operations, so that equal stages give
other last digits on another processor. Each reads a variable that sets a bound; set to what every x86-64 processor
of the last fifteen years has (SSE4.2), all of them compute alike. The C library reads its variable before a process
runs any code of its own, so they are set for a process that is to be started.

Sources: ATen/native/DispatchStub.cpp (``ATEN_CPU_CAPABILITY``); oneDNN developer guide, CPU dispatcher control
(``ONEDNN_MAX_CPU_ISA``, earlier ``DNNL_``); oneMKL developer guide, conditional numerical reproducibility
(``MKL_CBWR``); OpenBLAS, runtime variables (``OPENBLAS_CORETYPE``); NumPy, CPU build options
(``NPY_DISABLE_CPU_FEATURES``); Arrow, environment variables (``ARROW_USER_SIMD_LEVEL``); glibc manual, hardware
capability tunables (``glibc.cpu.hwcaps``; before glibc 2.33 names end in ``_Usable``, and unknown ones are ignored).
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping

from bench.core.errors import BenchError

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MKL_INSTRUCTIONS = "MKL_ENABLE_INSTRUCTIONS"
GLIBC = "GLIBC_TUNABLES"
GLIBC_HWCAPS = "glibc.cpu.hwcaps"
# The variants of exp, log, pow, sin and their like that libm has beside the plain ones are chosen by these.
LIBM_FEATURES = ("AVX2", "FMA", "FMA4", "AVX512F")
# Those of NumPy since 2.4, and those of before; the ones that a version does not know are ignored.
NUMPY_LEVELS = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
NUMPY_SETS = "AVX F16C XOP FMA4 FMA3 AVX2 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"
PORTABLE: Mapping[str, str] = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "DNNL_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Nehalem",
    "ARROW_USER_SIMD_LEVEL": "NONE",
    "NPY_DISABLE_CPU_FEATURES": f"{NUMPY_LEVELS} {NUMPY_SETS}",
}
CHOOSERS = (*PORTABLE, MKL_INSTRUCTIONS, GLIBC)


def kernels() -> dict[str, str]:
    """Return the kinds of kernels that the libraries of this process take, as far as these are loaded and tell it.

    MKL, oneDNN and the C library tell nothing: of these the processor's name and ``chosen_by_hand`` are all that is
    known.
    """
    found = {}
    if "torch" in sys.modules:
        found["ATen"] = str(sys.modules["torch"].backends.cpu.get_cpu_capability())
    if "numpy" in sys.modules:
        known = sys.modules["numpy"].show_config("dicts").get("SIMD Extensions", {})
        used = [*known.get("baseline", []), *known.get("found", [])]  # the least first
        found["NumPy"] = str(used[-1]) if used else "plain"
    return found


def chosen_by_hand() -> dict[str, str]:
    """Return the variables of this process's environment that choose kernels, where they are set."""
    return {name: os.environ[name] for name in CHOOSERS if os.environ.get(name)}


def portable_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which a process computes as on any x86-64 processor: on the CPU, with one thread.

    Equal to ``given`` where that is one already. Raises BenchError where the variables mean nothing.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise BenchError(
            f"--portable fixes the kernels of x86-64 processors under Linux, and this is {platform.machine()} under "
            f"{platform.system()}. Leave it away: what a run was computed on stands in lock.json."
        )
    kept = {name: value for name, value in given.items() if name != MKL_INSTRUCTIONS}
    fixed = {**PORTABLE, **dict.fromkeys(ONE_THREAD, "1"), GLIBC: _tunables(given.get(GLIBC, ""))}
    return {**kept, **fixed, "CUDA_VISIBLE_DEVICES": ""}


def _tunables(given: str) -> str:
    """Return the tunables of the C library with its processor's features fixed; other tunables stay."""
    kept = [part for part in given.split(":") if part and not part.startswith(f"{GLIBC_HWCAPS}=")]
    names = [f"-{name}{end}" for end in ("", "_Usable") for name in LIBM_FEATURES]
    return ":".join([*kept, f"{GLIBC_HWCAPS}={','.join(names)}"])
