"""The evaluation's report in a real browser: `make test-browser`.  Without Chromium these tests fail."""

import html
import json
import math
import re
import shutil
import subprocess

import numpy as np
import pytest
from matplotlib.figure import Figure

from components.evaluate.decide import decide
from components.evaluate.plots import pictures
from components.evaluate.report import lineage, render
from hopline import schema
from hopline.artifacts import json_value
from hopline.config.evaluate import EvaluateConfig
from tests.components.evaluate.synthetic import make_artifact, measurement, side

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONG = "a-word-without-a-place-to-break-" * 4
WORDS = ("<eos>", "<unk>", "the", "market", "said", "of", "a", "<b>&", "per", "cent", LONG, "x")
# The page in a frame of a telephone's width; what the script finds is left in the frame's own document.
FRAME = """<!doctype html><meta charset="utf-8"><body>
<iframe id="frame" style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe><script>
document.getElementById("frame").onload = event => {{
  const inside = event.target.contentDocument, body = getComputedStyle(inside.body);
  const found = {{wide: inside.documentElement.scrollWidth, shown: event.target.clientWidth,
    ink: body.color, page: body.backgroundColor, images: [...inside.images].every(image => image.naturalWidth > 0),
    top: inside.querySelector(".why").getBoundingClientRect().bottom}};
  document.body.dataset.found = JSON.stringify(found);
}};</script>"""


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


def look(page, folder, *, width, dark=False):
    """What a browser makes of the page."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    assert browser, f"none of {', '.join(BROWSERS)} is installed"
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width, page=html.escape(page)), encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--virtual-time-budget=20000", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def luminance(colour):
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


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
    ink, paper = luminance(found["ink"]), luminance(found["page"])
    assert (paper < ink) == dark
    contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
    assert contrast > 7
    assert math.isfinite(contrast)
