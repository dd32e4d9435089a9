"""Self-contained pages."""

import math
import re

import pytest

from hopline.runtime.pages import Markup, Series, chart, document, means, table


def circles(svg):
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]


def test_text_is_escaped_and_markup_is_not():
    page = document("a < b", [table(["x & y"], [["<i>"], [Markup("<b>bold</b>")]])])
    assert "<title>a &lt; b</title>" in page
    assert "&lt;i&gt;" in page
    assert "<b>bold</b>" in page
    assert 'data-name="x &amp; y"' in page


def test_a_chart_is_logarithmic_and_greater_is_higher():
    svg = chart([Series("a", [(1, 100.0), (2, 1000.0), (3, 10_000.0)])], caption="c", x_label="x")
    (x1, y1), (x2, y2), (x3, y3) = circles(svg)
    assert x1 < x2 < x3
    assert y1 > y2 > y3
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)


def test_both_axes_may_be_logarithmic():
    svg = chart([Series("a", [(1, 100.0), (10, 10.0), (100, 1.0)])], caption="c", x_label="x", log_x=True)
    (x1, y1), (x2, y2), (x3, y3) = circles(svg)
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y2 - y1 == pytest.approx(y3 - y2, abs=0.2)
    assert [tick for tick in ("1", "10", "100") if f'text-anchor="middle">{tick}<' not in svg] == []
    (place,) = circles(chart([Series("a", [(1, 5.0)])], caption="c", x_label="x", log_x=True))
    assert 52 <= place[0] <= 470


def test_what_an_axis_cannot_show_is_left_out():
    points = [(1, 5.0), (2, math.inf), (3, 0.0), (4, math.nan), (5, 6.0)]
    assert len(circles(chart([Series("a", points)], caption="c", x_label="x"))) == 2
    assert chart([Series("a", [(1, math.inf)])], caption="c", x_label="x") == ""
    assert chart([], caption="c", x_label="x") == ""


@pytest.mark.parametrize("y", [1e-9, 0.03, 1.0, 7.0, 99.99, 1e12])
def test_one_point_is_a_chart_too(y):
    (place,) = circles(chart([Series("a", [(1, y)])], caption="c", x_label="x"))
    assert 0 <= place[1] <= 260


def test_every_point_lies_inside_the_picture():
    points = [(step, 700 / step + 3) for step in range(1, 30)]
    for x, y in circles(chart([Series("a", points)], caption="c", x_label="x")):
        assert 50 <= x <= 470
        assert 10 <= y <= 220


def test_many_points_are_means_of_neighbours():
    reduced = means([(number, float(number % 2)) for number in range(1000)], 10)
    assert reduced == [(number * 100 + 99, 0.5) for number in range(10)]
    assert means([(1, 2.0)], 10) == [(1, 2.0)]
