"""Fixing the kernels of numerical libraries, and keeping what they computed apart from what others did."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.engine.execute import execute
from bench.engine.kernels import PORTABLE, chosen_by_hand, kernels, portable_environment
from bench.engine.provenance import provenance
from bench.engine.store import PORTABLE_PART, Store, read_manifest
from bench.results.computed_on import computed_on
from tests.fakes import Number
from tests.faults.processors import PROCESSORS


@pytest.mark.parametrize("variables", PROCESSORS.values(), ids=PROCESSORS)
def test_a_portable_environment_is_the_same_from_every_processor(variables: dict[str, str]) -> None:
    plain = portable_environment({"HOME": "/h"})
    assert portable_environment({"HOME": "/h", **variables}) == plain
    assert portable_environment(plain) == plain  # so a program that was started anew in it does not start again


def test_it_keeps_what_chooses_no_kernels() -> None:
    given = {"GLIBC_TUNABLES": "glibc.malloc.check=1:glibc.cpu.hwcaps=-AVX", "MKL_ENABLE_INSTRUCTIONS": "AVX512"}
    found = portable_environment(given)
    assert found["GLIBC_TUNABLES"].startswith("glibc.malloc.check=1:glibc.cpu.hwcaps=-AVX2,-FMA,")
    assert found["GLIBC_TUNABLES"].count("hwcaps") == 1
    assert "MKL_ENABLE_INSTRUCTIONS" not in found
    assert (found["OMP_NUM_THREADS"], found["CUDA_VISIBLE_DEVICES"]) == ("1", "")


@pytest.mark.parametrize(("name", "value"), [("machine", "aarch64"), ("machine", "arm64")])
def test_where_the_variables_mean_nothing_it_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setattr(platform, name, lambda: value)
    with pytest.raises(BenchError, match=f"--portable .* this is {value}"):
        portable_environment({})


def test_kernels_are_told_as_far_as_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name in PORTABLE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    assert kernels()["ATen"] == torch.backends.cpu.get_cpu_capability()
    assert kernels().keys() == {"ATen", "NumPy"}
    assert chosen_by_hand()["MKL_CBWR"] == "AVX2"
    assert provenance()["kernels"]["MKL_CBWR"] == "AVX2"


def test_threads_are_those_of_torch_where_nobody_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert provenance()["threads"] == str(torch.get_num_threads())
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert provenance()["threads"] == "3"


def test_a_store_keeps_what_portable_kernels_computed_apart(tmp_path: Path) -> None:
    store, stage = Store(tmp_path / ".store"), Number(value=3, journal=str(tmp_path / "journal"))
    for one in (store, store.portable):
        assert one.find(stage) is None
        assert execute(stage, one, "cpu", lambda _: None, print)
        assert not execute(stage, one, "cpu", lambda _: None, print)
    plain, portable = (read_manifest(one.place(stage)).provenance for one in (store, store.portable))
    assert store.portable.place(stage) == tmp_path / ".store" / PORTABLE_PART / stage.KIND / stage.key
    assert (plain.get("kernels_from"), portable["kernels_from"]) == (None, "portable")
    assert not any(name.isupper() for name in portable["kernels"])  # these are the program's own
    mixed = computed_on([plain, portable])
    assert mixed is not None
    assert mixed.kernels_from == "processor"  # not all of it is portable


def test_both_parts_of_a_store_share_the_answers_that_were_paid_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.portable.portable.root == store.portable.root
    assert store.portable.answers == store.answers == tmp_path / ".answers"
