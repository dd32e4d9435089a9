"""Where each hop looks, drawn in the terminal: the words of a sentence, shaded by what is read of them."""

import shutil
from collections.abc import Iterable
from typing import TextIO

import numpy as np

from hopline.runtime.errors import UserError
from hopline.use import pieces
from hopline.use.model import Attention, Model

LONGEST = 60  # words of a line that is shown: every word has a row for each hop, as wide as all words before it
_SHADES = "·░▒▓█"  # from next to nothing to all
_STEPS = (0.02, 0.1, 0.25, 0.5)


def show_attention(model: Model, text: Iterable[str], stream: TextIO) -> None:
    """Prints for each word of each line, and each hop, what the hop reads of the words before it.

    Raises:
        UserError: there is no word, or a line has too many.
    """
    shown = False
    for line in pieces.lines(text, "the text"):
        sentence = line.strip()
        if not sentence:
            continue
        attention = model.attention(sentence)
        if len(attention.scored.words) > LONGEST:
            raise UserError(
                f"a line has {len(attention.scored.words):,} words, but {LONGEST} at most can be shown",
                remedy="give a sentence a line",
            )
        print("\n".join(rows(attention, shutil.get_terminal_size().columns)), file=stream, flush=True)
        shown = True
    if not shown:
        raise UserError("the text is empty: there is nothing to look at", remedy="give a sentence")


def rows(attention: Attention, width: int) -> list[str]:
    """The lines to print: a word with its surprisal, and below it one line for each hop.

    Args:
        attention: of one sentence.
        width: of the terminal in characters; the oldest words are left out where it is too narrow.
    """
    words = attention.scored.words
    lines = [f"read of each word before: {_SHADES[0]} under 2%  {'  '.join(_legend())}"]
    for place, (word, bits) in enumerate(zip(words, attention.scored.surprisal, strict=True)):
        lines.append(f"{word}  ({bits:.1f} bits)")
        for hop, read in enumerate(attention.reads[place], start=1):
            cells = [f"{before}{shade(float(share))}" for before, share in zip(words[:place], read, strict=False)]
            lines.append(f"  hop {hop}  {_fitting(cells, max(20, width - 10))}".rstrip())
    return lines


def shade(share: float) -> str:
    """The character for a share of the attention."""
    return _SHADES[int(np.searchsorted(_STEPS, share, side="right"))]


def _legend() -> list[str]:
    return [f"{mark} from {step:.0%}" for mark, step in zip(_SHADES[1:], _STEPS, strict=True)]


def _fitting(cells: list[str], width: int) -> str:
    """As many of the last cells as fit, `…` for those before."""
    kept: list[str] = []
    for cell in reversed(cells):
        width -= len(cell) + 1
        if width < 2:
            return " ".join(["…", *reversed(kept)])
        kept.append(cell)
    return " ".join(reversed(kept))
