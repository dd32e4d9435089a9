"""Text that grows by words, as a reader sees it."""

from collections.abc import Iterable, Sequence

from hopline.model.tokenisers import joined_parts


class RunningText:
    """Joins words as they come; what it has given never changes.

    Whether a blank stands before a mark depends on the word behind it.  So the last word is kept back until the next is
    known.

    Args:
        text: what the words stand behind; it is not given, and stays as it is.
        before: its words.
        tokeniser: see `hopline.model.tokenisers`.
    """

    def __init__(self, text: str, before: Sequence[str], tokeniser: str) -> None:
        self._after_blank = text[-1:].isspace()
        self._tokeniser = tokeniser
        self._words = list(before)
        self._given = len(self._words)

    def add(self, words: Iterable[str]) -> str:
        """Takes further words and returns the text that is certain since the last time."""
        self._words += words
        return self._give(len(self._words) - 1)

    def rest(self) -> str:
        """What is left at the end."""
        return self._give(len(self._words))

    def _give(self, until: int) -> str:
        """The words from the first that was not given to `until`, which is left out."""
        new = "".join(joined_parts(self._words, self._tokeniser)[self._given : until])
        self._given = max(self._given, until)
        if new and self._after_blank:  # the text's own
            new, self._after_blank = new.lstrip(" "), False
        return new
