"""On what a run's stages were computed: processors, kernels and threads, which decide the last digits of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from bench.core.frozen import Frozen

KernelsFrom = Literal["processor", "portable"]
# What a stage recorded of itself, in the provenance of its manifest.
NOT_SET = "not set"  # a variable, which has a capital name, where a library that was not loaded is unknown
PROCESSOR, THREADS, KERNELS, KERNELS_FROM = "processor", "threads", "kernels", "kernels_from"


class ComputedOn(Frozen):
    """What computed a run's stages. Several values stand where stages were computed on several machines.

    ``kernels``: by library, the kind of kernels that it took (``ATen``: DEFAULT, AVX2, AVX512; ``NumPy``: X86_V2 to
    X86_V4), and the variables of the environment that choose kernels, where they were set. ``kernels_from``: whether
    each library chose by the processor, or ``bench run --portable`` for all of them, which is then all that is recorded
    of variables.
    """

    processors: tuple[str, ...] = ()
    kernels: dict[str, tuple[str, ...]] = {}
    kernels_from: KernelsFrom = "processor"
    threads: tuple[str, ...] = ()

    def words(self) -> str:
        """Return the kernels in words, those of libraries before variables."""
        names = sorted(self.kernels, key=lambda name: (name.isupper(), name))
        text = ", ".join(f"{name} {' and '.join(self.kernels[name])}" for name in names)
        return f"{text}; portable, the same on every processor" if self.kernels_from == "portable" else text


def computed_on(provenances: Iterable[Mapping[str, Any]]) -> ComputedOn | None:
    """Return what computed the stages with these provenances, None where no stage recorded its kernels.

    Stages of earlier versions recorded no kernels: beside others they add their processor and threads.
    """
    found = list(provenances)
    kernels: dict[str, set[str]] = {}
    recorded = [one[KERNELS] for one in found if isinstance(one.get(KERNELS), Mapping)]
    if not recorded:
        return None
    for name in {name for one in recorded for name in one}:
        values = [one.get(name, NOT_SET if name.isupper() else None) for one in recorded]
        kernels[name] = {str(value) for value in values if value is not None}
    portable = all(one.get(KERNELS_FROM) == "portable" for one in found)
    return ComputedOn(
        processors=_distinct(found, PROCESSOR),
        kernels={name: tuple(sorted(kernels[name])) for name in sorted(kernels)},
        kernels_from="portable" if portable else "processor",
        threads=_distinct(found, THREADS),
    )


def on_processor(provenance: Mapping[str, Any]) -> ComputedOn:
    """Return the processor alone of a provenance, or of the hardware in a lock."""
    return ComputedOn(processors=_distinct([provenance], PROCESSOR))


def other_arithmetic(now: ComputedOn, then: ComputedOn) -> list[str]:
    """Return how ``now`` differs from ``then``: ``ATen AVX2 then, AVX512 now`` for every difference.

    A library that only one of them loaded is not held against the other; a variable that only one of them set is.
    Portable kernels are those of every processor: between two such runs processor and threads do not count.
    """
    if now.kernels_from != then.kernels_from:
        return [f"kernels chosen by {_chooser(then)} then, by {_chooser(now)} now"]
    pairs = {name: _both(name, then.kernels, now.kernels) for name in now.kernels.keys() | then.kernels.keys()}
    if now.kernels_from == "processor":
        pairs["processor"] = (then.processors, now.processors)
        pairs["threads"] = (then.threads, now.threads)
    return [
        f"{name} {' and '.join(old)} then, {' and '.join(new)} now"
        for name, (old, new) in sorted(pairs.items())
        if old and new and old != new
    ]


def _both(name: str, then: Mapping[str, tuple[str, ...]], now: Mapping[str, tuple[str, ...]]) -> tuple[Any, Any]:
    unknown = (NOT_SET,) if name.isupper() else ()
    return then.get(name, unknown), now.get(name, unknown)


def _chooser(one: ComputedOn) -> str:
    return "--portable" if one.kernels_from == "portable" else "the processor"


def _distinct(provenances: Iterable[Mapping[str, Any]], name: str) -> tuple[str, ...]:
    """Return the distinct values of a fact that is recorded, sorted."""
    return tuple(sorted({str(one[name]) for one in provenances if one.get(name) is not None}))
