"""What a real browser makes of a page in a frame of some width.  Without Chromium it fails."""

import html
import json
import re
import shutil
import subprocess

import numpy as np

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The page in a frame of a telephone's width; what the script finds is left in the frame's own document.
FRAME = """<!doctype html><meta charset="utf-8"><body>
<iframe id="frame" style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe><script>
document.getElementById("frame").onload = event => {{
  const inside = event.target.contentDocument, body = getComputedStyle(inside.body);
  const found = {{wide: inside.documentElement.scrollWidth, shown: event.target.clientWidth,
    ink: body.color, page: body.backgroundColor, images: [...inside.images].every(image => image.naturalWidth > 0),
    top: inside.querySelector(".why, .lead").getBoundingClientRect().bottom}};
  document.body.dataset.found = JSON.stringify(found);
}};</script>"""


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


def contrast(found):
    """Of ink and page, from 1 to 21 (WCAG 2.2)."""
    ink, paper = luminance(found["ink"]), luminance(found["page"])
    return (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
