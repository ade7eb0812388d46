"""The page in a real browser, Debian's Chromium: it sorts, filters, enlarges, obeys the keyboard, and loads nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import oracles
from tests.report.pages import many_classes, named, write
from tests.retrieval.scenes import Scene, scattered

sync_api = pytest.importorskip("playwright.sync_api")
Page = Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: sh infra/test-system.sh installs Debian's"),
]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """40 queries of 5 people under 3 cameras; identity 6 of the last query is nobody's in the gallery."""
    scene = named(scattered(5, queries=40, gallery=60))
    scene.query.pids[-1] = 6
    return scene


@pytest.fixture(scope="module")
def precision(scene: Scene) -> list[float]:
    """Average precision of each query, by plain loops."""
    return [oracles.average_precision([right for _, right in found]) for found in scene.oracle_lists()]


@pytest.fixture(scope="module")
def address(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write(path, scene)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A page of the browser that fails a test which leaves an error or asked for anything but its file."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._request)
        self._address = address
        self.page.goto(address)

    def __enter__(self) -> Page:
        return self.page

    def __exit__(self, *error: object) -> None:
        self.context.close()
        if error[0] is None:
            assert self.complaints == []

    def _request(self, request: Any) -> None:
        if request.url != self._address and not request.url.startswith("data:"):
            self.complaints.append(f"asked for {request.url}")


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Page]:
    with Watched(browser, address) as page:
        yield page


def _names(page: Page) -> list[str]:
    return page.locator(".row .name").all_text_contents()


def _expected(scene: Scene, rows: list[int]) -> list[str]:
    return [Path(scene.query.paths[row]).name for row in rows]


def _status(page: Page) -> str:
    return page.locator("#status").inner_text().replace("\N{NO-BREAK SPACE}", " ")


def test_the_worst_queries_come_first_and_the_page_says_so(page, scene, precision):
    order = sorted(range(40), key=lambda row: (np.nan_to_num(precision[row], nan=2), row))
    assert _names(page) == _expected(scene, order[:25])
    assert _status(page) == "25 of 40 queries shown, worst AP first."


def test_best_first_puts_queries_without_a_match_last(page, scene, precision):
    page.select_option("#order", "best")
    page.click("#more")
    order = sorted(range(40), key=lambda row: (-np.nan_to_num(precision[row], nan=-1), row))
    assert _names(page) == _expected(scene, order)
    assert "not scored: no match in the gallery" in page.locator(".row").last.inner_text()


def test_show_more_draws_the_rest_and_goes_on_from_there_by_keyboard(page):
    page.focus("#more")
    page.keyboard.press("Enter")
    assert page.locator(".row").count() == 40
    assert page.locator("#more").is_hidden()
    assert page.evaluate("[...document.querySelectorAll('.row')].indexOf(document.activeElement.closest('.row'))") == 25


def test_filters_by_camera_and_identity_leave_only_those(page, scene):
    page.select_option("#camera", "2")
    page.fill("#pid", "3")
    wanted = [row for row in range(40) if scene.query.camids[row] == 2 and scene.query.pids[row] == 3]
    assert wanted
    assert sorted(_names(page)) == sorted(_expected(scene, wanted))
    assert _status(page).endswith("of 40 listed.")
    page.fill("#pid", "0003")  # as file names write it
    assert len(_names(page)) == len(wanted)
    page.fill("#pid", "77")
    assert _status(page) == "No query fits these filters."
    page.click("text=Show all")
    page.wait_for_selector(".row")  # a form is reset before its fields are read again
    assert _status(page).startswith("25 of 40 queries")


def test_the_result_filter_finds_what_was_missed(page, scene):
    first = [found[0][1] for found in scene.oracle_lists()]
    page.select_option("#result", "unscored")
    assert _names(page) == _expected(scene, [39])
    page.select_option("#result", "hit")
    assert sorted(_names(page)) == sorted(_expected(scene, [row for row in range(40) if first[row]]))


def test_right_and_wrong_differ_by_colour_shape_and_word(page):
    def look(kind: str) -> tuple[str, str, str, str]:
        frame = page.locator(f"#rows .picture.is-{kind}").first
        style = "(e, [what]) => getComputedStyle(e)[what]"
        mark = frame.locator(".mark")
        return (
            frame.evaluate(style, ["borderTopColor"]),
            frame.evaluate(style, ["borderTopStyle"]),
            mark.evaluate(style, ["borderTopLeftRadius"]),
            frame.locator(".hidden").text_content(),
        )

    assert look("right") == ("rgb(0, 122, 88)", "solid", "50%", "right")
    assert look("wrong") == ("rgb(192, 10, 30)", "dashed", "3px", "wrong")


def test_a_click_enlarges_arrows_move_and_escape_returns(page):
    viewer, title = page.locator("#viewer"), page.locator("#viewer-other-words")
    third = page.locator(".row").first.locator(".tile").nth(3)
    third.click()
    assert viewer.is_visible()
    assert title.inner_text().startswith("Rank 3:")
    page.keyboard.press("ArrowRight")
    assert title.inner_text().startswith("Rank 4:")
    page.keyboard.press("ArrowDown")
    second = page.locator(".row .name").nth(1).text_content()
    assert second in page.locator("#viewer-query-words").inner_text()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert viewer.is_hidden()
    assert third.evaluate("tile => tile === document.activeElement")


def test_the_enlarged_picture_is_larger_and_has_a_text(page):
    small = page.locator(".row .tile img").nth(1).bounding_box()["height"]
    page.locator(".row .tile").nth(1).click()
    image = page.locator("#viewer-other img")
    assert image.bounding_box()["height"] > 2 * small
    assert image.get_attribute("alt").startswith("Gallery: identity ")


