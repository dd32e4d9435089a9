import base64
import copy
import re
from html.parser import HTMLParser

import pytest

from components.evaluate.decide import Decision, Reason
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
}
EVALUATION = {
    "split": "test",
    "tokens": 82_430,
    "documents": 3,
    "characters": 449_945,
    "challenger": NUMBERS,
    "champion": {**NUMBERS, "perplexity": 120.5},
    "difference": {
        "nll": -0.05,
        "interval": [-0.06, -0.04],
        "level": 0.95,
        "better": 0.999,
        "resamples": 1000,
        "block": 64,
    },
    "slices": [
        {"name": "rare", "rule": "few", "tokens": 10, "challenger_perplexity": 7.0, "champion_perplexity": None}
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


def draw(tmp_path, evaluation=EVALUATION, decision=DECISION, pictures=None, sources=None):
    return render(evaluation, decision, pictures or {}, sources or {}, tmp_path)


def test_the_decision_and_its_reasons_come_first(tmp_path):
    text = parse(draw(tmp_path))
    assert text.index("promote") < text.index("gain: it is better") < text.index("Models")


def test_the_numbers_of_both_models_are_shown(tmp_path):
    text = parse(draw(tmp_path))
    for shown in ("99.48", "120.50", "109.95", "1.2346", "1,234", "4,582,500", "82,430", "-0.0600", "-5.82%", "0.999"):
        assert shown in text


def test_without_a_champion_its_cells_are_empty(tmp_path):
    text = parse(draw(tmp_path, {**EVALUATION, "champion": None, "difference": None}))
    assert "no champion to compare with" in text
    assert "120.50" not in text


def test_numbers_that_are_not_finite_are_shown_as_they_are(tmp_path):
    evaluation = copy.deepcopy(EVALUATION)
    evaluation["challenger"]["perplexity"] = "inf"
    evaluation["difference"].update(nll="nan", interval=["nan", "nan"], better="nan")
    assert {"inf", "nan"} <= set(parse(draw(tmp_path, evaluation)).split())


@pytest.mark.parametrize("attack", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b"])
def test_everything_from_outside_is_escaped(tmp_path, attack):
    page = draw(
        tmp_path,
        {**EVALUATION, "split": attack, "slices": [{**EVALUATION["slices"][0], "name": attack}]},
        Decision(attack, (Reason(attack, False, attack),)),
        {attack: b"<svg/>"},
        {attack: {attack: attack}},
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
