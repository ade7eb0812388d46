"""The page of recognition: named classes, their confusions by example, and the worst of many."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from reid.report.classes import MOST_CLASSES, MOST_CONFUSED, class_section
from reid.retrieval.recognition_evaluation import evaluate_recognition
from tests.report.pages import lists_in, many_classes, words_in, write
from tests.retrieval.scenes import Scene, on_a_line

NAMES = {7: "pear", 8: "fig <b>", 9: "kiwi"}


@pytest.fixture
def scene() -> Scene:
    """All queries stand at 0, a fig is nearest, then two pears: pears are taken for figs, figs are right."""
    scene = on_a_line([(1, 8, 0), (2, 7, 0), (3, 7, 0), (4, 9, 0)], query=[(7, 0), (7, 0), (8, 0)])
    return replace(
        scene,
        query=replace(scene.query, paths=("q0.jpg", "q1.jpg", "q2.jpg")),
        gallery=replace(scene.gallery, paths=("fig.jpg", "pear1.jpg", "pear2.jpg", "kiwi.jpg")),
    )


def test_the_page_leads_with_taos_figures_and_names_classes(scene, tmp_path):
    words = words_in(write(tmp_path / "report.html", scene, names=NAMES, exclude="none"))
    assert "3 queries · 4 references · 2 query classes · 3 reference classes" in words
    assert "Precision at Rank 133.3 %" in words  # one of three queries
    assert "Is this the same class?" in words
    assert "right: same class" in words
    assert "None of these: nearest reference at" in words
    assert "By pair of cameras" not in words
    assert "person" not in words


def test_confusions_are_shown_with_query_answer_and_right_reference(scene, tmp_path):
    page = write(tmp_path / "report.html", scene, names=NAMES, exclude="none")
    assert "pear taken for fig &lt;b&gt; in 2 of 2 queries" in words_in(page)
    assert "pear: rank 2" in words_in(page)
    pictures = lists_in(page)["pictures"]
    assert len(pictures) == 7  # all, each once
    shown = re.findall(r'data-picture="(\d+)" data-words="(.*?)"', page)
    assert [words for _, words in shown] == [
        "Query: pear",
        "Nearest reference: fig &lt;b&gt;",
        "Nearest reference of its class: pear",
    ]
    assert len({position for position, _ in shown}) == 3


def test_the_lists_carry_the_names_of_the_classes_they_show(scene, tmp_path):
    lists = lists_in(write(tmp_path / "report.html", scene, names=NAMES, exclude="none"))
    assert lists["classes"] == {"7": "pear", "8": "fig <b>", "9": "kiwi"}
    assert lists["words"]["one"] == "class"


def test_the_matrix_counts_first_answers_and_the_table_is_worst_first(scene):
    ranking = scene.rank(exclude="none")
    table = evaluate_recognition(ranking, scene.query, scene.gallery, NAMES, l2_normalise=False).table
    section = class_section(table, ranking, scene.query, scene.gallery)
    assert section.columns == ["pear", "fig <b>"]
    assert [[cell.count for cell in cells] for _, cells, _ in section.matrix] == [[0, 2], [0, 1]]
    assert [[cell.shade for cell in cells] for _, cells, _ in section.matrix] == [[0, 100], [0, 100]]
    assert [(name, confused) for name, _, confused in section.rows] == [
        ("pear", "fig <b>"),
        ("fig <b>", ""),
        ("kiwi", ""),
    ]
    assert section.confusions[0].paths == ["q0.jpg", "fig.jpg", "pear1.jpg"]


def test_of_a_thousand_classes_the_worst_are_shown_and_the_file_of_all_is_named(tmp_path):
    scene = many_classes(1000)
    page = write(tmp_path / "report.html", scene, names={}, exclude="none", images=lambda path: None)
    assert page[page.index('id="class-table"') :].count('<tr><th scope="row"') == MOST_CLASSES
    assert re.search(rf"The {MOST_CLASSES} worst of \d+ classes; per_class.csv", words_in(page))
    ranking = scene.rank(exclude="none")
    table = evaluate_recognition(ranking, scene.query, scene.gallery, {}).table
    section = class_section(table, ranking, scene.query, scene.gallery)
    assert len(section.columns) <= MOST_CONFUSED
    asked = [one.precision_at_1 for one in table.classes if one.precision_at_1 is not None]
    assert [one.precision_at_1 for _, one, _ in section.rows] == sorted(asked)[:MOST_CLASSES]
    totals = table.confusions
    for name, cells, others in section.matrix:
        row = totals.query_pids == int(name)
        assert sum(cell.count for cell in cells) + others == totals.counts[row].sum()


def test_without_confusions_the_page_says_so(tmp_path):
    scene = on_a_line([(1, 7, 0), (2, 7, 0), (3, 8, 0)])
    assert "no two classes are confused" in words_in(
        write(tmp_path / "report.html", scene, names=NAMES, exclude="none")
    )
