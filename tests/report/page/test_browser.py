"""The page in a real browser: it can be read, searched and steered by keyboard, and runs nothing that it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.report.page.content import Heading, Table
from bench.report.page.html import render_html
from tests.once import made_once
from tests.report.synthetic import PROMPTS, write_synthetic

CHROMIUM = os.environ.get("ALIGNMENT_BENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium: apt-get install chromium, or set ALIGNMENT_BENCH_CHROMIUM"
    ),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Watched:
    """A page, and all that it said or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def shown(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def choose(self, name: str, value: str) -> None:
        self.page.locator(f'#samples [name="{name}"]').select_option(value)

    def count(self) -> int:
        return int(self.shown("#samples .count").split()[0])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = made_once(tmp_path_factory, "reported", write_synthetic)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def opened(chromium: Any, address: str, **settings: Any) -> Watched:
    page = chromium.new_context(**settings).new_page()
    page.set_default_timeout(5000)
    watched = Watched(page)
    page.on("console", lambda said: watched.complaints.append(said.text))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("request", lambda asked: watched.requests.append(asked.url))
    page.goto(address)
    page.wait_for_selector("#samples .browse:not([hidden])")
    return watched


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Watched]:
    watched = opened(chromium, address, viewport={"width": 1280, "height": 900}, color_scheme="light")
    yield watched
    assert watched.complaints == []
    assert [url.partition("#")[0] for url in watched.requests] == [address]
    assert watched.page.evaluate("window.hit") is None
    watched.page.context.close()


def test_search_and_filters_find_prompts(page: Watched) -> None:
    assert page.count() == PROMPTS
    page.page.fill('#samples [name="search"]', "person 11")
    assert page.count() == 1
    assert "Where was person 11 born?" in page.shown(".sample .turn")
    page.page.fill('#samples [name="search"]', "")
    page.choose("kind", "request")
    assert page.count() == 20
    page.choose("kind", "")
    page.choose("show", "same")
    assert page.count() == 2  # q011 and q012 are answered alike
    page.choose("show", "left")
    left = page.count()
    page.choose("show", "right")
    assert 0 < page.count() < left < PROMPTS
    page.choose("show", "unsupported")
    assert page.count() == 1
    page.choose("show", "all")
    page.page.fill('#samples [name="search"]', "nothing like it")
    assert page.count() == 0
    assert "No prompt is like that" in page.shown(".sample")


def test_responses_stand_side_by_side_with_their_differences_verdicts_scores_and_claims(page: Watched) -> None:
    page.page.fill('#samples [name="search"]', "person 2 ")
    page.choose("right", "base")
    assert page.page.locator(".sample .answer").count() == 2
    assert [mark.inner_text() for mark in page.page.locator(".sample mark").all()] == ["Lima,", "Rome,"]
    page.choose("right", "")
    assert page.page.locator(".sample .answer h4 span").all_inner_texts() == ["dpo", "base", "sft", "dpo_again"]
    page.choose("right", "sft")
    page.page.fill('#samples [name="search"]', "person 11 ")
    verdicts, scores = page.page.locator(".sample table").all()
    assert "I prefer the first answer." in verdicts.inner_text()
    assert "factual error rate" in scores.inner_text()
    page.choose("seed", "1")
    assert "unparsed" in page.page.locator(".sample table").first.inner_text()
    claims = page.page.locator(".sample .answer").first.locator(".claims li").all_inner_texts()
    assert [claim.split("\n")[0] for claim in claims] == ["supported In the north", "not supported in 1900"]
    underlined = page.page.locator(".sample .answer").first.locator(".plain .not_supported")
    assert underlined.inner_text() == "in 1900"


