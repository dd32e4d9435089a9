"""The page of the examples in a real browser: `make test-browser`.  Without Chromium these tests fail."""

import numpy as np
import pytest

from components.preprocess.drift import drift
from components.preprocess.findings import findings
from components.preprocess.profile import profile_of
from components.preprocess.report import render
from components.preprocess.statistics import Tally
from hopline.artifacts import Manifest
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.schema import RESERVED_WORDS, SPLITS
from tests.browser.looking import contrast, look, luminance

pytestmark = pytest.mark.browser

LONG = "a-word-without-a-place-to-break-" * 4
FILE = "corpus/a/folder/of/folders/" + "name-" * 20 + "{}.txt"
WORDS = [*RESERVED_WORDS, LONG, "<b>&", *(f"word{number}" for number in range(3_000))]


def statistics(seed):
    """Three splits in which everything is as long as it gets."""
    random, found = np.random.default_rng(seed), {}
    for split in SPLITS:
        counts = random.zipf(1.1 + seed / 10, size=len(WORDS)).clip(1, 10**6)
        tally = Tally(np.array([0, *counts[1:]]))
        tally.unknown = np.arange(99, dtype=np.uint64)
        for number, length in enumerate(random.lognormal(5, 1, size=200).astype(int) + 1):
            tally.end_document(FILE.format(number), int(length))
        tally.end_document(FILE.format("book"), 10**7)
        files = [{"file": FILE.format(number), "in": FILE.format("b"), "share": 0.5, "documents": 1} for number in "12"]
        shared = {"documents": 2, "5_grams": 0.3, "13_grams": 0.2, "compared": 10**6, "files": files}
        sequences = [{"document": FILE.format(number), "ids": [1, 3, 4, *range(2, 47)]} for number in "123"]
        found[split] = tally.summary() | {"beginnings": sequences}
        if split != "train":
            found[split]["in_training"] = shared
    return found


@pytest.fixture(scope="module")
def page():
    """The page of examples in which there is everything to find."""
    ours, theirs = statistics(1), statistics(9)
    options = {"tokeniser": "words", "lowercase": False}
    moved = drift(profile_of(ours, WORDS, **options), profile_of(theirs, WORDS, **options), 12)
    config = {section.name: section.to_dict() for section in (CorpusConfig(train=FILE), PreprocessConfig())}
    facts = {"fingerprint": "f" * 64}
    manifest = Manifest("examples", "e" * 64, {"vocabulary": "v" * 64}, config, {}, {}, "", {}, "", facts=facts)
    rules = findings(ours, 3, CorpusConfig(skip_lines=9), PreprocessConfig(), moved)
    return render(manifest, ours, WORDS, rules, moved)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(page, tmp_path, width):
    found = look(page, tmp_path, width=width)
    assert found["shown"] == width
    assert found["wide"] == width


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_legible_in_light_and_dark(page, tmp_path, dark):
    found = look(page, tmp_path, width=390, dark=dark)
    assert (luminance(found["page"]) < luminance(found["ink"])) == dark
    assert contrast(found) > 7
