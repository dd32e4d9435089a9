import io
import math

import pytest

from components.use.rescore import parse, rescore
from hopline.runtime.errors import UserError
from hopline.use.requests import RescoreRequest
from tests.components.use.fakes import FakeModel


def rescored(text, **options):
    values = {"folder": "", "version": None, "place": "", "file": "-", "lm_weight": 1.0, "word_score": 0.0, **options}
    output = io.StringIO()
    rescore(FakeModel(), RescoreRequest(**values), io.BytesIO(text.encode()), output)
    return output.getvalue().splitlines()


def test_hypotheses_of_one_key_are_ranked_by_both_scores():
    text = "k1 ||| b b ||| f= 1 ||| -0.1\nk1 ||| a a ||| f= 2 ||| -0.5\nk2 ||| a ||| f= 3 ||| -9\n"
    lines = rescored(text)
    assert [line.split(" ||| ")[:3] for line in lines] == [
        ["k1", "a a", "f= 2"],
        ["k1", "b b", "f= 1"],
        ["k2", "a", "f= 3"],
    ]
    assert float(lines[0].split(" ||| ")[3]) == pytest.approx(-0.5 - 5 * math.log(2), abs=1e-5)
    assert [line.split(" ||| ")[1] for line in rescored(text, lm_weight=0.01)][:2] == ["b b", "a a"]


def test_tabs_are_read_and_written_too_and_words_can_be_paid_for():
    lines = rescored("u\t-1\ta\nu\t-2\ta a\n", word_score=10.0)
    assert [line.split("\t")[2] for line in lines] == ["a a", "a"]
    assert float(lines[0].split("\t")[1]) == pytest.approx(-2 - 5 * math.log(2) + 20, abs=1e-5)


@pytest.mark.parametrize("line", ["a b c", "k ||| a", "k ||| a ||| much", "k\tnan\ta"])
def test_a_line_of_neither_form_is_named(line):
    with pytest.raises(UserError, match="line 2 is no hypothesis"):
        list(parse(["k\t1\ta\n", line], "it"))


def test_an_empty_list_is_refused():
    with pytest.raises(UserError, match="holds no hypothesis"):
        rescored("\n\n")
