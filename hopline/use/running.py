"""Words joined to text while they are drawn."""

from collections.abc import Iterable, Sequence

from hopline.model.tokenisers import joined_parts


class RunningText:
    """Joins words to text one by one; text that was returned never changes.

    Whether a blank stands before a mark depends on the word after it, so the last word is withheld until the next is
    known.

    Args:
        text: what the words continue; it is not returned.
        before: the words of `text`.
        tokeniser: see `hopline.model.tokenisers`.
    """

    def __init__(self, text: str, before: Sequence[str], tokeniser: str) -> None:
        self._after_blank = text[-1:].isspace()
        self._tokeniser = tokeniser
        self._words = list(before)
        self._returned = len(self._words)

    def add(self, words: Iterable[str]) -> str:
        """Takes further words and returns the text that is certain since the last time."""
        self._words += words
        return self._take(len(self._words) - 1)

    def rest(self) -> str:
        """The text of the words that were withheld."""
        return self._take(len(self._words))

    def _take(self, until: int) -> str:
        """The text of the words from the first that was not returned up to `until`, exclusive."""
        new = "".join(joined_parts(self._words, self._tokeniser)[self._returned : until])
        self._returned = max(self._returned, until)
        if new and self._after_blank:  # the text's own
            new, self._after_blank = new.lstrip(" "), False
        return new
