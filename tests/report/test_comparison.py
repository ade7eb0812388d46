"""The page of a comparison: what it shows, what it escapes, and that it stands alone."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from reid.report.comparison import write_comparison
from reid.retrieval.comparison import Comparison, compare_queries
from reid.retrieval.query_pairs import ScoredQuery

sync_api = pytest.importorskip("playwright.sync_api")


def compared(paths: list[str]) -> Comparison:
    """Queries of as many people; A is better on all but the last."""
    a = [ScoredQuery(path, pid, 1, 1, 0.9) for pid, path in enumerate(paths, start=1)]
    b = [ScoredQuery(path, pid, 1, 7, 0.4) for pid, path in enumerate(paths, start=1)]
    b[-1] = ScoredQuery(paths[-1], len(paths), 1, 1, 1.0)
    return compare_queries(a, b, name_a="A (new)", name_b="B (old)")


def page_of(comparison: Comparison, folder: Path) -> str:
    return write_comparison(folder / "compare.html", comparison).read_text(encoding="utf-8")


def test_pictures_are_inside_and_a_missing_one_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (32, 64), "red").save(tmp_path / "red.png")

    page = page_of(compared([str(tmp_path / "red.png"), "absent.jpg", "x.jpg"]), tmp_path)

    assert page.count('<img src="data:image/webp;base64,') == 1
    assert 'alt="query red.png"' in page
    assert page.count("no picture</div>") == 2


def test_figures_stand_on_the_page_with_interval_and_p(tmp_path: Path) -> None:
    page = page_of(compared(["1.jpg", "2.jpg", "3.jpg", "4.jpg"]), tmp_path)

    row = re.search(r'<th scope="row">mAP</th>.*?</tr>', page, re.DOTALL)
    assert row is not None
    cells = re.findall(r"<td>(.*?)</td>", row[0])
    # AP: (0.9 * 4) / 4 against (0.4 * 3 + 1.0) / 4; all of a resample's four may be one person, so 50 and -10 bound it.
    assert cells[:3] == ["90.0\N{NO-BREAK SPACE}%", "55.0\N{NO-BREAK SPACE}%", "<strong>+35.0</strong>"]
    assert cells[3].endswith(" to +50.0")
    assert cells[5:] == ["3", "1"]


def test_only_the_queries_that_changed_most_are_shown_and_the_page_says_so(tmp_path: Path) -> None:
    page = page_of(compared([f"{number}.jpg" for number in range(100)]), tmp_path)

    assert "99\N{NO-BREAK SPACE}queries, of which the 24 that changed most are shown." in page
    assert page.count("points of AP") == 24 + 1


def test_names_of_users_are_text_and_nothing_is_loaded(tmp_path: Path) -> None:
    page = page_of(compared(["<script>alert(1)<.jpg", '"><img src=x>.jpg', "c.jpg"]), tmp_path)

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;.jpg" in page
    assert "<img src=x>" not in page
    assert "default-src 'none'" in html.unescape(page)
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_the_page_begins_with_who_is_ahead_and_how_sure_that_is(tmp_path: Path) -> None:
    """Average precision of three people by A, and by B 0.5 for each."""

    def verdict(*precision: float) -> str:
        a, b = (
            [ScoredQuery(f"{pid}.jpg", pid, 1, 1, value) for pid, value in enumerate(side)]
            for side in (precision, [0.5] * len(precision))
        )
        page = page_of(compare_queries(a, b, name_a="A (new)", name_b="B (old)"), tmp_path)
        page = page.replace("\N{NO-BREAK SPACE}", " ")
        return html.unescape(re.findall(r'<p class="lead">(.*?)</p>', page)[0])

    sure = ", and the 95 % interval leaves out zero."
    assert verdict(0.6, 0.6, 0.9) == f"A (new) is ahead by 20.0 points of mAP{sure}"
    assert verdict(0.4, 0.3, 0.2) == f"B (old) is ahead by 20.0 points of mAP{sure}"
    assert verdict(0.9, 0.9, 0.1).endswith(", but other people might turn it round: the 95 % interval holds zero.")
    assert verdict(0.75) == "A (new) is ahead by 25.0 points of mAP, on a single person."
    assert verdict(0.5, 0.5) == "Both have the same mAP."


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")])
def test_the_page_fits_phone_and_desk_in_both_schemes_and_leaves_no_error(
    tmp_path: Path, width: int, scheme: str
) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium: sh infra/test-system.sh installs Debian's")
    complaints: list[str] = []
    Image.new("RGB", (32, 64), "red").save(tmp_path / "red.png")
    paths = [str(tmp_path / "red.png"), *(f"{'long' * 20}{number}.jpg" for number in range(30))]
    address = (tmp_path / "compare.html").as_uri()
    page_of(compared(paths), tmp_path)

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 740}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url))
        page.goto(address)
        wide = page.evaluate("document.documentElement.scrollWidth")
        drawn = page.locator(".changes img").evaluate_all("images => images.map((image) => image.naturalWidth > 0)")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 26)"
        headings = page.get_by_role("heading", level=2).all_inner_texts()
        browser.close()

    asked = [complaint for complaint in complaints if complaint != address and not complaint.startswith("data:")]
    assert (wide, drawn, dark, asked) == (width, [True], scheme == "dark", [])
    assert headings == ["Difference", "Where A gains most", "Where B gains most"]
