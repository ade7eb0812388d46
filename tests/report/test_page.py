"""The page says what the ranking says, holds all it needs, and never grows too large."""

import base64
import hashlib
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from reid.report.contents import fill
from reid.report.page import LARGEST_PAGE
from reid.report.thumbnails import open_file
from reid.retrieval.embeddings import Embeddings
from tests import oracles
from tests.report.pages import lists_in, measured, named, noise, plain, words_in, write
from tests.retrieval.scenes import Scene, at_ranks, on_a_line, scattered


def _crowd(queries: int, gallery: int) -> Scene:
    """Random people seen by six cameras."""
    rng = np.random.default_rng(0)

    def side(count: int) -> Embeddings:
        return Embeddings(
            rng.normal(size=(count, 8)).astype(np.float32), rng.integers(1, 751, count), rng.integers(1, 7, count)
        )

    return named(Scene(side(queries), side(gallery), l2_normalise=True))


def test_the_lists_hold_the_nearest_images_of_each_query_in_order(tmp_path):
    scene = named(scattered(3))
    data = lists_in(write(tmp_path / "report.html", scene))
    expected = scene.oracle_lists()
    assert sorted(query["row"] for query in data["queries"]) == list(range(12))
    for query in data["queries"]:
        nearest = expected[query["row"]][:10]
        names = [data["gallery"]["name"][g] for g in query["tiles"]["gallery"]]
        assert names == [scene.gallery.paths[g].removeprefix("pictures/") for g, _ in nearest]
        assert query["tiles"]["right"] == "".join("1" if right else "0" for _, right in nearest)
        ap = oracles.average_precision([right for _, right in expected[query["row"]]])
        assert query["ap"] == (None if np.isnan(ap) else pytest.approx(ap, abs=1e-4))


def test_each_picture_is_that_of_its_path(tmp_path):
    scene = named(scattered(3))
    data = lists_in(write(tmp_path / "report.html", scene))
    for name, position in zip(data["gallery"]["name"], data["gallery"]["picture"], strict=True):
        with Image.open(io.BytesIO(base64.b64decode(data["pictures"][position]))) as picture:
            difference = np.asarray(picture, int) - np.asarray(plain(f"pictures/{name}"), int)
        assert abs(difference).max() < 12  # WebP keeps a plain colour nearly


def test_an_image_that_many_queries_found_is_stored_once(tmp_path):
    scene = named(on_a_line([(1, 7, 2), (2, 9, 2)], query=[(7, 1)] * 5))
    assert len(lists_in(write(tmp_path / "report.html", scene))["pictures"]) == 5 + 2


def test_a_first_match_at_rank_14_is_shown_behind_ten_wrong_ones(tmp_path):
    (query,) = lists_in(write(tmp_path / "report.html", named(at_ranks(14, size=20))))["queries"]
    assert query["tiles"]["right"] == "0" * 10
    assert (query["first"], query["later"]["rank"], query["later"]["distance"]) == (14, 14, 14**2)


def test_a_match_nearer_than_a_thousand_others_is_not_called_certain(tmp_path):
    scene = named(on_a_line([(0, 7, 2), *[(1000, 9, 2)] * 1000]))
    (query,) = lists_in(write(tmp_path / "report.html", scene))["queries"]
    # One of 1,000 different pairs is put at the nearest, the one same pair at the farthest: 1000/1001, and 1/2.
    assert query["tiles"]["same"] == [">99", *["50"] * 9]


def test_a_match_among_the_first_ten_needs_no_further_tile(tmp_path):
    (query,) = lists_in(write(tmp_path / "report.html", named(at_ranks(10, size=20))))["queries"]
    assert query["tiles"]["right"] == "0" * 9 + "1"
    assert query["later"] is None


def test_figures_stand_in_per_cent_with_their_intervals_in_brackets(tmp_path):
    scene = named(scattered(3))
    _, evaluation = measured(scene)
    low, high = evaluation.intervals["mAP"]
    words = words_in(write(tmp_path / "report.html", scene))
    assert f"mAP{100 * evaluation.metrics.mean_ap:.1f} %[{100 * low:.1f}, {100 * high:.1f}]" in words.replace("> ", "")


def test_queries_without_a_match_are_counted_apart(tmp_path):
    scene = named(on_a_line([(1, 7, 2), (2, 9, 2)], query=[(7, 1), (5, 1), (6, 1)]))
    page = write(tmp_path / "report.html", scene)
    assert "1 of 3 queries scored. 2 queries have no match in the gallery and count in no figure." in words_in(page)
    assert [query["ap"] for query in lists_in(page)["queries"]] == [1.0, None, None]


