"""The page for annotators in a real browser: keys, progress, what it remembers, and what it saves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.evaluation.judges._annotators import read_annotations
from bench.human.exchange import write_page
from bench.human.questions import AnnotatorQuestion

BROWSER = os.environ.get("ALIGNMENT_BENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = '<img src=x onerror="document.title=\'taken\'"></script><script>document.title="taken"</script>'


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("no Chromium: apt-get install chromium, or set ALIGNMENT_BENCH_CHROMIUM")
    questions = [AnnotatorQuestion(f"id{number}", f"ask {number} {EVIL}", EVIL, "plain\ntext") for number in range(4)]
    write_page(questions, tmp_path / "page.html")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        found = browser.new_page()
        found.problems = []
        found.on("pageerror", lambda error: found.problems.append(str(error)))
        found.on(
            "request", lambda request: found.problems.append(request.url) if "page.html" not in request.url else None
        )
        found.goto((tmp_path / "page.html").as_uri())
        yield found
        browser.close()


@pytest.mark.slow
def test_a_person_answers_by_the_keyboard_and_saves(page: Any, tmp_path: Path) -> None:
    assert page.inner_text("#first") == EVIL
    for key in ("1", "2", "t"):
        page.keyboard.press(key)
    assert page.inner_text("#place") == "Question 4 of 4"
    assert page.inner_text("#count") == "3 of 4 answered"
    page.click("#csv")
    assert page.inner_text("#told") == "Write your name or initials first."
    page.fill("#annotator", 'ana "b"')
    page.reload()
    assert page.inner_text("#place") == "Question 4 of 4"
    assert page.input_value("#annotator") == 'ana "b"'
    page.keyboard.press("b")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute('[data-answer="tie"]', "aria-pressed") == "true"
    for kind in ("csv", "json"):
        with page.expect_download() as download:
            page.click(f"#{kind}")
        download.value.save_as(tmp_path / f"answers.{kind}")
        found = {one.question: one.answer for one in read_annotations(tmp_path / f"answers.{kind}")}
        assert found == {"id0": "1", "id1": "2", "id2": "tie", "id3": "both_bad"}
        assert {one.annotator for one in read_annotations(tmp_path / f"answers.{kind}")} == {'ana "b"'}
    assert page.title() == "Which response is better?"
    assert not [problem for problem in page.problems if not problem.startswith("blob:")]


@pytest.mark.slow
def test_the_page_fits_a_telephone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
