import base64
import copy
import re
from html.parser import HTMLParser

import pytest

from components.evaluate.decide import Decision, Reason
from components.evaluate.page import bars
from components.evaluate.passages import Passage
from components.evaluate.report import lineage, render
from hopline import artifacts

NUMBERS = {
    "model_id": "ab12",
    "nll": 4.6,
    "perplexity": 99.484,
    "comparable_nll": 4.7,
    "comparable_perplexity": 109.947,
    "bits_per_character": 1.23456,
    "unknown_tokens": 1234,
    "unknown_types": 56,
    "vocabulary_size": 10_003,
    "parameters": 4_582_500,
    "bytes": 18_330_000,
    "tokeniser": "words",
    "tokens": 82_430,
    "line_milliseconds": None,
}
EVALUATION = {
    "split": "test",
    "tokens": 82_430,
    "documents": 3,
    "characters": 449_945,
    "challenger": NUMBERS,
    "champion": {**NUMBERS, "perplexity": 120.5},
    "compared": {"by": "tokens", "rule": "token by token"},
    "difference": {
        "nll": -0.05,
        "per": "token",
        "interval": [-0.06, -0.04],
        "level": 0.9,
        "margin": -0.001,
        "confidence": 0.999,
        "resamples": 10_000,
        "observations": 24,
        "effective_observations": 23.9,
        "kind": "blocks",
    },
    "baselines": {
        "unigram": {"perplexity": 677.0, "nll": 6.5, "note": ""},
        "kneser_ney_5": {"perplexity": None, "nll": None, "note": "no document has 5 tokens"},
    },
    "slices": [
        {"group": "kind", "name": "rare", "tokens": 10, "challenger_perplexity": 7.0, "champion_perplexity": None}
    ],
}
DECISION = Decision("promote", (Reason("gain", True, "it is better"),))
VOID = {"meta", "img", "link", "br", "hr"}


class Balance(HTMLParser):
    """Fails where tags do not nest, and collects the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parse(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    return " ".join(parser.text)


def draw(tmp_path, evaluation=EVALUATION, decision=DECISION, pictures=None, sources=None, passages=None):
    return render(evaluation, decision, pictures or {}, sources or {}, tmp_path, passages)


def test_what_decided_comes_first_in_plain_words(tmp_path):
    body = draw(tmp_path).partition("<body>")[2]
    assert parse(body.partition("</body>")[0]).split()[:4] == ["Promoted", "It", "is", "better."]
    text = parse(draw(tmp_path))
    assert text.index("It is better.") < text.index("gain: it is better") < text.index("Models")


def test_the_baselines_stand_beside_the_models_and_one_that_could_not_be_made_is_named(tmp_path):
    page = draw(tmp_path)
    bars = page[page.index('<div class="bars">') : page.index("<h2>Models")]
    assert bars.index("challenger") < bars.index("120.5") < bars.index("word frequencies") < bars.index("677.0")
    assert "Kneser-Ney 5-gram: no document has 5 tokens." in parse(bars.partition("</div>")[2])
    widths = [float(width) for width in re.findall(r"width: ([0-9.]+)%", bars)]
    assert widths == sorted(widths)
    assert widths[-1] == 100.0


@pytest.mark.parametrize(
    ("values", "axis", "shortest"),
    [({"a": 100.0, "b": 50.0}, "from 0", 50.0), ({"a": 100.0, "b": 1.0}, "logarithmic", 0.0)],
)
def test_the_axis_of_the_bars_is_logarithmic_where_some_would_vanish(values, axis, shortest):
    drawn, note = bars(values, {})
    widths = [float(width) for width in re.findall(r"width: ([0-9.]+)%", drawn)]
    assert widths == [100.0, shortest]
    assert axis in note


def test_passages_are_shaded_by_how_much_the_models_differ(tmp_path):
    shown = Passage("a.txt", ("the", "<b>"), (-2.0, 0.5)), Passage("b.txt", ("cat",), (1.0,))
    page = draw(tmp_path, passages=([shown[0]], [shown[1]]))
    parse(page)
    assert '<span class="word better" style="--much: 0.75" title="-2.00 nats">the</span>' in page
    assert "&lt;b&gt;" in page
    assert page.index("a.txt: -1.5 nats") < page.index("loses most") < page.index("b.txt: +1.0 nats")


def test_the_numbers_of_both_models_are_shown(tmp_path):
    text = parse(draw(tmp_path))
    for shown in (
        "99.48",
        "120.50",
        "109.95",
        "1.2346",
        "1,234",
        "4,582,500",
        "82,430",
        "-0.0600",
        "-5.82%",
        "0.999",
        "90% interval",
    ):
        assert shown in text


def test_without_a_champion_its_cells_are_empty(tmp_path):
    text = parse(draw(tmp_path, {**EVALUATION, "champion": None, "difference": None}))
    assert "no champion to compare with" in text
    assert "120.50" not in text


def test_numbers_that_are_not_finite_are_shown_as_they_are(tmp_path):
    evaluation = copy.deepcopy(EVALUATION)
    evaluation["challenger"]["perplexity"] = "inf"
    evaluation["difference"].update(nll="nan", interval=["nan", "nan"], confidence="nan")
    assert {"inf", "nan"} <= set(parse(draw(tmp_path, evaluation)).split())


@pytest.mark.parametrize("attack", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b"])
def test_everything_from_outside_is_escaped(tmp_path, attack):
    page = draw(
        tmp_path,
        {**EVALUATION, "split": attack, "slices": [{**EVALUATION["slices"][0], "name": attack}]},
        Decision(attack, (Reason(attack, False, attack),)),
        {attack: b"<svg/>"},
        {attack: {attack: attack}},
        ([Passage(attack, (attack,), (1.0,))], []),
    )
    assert attack not in page
    assert attack in parse(page)


def test_the_page_needs_no_network(tmp_path):
    (tmp_path / "curve.png").write_bytes(b"curve")
    (tmp_path / "attention.png").write_bytes(b"attention")
    page = draw(tmp_path, pictures={"a picture": b"<svg/>"})
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    kinds, contents = zip(*(source.split(",") for source in sources), strict=True)
    assert kinds == ("data:image/svg+xml;base64", *["data:image/png;base64"] * 2)
    assert [base64.b64decode(content) for content in contents[1:]] == [b"curve", b"attention"]
    assert "@import" not in page
    assert "<script" not in page


def test_a_picture_that_the_model_directory_lacks_is_left_out(tmp_path):
    (tmp_path / "curve.png").write_bytes(b"curve")
    assert draw(tmp_path).count("<img") == 1


def test_the_lineage_names_ids_corpus_revision_and_versions(tmp_path):
    manifest = artifacts.seal(tmp_path, "model", parents={}, config={}, facts={"fingerprint": "corpus-1"})
    text = parse(draw(tmp_path, sources=lineage({"model": manifest})))
    assert manifest.id in text
    assert "corpus-1" in text
    assert f"numpy {manifest.versions['numpy']}" in text
