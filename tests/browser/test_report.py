"""The evaluation's report in a real browser: `make test-browser`.  Without Chromium these tests fail."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from components.evaluate.decide import decide
from components.evaluate.plots import pictures
from components.evaluate.report import lineage, render
from hopline import schema
from hopline.artifacts import json_value
from hopline.config.evaluate import EvaluateConfig
from tests.browser.looking import contrast, look, luminance
from tests.components.evaluate.synthetic import make_artifact, measurement, side

pytestmark = pytest.mark.browser

LONG = "a-word-without-a-place-to-break-" * 4
WORDS = ("<eos>", "<unk>", "the", "market", "said", "of", "a", "<b>&", "per", "cent", LONG, "x")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report in which everything is as long as it gets."""
    root = tmp_path_factory.mktemp("report")
    new, old = make_artifact(root / "challenger", "new" * 30), make_artifact(root / "champion", "old")
    random = np.random.default_rng(0)
    ids = random.integers(schema.UNKNOWN, 12, size=24_000)
    ids[::17] = schema.EOS
    noise = random.normal(0, 0.5, size=(2, 24_000))
    challenger = side(new, 4.9 + noise[0], ids, 7, 40, WORDS)
    champion = side(old, 5.0 + noise[1], ids, 7, 40, WORDS)
    measured = measurement(challenger, champion, name="corpus/a/folder/of/folders/" + "name-" * 20 + "{}.txt")
    picture = Figure(figsize=(8, 3))
    picture.subplots()
    picture.savefig(root / "challenger" / "curve.png")
    rule = EvaluateConfig(max_slice_loss=0.5, max_perplexity=1e6)
    decision = decide(*measured.scored(), rule)
    sources = lineage({"model": new.manifest, "champion": old.manifest})
    content = json_value(measured.content())
    return render(content, decision, pictures(measured), sources, root / "challenger", measured.passages())


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(page, tmp_path, width):
    found = look(page, tmp_path, width=width)
    assert found["shown"] == width
    assert found["wide"] == width
    assert found["images"]


def test_what_decided_is_read_on_a_telephone_without_scrolling(page, tmp_path):
    assert look(page, tmp_path, width=390)["top"] < 500


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_legible_in_light_and_dark(page, tmp_path, dark):
    found = look(page, tmp_path, width=390, dark=dark)
    assert (luminance(found["page"]) < luminance(found["ink"])) == dark
    assert contrast(found) > 7
