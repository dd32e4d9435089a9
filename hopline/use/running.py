"""Text that grows by words, as a reader sees it."""

from collections.abc import Iterable, Sequence

from hopline.model.tokenisers import join


class RunningText:
    """Joins words as they come; what it has given never changes.

    Whether a blank stands before a mark depends on the word behind it.  So the last word is kept back until the next is
    known.

    Args:
        text: what the words stand behind; it is not given.
        before: its words.
        tokeniser: see `hopline.model.tokenisers`.
    """

    def __init__(self, text: str, before: Sequence[str], tokeniser: str) -> None:
        self._after_blank = text[-1:].isspace()
        self._tokeniser = tokeniser
        self._words = list(before)
        self._given = len(join(self._words, tokeniser))

    def add(self, words: Iterable[str]) -> str:
        """Takes further words and returns the text that is certain since the last time."""
        self._words += words
        if not self._words:
            return ""
        text = join(self._words, self._tokeniser)
        last = len(join([self._words[-1]], self._tokeniser))
        return self._give(text[: len(text) - last].rstrip(" "))

    def rest(self) -> str:
        """What is left at the end."""
        return self._give(join(self._words, self._tokeniser))

    def _give(self, text: str) -> str:
        new = text[self._given :]
        self._given = max(self._given, len(text))
        if new and self._after_blank:  # the text's own
            new, self._after_blank = new.lstrip(" "), False
        return new