def test_past_the_drawn_queries_the_viewer_goes_on_and_focus_follows(page):
    page.locator(".row").nth(24).locator(".tile").first.click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    page.wait_for_function("!document.activeElement.closest('dialog') && document.querySelectorAll('.row').length > 25")
    assert page.evaluate("[...document.querySelectorAll('.row')].indexOf(document.activeElement.closest('.row'))") == 25


def test_each_query_is_one_stop_of_tab_and_arrows_go_along_it(page):
    tiles = page.locator(".row").first.locator(".tile")
    tiles.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert tiles.nth(2).evaluate("tile => tile === document.activeElement")
    assert tiles.nth(2).evaluate("tile => getComputedStyle(tile).outlineStyle") == "solid"  # the focus can be seen
    page.keyboard.press("Enter")
    assert page.locator("#viewer-other-words").inner_text().startswith("Rank 2:")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("[...document.querySelectorAll('.row')].indexOf(document.activeElement.closest('.row'))") == 1


def test_every_control_has_a_name_and_every_picture_a_text(page):
    assert page.locator("img:not([alt]), svg[role=img]:not([aria-label])").count() == 0
    for control in page.locator("select, input").all():
        assert control.evaluate("control => control.labels.length") == 1
    assert page.locator("table th:not([scope])").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_of_360_pixels_needs_no_sideways_scrolling(browser, address, scheme):
    options = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme, "has_touch": True}
    with Watched(browser, address, **options) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.locator(".row .tile").nth(1).tap()
        box = page.locator("#viewer").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(browser, address, scheme):
    with Watched(browser, address, color_scheme=scheme) as page:
        colours = page.evaluate(
            """() => {
                const seen = getComputedStyle(document.documentElement);
                const names = ["page", "surface", "ink", "muted", "accent", "right", "wrong", "on-mark", "warm"];
                return Object.fromEntries(names.map((name) => [name, seen.getPropertyValue("--" + name).trim()]));
            }"""
        )
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(19, 22, 26)") == (scheme == "dark")
    for front in ("ink", "muted", "accent"):
        for back in ("page", "surface"):
            assert _contrast(colours[front], colours[back]) >= 4.5, (front, back)
    for back in ("right", "wrong"):
        assert _contrast(colours["on-mark"], colours[back]) >= 4.5, back
    for shape in ("right", "wrong", "accent", "warm"):
        assert _contrast(colours[shape], colours["page"]) >= 3, shape


def _contrast(one: str, other: str) -> float:
    """Contrast of two #rrggbb colours. Source: WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_print_leaves_out_the_controls_and_is_black_on_white(browser, address):
    with Watched(browser, address, color_scheme="dark") as page:
        page.emulate_media(media="print")
        assert page.locator("#controls").is_hidden()
        assert page.locator(".row").first.is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_nothing_moves_for_those_who_asked_for_that(browser, address):
    seen = "getComputedStyle(document.querySelector('.tile .picture')).transitionDuration"
    with Watched(browser, address, reduced_motion="reduce") as page:
        assert page.evaluate(seen) == "0s"


def test_labels_that_look_like_markup_stay_text(browser, tmp_path):
    attack = "<img src=x onerror=document.title='caught'>"
    scene = scattered(3)
    scene = replace(scene, query=replace(scene.query, paths=(attack,) * 12))
    write(tmp_path / "report.html", scene, title=attack)
    with Watched(browser, (tmp_path / "report.html").as_uri()) as page:
        page.locator(".row .tile").first.click()
        assert page.title() == attack
        assert page.locator("h1").inner_text() == attack
        assert page.locator(".row .name").first.inner_text() == attack


def test_without_scripts_the_figures_are_there_and_the_lists_are_explained(browser, address):
    with Watched(browser, address, java_script_enabled=False) as page:
        assert page.locator(".cards .value").count() == 9
        assert page.locator("noscript").is_visible()


@pytest.fixture(scope="module")
def class_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of 40 classes with names as long as products have."""
    path = tmp_path_factory.mktemp("classes") / "report.html"
    names = {pid: f"Unsweetened organic product number {pid}" for pid in range(1, 41)}
    write(path, many_classes(40), names=names, exclude="none")
    return path.as_uri()


def test_the_table_of_classes_sorts_by_a_click_and_turns_round_by_another(browser, class_address):
    with Watched(browser, class_address) as page:
        assert page.locator("[data-picture] img").count() == 36  # 12 examples
        column = "[...document.querySelectorAll('#class-table tbody tr')].map((row) => row.cells[5].dataset.value)"
        heading = page.locator("#class-table th", has_text="queries")
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
        assert page.evaluate(column) == sorted(page.evaluate(column), key=int)
        heading.locator("button").click()
        assert page.evaluate(column) == sorted(page.evaluate(column), key=int, reverse=True)
        page.locator("#class-table th button", has_text="class").first.click()
        assert page.locator("#class-table tbody th").nth(1).inner_text().endswith("number 2")


def test_classes_are_found_by_a_part_of_their_names(browser, class_address):
    with Watched(browser, class_address) as page:
        page.fill("#pid", "NUMBER 7")
        names = page.locator(".row h3").all_text_contents()
        assert set(names) == {"Unsweetened organic product number 7"}
        assert page.locator("#camera").is_hidden()
        page.locator(".row .tile").nth(1).click()
        assert "P(same class)" in page.locator("#viewer-other-words").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_of_classes_fits_a_phone(browser, class_address, scheme):
    options = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme, "has_touch": True}
    with Watched(browser, class_address, **options) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