def test_protocol_and_title_are_on_the_page(tmp_path):
    page = write(
        tmp_path / "report.html",
        named(scattered(3)),
        title="Tuesday's model",
        protocol={"average_precision": "trapezoid", "re_ranking": "on"},
    )
    assert "<dt>average precision</dt><dd>trapezoid</dd>" in page
    assert "<dt>re-ranking</dt><dd>on</dd>" in page
    assert "Tuesday&#39;s model" in page


def test_paths_and_titles_cannot_become_markup(tmp_path):
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(2)>.jpg"
    scene = scattered(3)
    query = replace(scene.query, paths=(attack,) * 12)
    gallery = replace(scene.gallery, paths=tuple(f"{row}{attack}" for row in range(40)))
    page = write(
        tmp_path / "report.html", replace(scene, query=query, gallery=gallery), title=attack, protocol={attack: attack}
    )
    assert page.count("<script") == 2  # the data and the script of the page
    assert page.count("</script>") == 2
    assert "<img src=x" not in page
    assert {query["name"] for query in lists_in(page)["queries"]} == {"script><img src=x onerror=alert(2)>.jpg"}


def test_only_the_script_of_the_page_may_run_and_nothing_may_be_loaded(tmp_path):
    page = write(tmp_path / "report.html", named(scattered(3)))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not re.search(r"https?://|@import|url\(", page)


def test_without_paths_plates_stand_for_pictures_and_the_page_says_so(tmp_path):
    page = write(tmp_path / "report.html", scattered(3))
    assert lists_in(page)["pictures"] == []
    assert "the embeddings do not say where their images are" in words_in(page)


def test_files_that_are_missing_are_counted(tmp_path):
    scene = named(on_a_line([(1, 7, 2), (2, 9, 2)]))
    page = write(tmp_path / "report.html", scene, images=lambda path: None if path.endswith("g1.jpg") else plain(path))
    assert "1 image file could not be read" in words_in(page)
    assert sorted(lists_in(page)["gallery"]["picture"])[0] == -1


def test_pictures_are_read_from_their_files_by_default(tmp_path):
    plain("a").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert open_file(str(tmp_path / "a.png")).size == (32, 64)
    assert [open_file(path) for path in (str(tmp_path / "b.png"), str(tmp_path / "c.png"), "a\0b")] == [None] * 3


def test_a_page_without_a_pair_of_different_people_gives_no_rates(tmp_path):
    page = write(tmp_path / "report.html", named(on_a_line([(1, 7, 2), (2, 7, 3)])))
    assert "No rates can be given" in words_in(page)


def test_3368_queries_with_incompressible_pictures_stay_below_15_mb(tmp_path):
    page = write(tmp_path / "report.html", _crowd(3368, 2000), images=noise)
    assert 0.8 * LARGEST_PAGE < len(page.encode()) < LARGEST_PAGE
    data = lists_in(page)
    assert len(data["queries"]) == 3368
    pictured, worst, spread = _counts(words_in(page))
    assert 0 < spread < worst < pictured < 3368
    assert worst + spread == pictured
    by_ap = sorted((query for query in data["queries"] if query["matches"]), key=lambda query: query["ap"])
    assert all(query["picture"] >= 0 for query in by_ap[:worst])
    assert by_ap[-1]["picture"] >= 0  # the best


def _counts(words: str) -> list[int]:
    """Queries with pictures; of these the worst, and the others."""
    found = re.search(r"([\d,]+) queries have pictures.*?the ([\d,]+) worst, and ([\d,]+) spread", words)
    return [int(number.replace(",", "")) for number in found.groups()]


def test_a_test_set_whose_lists_alone_are_too_large_is_listed_in_part():
    scene = _crowd(300, 400)
    ranking, evaluation = measured(scene)
    lists, album, coverage = fill(evaluation, ranking, scene.query, scene.gallery, plain, budget_bytes=100_000)
    assert 20 < coverage.listed < 300
    assert len(lists.rows) == coverage.listed
    assert sum(map(len, album.pictures)) < 100_000
    assert int(np.nanargmin(evaluation.per_query.average_precision)) in lists.rows
    assert np.nanmax(evaluation.per_query.average_precision[lists.rows]) == np.nanmax(
        evaluation.per_query.average_precision
    )


def test_more_queries_than_can_be_listed_are_named_with_their_number(tmp_path):
    words = words_in(write(tmp_path / "report.html", _crowd(5200, 300), images=lambda _: None))
    assert "5,000 of 5,200 queries are listed, to keep this file below 15 MB" in words