def test_the_keyboard_steers(page: Watched) -> None:
    first = page.shown(".sample .step b")
    page.page.keyboard.press("j")
    second = page.shown(".sample .step b")
    assert second != first
    page.page.keyboard.press("k")
    assert page.shown(".sample .step b") == first
    page.page.keyboard.press("/")
    assert page.page.evaluate("document.activeElement.name") == "search"
    page.page.keyboard.type("jk")
    assert page.page.input_value('#samples [name="search"]') == "jk"
    page.page.fill('#samples [name="search"]', "")
    page.page.locator("#samples [role=listbox]").focus()
    page.page.keyboard.press("ArrowDown")
    assert page.shown(".sample .step b") == second
    page.page.keyboard.press("End")
    assert page.shown(".sample .step span") == f"{PROMPTS} / {PROMPTS}"
    page.page.reload()
    page.page.wait_for_selector("#samples .browse:not([hidden])")
    assert page.shown(".sample .step span") == f"{PROMPTS} / {PROMPTS}"
    page.requests.pop()


def test_the_first_tab_skips_to_the_results(page: Watched) -> None:
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("location.hash") == "#results"


def test_what_was_planted_is_shown_and_does_not_run(page: Watched) -> None:
    for number in ("0", "1"):
        page.page.fill('#samples [name="search"]', f"q00{number}")
        for left in ("base", "sft", "dpo", "dpo_again"):
            page.choose("left", left)
            page.choose("right", "")
    page.page.fill('#samples [name="search"]', "q000")
    text = page.shown(".sample .answers")
    for part in (
        "<script>window.hit=1</script>",
        "<img src=x onerror=",
        "<svg onload=",
        "\u27e8U+202E\u27e9",
        "\u27e8U+2028\u27e9",
    ):
        assert part in text
    assert page.page.locator(".sample :is(script, img, iframe, svg, b[onmouseover])").count() == 0
    page.page.locator(".sample .words").first.hover()


def test_the_theme_can_be_chosen(page: Watched) -> None:
    def background() -> str:
        return str(page.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.page.click("#theme")
    assert page.shown("#theme span") == "light"
    assert background() == light
    page.page.click("#theme")
    assert page.shown("#theme span") == "dark"
    dark = background()
    assert dark != light
    page.page.emulate_media(color_scheme="dark")
    page.page.click("#theme")
    assert page.shown("#theme span") == "system"
    assert background() == dark


def test_a_fold_opens_by_a_click_and_all_of_them_for_paper(page: Watched) -> None:
    page.page.locator("#further-metrics summary").first.click()
    assert page.page.locator("#further-metrics details table").first.is_visible()
    assert page.page.locator("main details:not([open])").count() > 0
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.page.locator("main details:not([open])").count() == 0


def test_a_long_table_can_be_filtered(chromium: Any, tmp_path: Path) -> None:
    rows = tuple((f"metric {number}", "dpo" if number % 2 else "sft") for number in range(30))
    blocks = [Heading(1, "Long"), Heading(2, "Table"), Table(("metric", "method"), "ll", rows)]
    (tmp_path / "long.html").write_text(render_html("Long", blocks, tmp_path), encoding="utf-8")
    page = chromium.new_context().new_page()
    page.goto((tmp_path / "long.html").as_uri())
    page.fill(".filter input", "dpo metric 1")
    assert page.locator("tbody tr:visible").count() == 7  # 1, 11, 13, 15, 17, 19, 21
    page.context.close()


def test_a_long_cell_is_no_tower_on_a_phone(chromium: Any, tmp_path: Path) -> None:
    rows = (("dpo", "0.5", "0.7", "undecided", "fewer than 10% of the pairs lie on one side of equal length"),)
    blocks = [Heading(1, "Long"), Heading(2, "Table"), Table(("a", "b", "c", "d", "rests on"), "lrrll", rows)]
    (tmp_path / "long.html").write_text(render_html("Long", blocks, tmp_path), encoding="utf-8")
    page = chromium.new_context(viewport={"width": 390, "height": 844}).new_page()
    page.goto((tmp_path / "long.html").as_uri())
    assert page.evaluate("document.querySelector('tbody tr').offsetHeight") < 70
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_sideways_scrolling(chromium: Any, address: str, scheme: str) -> None:
    phone = opened(chromium, address, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.complaints == []
    phone.page.context.close()


def test_without_scripts_everything_but_the_responses_is_there(chromium: Any, address: str) -> None:
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(address)
    assert "bench show" in page.locator("#samples").inner_text()
    assert page.locator("#verdicts strong").count() == 4
    page.context.close()
