"""Every plug-in's paper is in the bibliography, and a report cites what its comparison rests on."""

import re
from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.plugins import METHOD, find, listing
from bench.report.references import ARXIV, as_bibtex, bibliography, citations, cited, ids_in, plain
from tests.report.synthetic import comparison
from tests.whole import write_whole

ROOT = Path(__file__).resolve().parents[2]


def test_every_method_cites_a_paper_of_the_bibliography() -> None:
    known = {entry.fields.get("eprint") for entry in bibliography().values()}
    for name, entry in listing(METHOD).items():
        source = Path(__file__).resolve().parents[2] / "methods" / f"{name}.py"
        ids = set(ARXIV.findall(source.read_text()))
        if name in {"base", "policy", "outputs"}:  # what is as it is is nobody's invention
            assert not ids
            continue
        assert ids, f"methods/{name}.py cites no paper (arXiv:NNNN.NNNNN in the documentation of the file)"
        assert ids <= known, f"bench/report/references.bib lacks {sorted(ids - known)} of methods/{name}.py"
        assert entry.cls.__module__ == f"methods.{name}"


@pytest.mark.parametrize("folder", ["bench/evaluation/judges", "bench/statistics", "tasks"])
def test_every_paper_of_judges_tasks_and_statistics_is_there(folder: str) -> None:
    known = {entry.fields.get("eprint") for entry in bibliography().values()}
    for path in (ROOT / folder).glob("*.py"):
        assert set(ARXIV.findall(path.read_text())) <= known, path


def test_entries_are_whole_and_keys_differ() -> None:
    text = (ROOT / "bench" / "report" / "references.bib").read_text()
    entries = bibliography()
    assert len(entries) == len(re.findall(r"^@", text, re.MULTILINE))
    assert len({entry.fields["eprint"] for entry in entries.values() if "eprint" in entry.fields}) == len(
        [entry for entry in entries.values() if "eprint" in entry.fields]
    )
    for key, entry in entries.items():
        assert {"title", "author", "year"} <= entry.fields.keys(), key
        assert ("eprint" in entry.fields) or ("journal" in entry.fields), key
        assert entry.bibtex.count("{") == entry.bibtex.count("}"), key
        assert entry.fields["year"] in entry.as_text()


def test_a_comparison_cites_its_methods_and_its_statistics(tmp_path: Path) -> None:
    found = {item.entry.key: item.used_by for item in citations(load_comparison(write_whole(tmp_path)))}
    assert "dpo" in found["rafailov2023dpo"]
    assert "sft" in found["ouyang2022instructgpt"]
    assert "holm1979simple" in found
    several = {item.entry.key for item in citations(comparison())}
    assert "weerahandi1993generalized" in several
    assert "miller2024errorbars" not in several


def test_an_unknown_paper_is_cited_by_its_address() -> None:
    entry = cited("2999.12345")
    assert entry.key == "arxiv299912345"
    assert "eprint = {2999.12345}" in entry.bibtex
    assert "arXiv:2999.12345" in entry.as_text()


def test_accents_and_braces_become_plain_text() -> None:
    assert plain(r"{\"U}st{\"u}n and Gall{\'e}: {DPO} 1--2") == "Üstün and Gallé: DPO 1–2"
    assert bibliography()["dubois2024lengthcontrolled"].as_text().startswith("Dubois et al. (2024): Length-Controlled")


def test_bibtex_of_several_entries_parses_again() -> None:
    entries = [cited("2305.18290"), cited("2203.02155")]
    text = as_bibtex(entries)
    assert text.endswith("}\n")
    assert re.findall(r"^@misc\{(\w+),$", text, re.MULTILINE) == [entry.key for entry in entries]


def test_ids_come_from_the_file_and_the_class() -> None:
    assert ids_in(find(METHOD, "dpo")())[0] == "2305.18290"
