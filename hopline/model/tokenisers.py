"""How text becomes tokens and tokens become text again: the rules that every step and the use of a model share.

A tokeniser is a list of substitutions (`rewrites`), after which tokens stand between blanks.  The transform graph of
`components/preprocess` runs these very substitutions in RE2 and `tokenise` runs them in Python's `re`, so the two
cannot differ.  The classes of characters come from the Unicode tables of the Python that writes a graph and are spelled
out in it: what serves the graph needs no tables, and no locale.

    words        a run of letters with their marks, and with apostrophes between letters ("don't"); each letter of a
                 script that sets no blanks between words (Han, kana, Thai, ...) with its marks; a run of digits;
                 each other visible character.  Control and format characters are dropped, save the joiners.
    whitespace   what stands between whitespace, for text that is split already.
    characters   each code point; any whitespace is the token `BLANK`.

In all three a line end (LF, CR LF or CR alone) is `<eos>`, and a reserved word that is typed in the text is one token:
`<unk>` is the unknown word, `<eos>` a line end, and `<pad>` a word like others that is never in a vocabulary.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from hopline.schema import EOS, RESERVED_WORDS, TOKENISERS

BLANK = "\u2423"  # the token of whitespace among characters: an open box, because a word cannot be a blank

_END_OF_LINE = RESERVED_WORDS[EOS]
_RESERVED = "|".join(RESERVED_WORDS)
_JOINERS = "\u200c\u200d"
_TAGS = "\U000e0020-\U000e007f"  # the letters of a flag's name
_APOSTROPHES = "'\u2019"
_LAST = 0x33480  # no later code point is a letter, digit or mark, but for the variation selectors
_SELECTORS = range(0xE0100, 0xE01F0)

_VISIBLE_FORMATS = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)  # number signs

# Scripts whose words stand without blanks between them.
_UNSPACED = (
    *[range(0x0E00, 0x0F00), range(0x1000, 0x10A0), range(0xA9E0, 0xAA00), range(0xAA60, 0xAAE0)],  # Thai, Lao, Myanmar
    *[range(0x1780, 0x1800), range(0x1950, 0x19E0), range(0x1A20, 0x1AB0)],  # Khmer, Tai Le, New Tai Lue, Tai Tham
    *[range(0x3005, 0x3008), range(0x3040, 0x3130), range(0x31A0, 0x3200)],  # kana, Bopomofo
    *[range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0xFF66, 0xFFA0)],  # Han, narrow kana
    *[range(0x16FE0, 0x18D10), range(0x1AFF0, 0x1B300), range(0x20000, _LAST)],  # Tangut, Khitan, kana, Han
)

_FIRST_UNSPACED = chr(min(block.start for block in _UNSPACED))

# Marks that lean on a neighbour when tokens are joined.
_CLOSING = frozenset(",.;:!?)]}%'\u2019\u201d\u00bb\u2026")
_OPENING = frozenset("([{\u2018\u201c\u00ab\u00bf\u00a1$#@")
_QUOTE = frozenset('"')
_WITHIN = frozenset("-/")  # between letters or digits
_WIDE = frozenset(
    "\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f\uff08\uff09\u300a\u300b\u300c\u300d\u300e\u300f\u3010\u3011"
)


def tokenise(text: str, tokeniser: str, *, lowercase: bool = False) -> list[str]:
    """The tokens of `text`, the same as the transform graph gives.

    Args:
        text: any text.
        tokeniser: one of `hopline.schema.TOKENISERS`.
        lowercase: whether the text is lowercased first (`lower`).
    """
    if lowercase:
        text = lower(text)
    for pattern, replacement in rewrites(tokeniser):
        text = re.sub(pattern, replacement.replace(r"\0", r"\g<0>"), text)
    return [token for token in text.split(" ") if token]


def join(tokens: Iterable[str], tokeniser: str) -> str:
    """Text for readers that gives these very tokens again: `tokenise(join(tokens, t), t) == tokens`.

    It holds for tokens that `tokenise` can give, in any order (among characters, for those of no spelled-out reserved
    word).  `<eos>` becomes a line end.  Among words a mark joins the word before or after it as is usual in
    English, quotation marks by turns; Han, kana, Thai and the like stand without blanks.
    """
    return "".join(joined_parts(list(tokens), tokeniser))


def joined_parts(tokens: Sequence[str], tokeniser: str) -> list[str]:
    """What each token becomes in `join`, with the blank before it if there is one.

    A part depends on the tokens up to the one after its own.
    """
    _require_known(tokeniser)
    if tokeniser == "characters":
        return [{BLANK: " ", _END_OF_LINE: "\n"}.get(token, token) for token in tokens]
    lean = _Leaning() if tokeniser == "words" else None
    parts: list[str] = []
    for index, token in enumerate(tokens):
        if token == _END_OF_LINE:
            parts.append("\n")
        else:
            blank = bool(parts) and parts[-1] != "\n" and not (lean and lean.together(tokens, index))
            parts.append(f" {token}" if blank else token)
        if lean:
            lean.passed(token)
    return parts


@functools.cache
def rewrites(tokeniser: str) -> tuple[tuple[str, str], ...]:
    r"""Regular expressions and what to put for each of their matches, in order; then blanks separate tokens.

    They mean the same in RE2 and in Python's `re`, but that `\0`, the whole match, is `\g<0>` there.
    """
    _require_known(tokeniser)
    line = ("\r\n?|\n", f" {_END_OF_LINE} ")
    space = _members(_is_space)
    if tokeniser == "whitespace":
        return line, (f"[{space}]+", " ")
    if tokeniser == "characters":
        # A line end's own blanks are there already: whitespace comes first.
        return (f"[ {space}]", BLANK), line, (f"{_RESERVED}|[^ ]", r" \0 ")
    letter, unspaced, digit, mark, unseen = map(_members, (_is_letter, _is_unspaced, _is_digit, _is_mark, _is_unseen))
    marks = f"[{mark}{_JOINERS}{_TAGS}]*"
    run = f"[{letter}][{letter}{mark}{_JOINERS}{_TAGS}]*"
    word = f"{run}(?:[{_APOSTROPHES}]{run})*"
    any_of = f"{_RESERVED}|{word}|[{unspaced}]{marks}|[{digit}]+{marks}|[^ ]{marks}"
    return line, (f"[{space}\u200b]+", " "), (f"[{unseen}]+", ""), (any_of, r" \0 ")


def lower(text: str) -> str:
    """Each character's own lower case, whatever its neighbours and the locale."""
    return text.translate(_lower_case())


@functools.cache
def lower_case_pages() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """`lower` as two tables: code point c becomes c + pages[index[c // 256], c % 256].

    Returns:
        index, shape (4352,), and pages, shape (P, 256).
    """
    difference = np.zeros(0x110000, np.int32)
    for upper, low in _lower_case().items():
        difference[upper] = low - upper
    pages, index = np.unique(difference.reshape(-1, 256), axis=0, return_inverse=True)
    return index.reshape(-1).astype(np.int32), pages


class _Leaning:
    """Says of tokens in order which stand without a blank before them."""

    def __init__(self) -> None:
        self._quoted = False  # inside a pair of "

    def passed(self, token: str) -> None:
        self._quoted = (self._quoted != (token in _QUOTE)) and token != _END_OF_LINE

    def together(self, tokens: Sequence[str], index: int) -> bool:
        """Whether no blank stands before tokens[index], which is no line end, nor is the one before it.

        Whatever this says, the two are tokens of their own: at a place without a blank one of them is a single mark,
        or a letter that forms no run, and no mark that combines with a letter stands there at the beginning.
        """
        before, token = tokens[index - 1], tokens[index]
        if _extends(token[0]):
            return False
        if token in _CLOSING or before in _OPENING or "_" in {before, token}:
            return True
        if '"' in {before, token}:
            return self._quoted  # one before counts as passed, this one does not
        if token in _WITHIN or before in _WITHIN:
            around = (
                tokens[index - 1 : index + 2 : 2] if token in _WITHIN else tokens[max(index - 2, 0) : index + 1 : 2]
            )
            return len(around) == 2 and all(map(_is_run, around))
        if before in {".", ","}:
            behind_number = index > 1 and _is_number(tokens[index - 2]) and _is_number(token)
            return behind_number and (before == "." or len(token) == 3)
        composed = before[-1] == _JOINERS[1] and not _is_run(before)  # a picture that is made of several
        return composed or (_is_tight(before) and _is_tight(token))


def _is_run(token: str) -> bool:
    return token not in RESERVED_WORDS and (_is_letter(token[0]) or _is_digit(token[0]))


def _is_number(token: str) -> bool:
    return all(map(_is_digit, token))


def _is_tight(token: str) -> bool:
    return token in _WIDE or _is_unspaced(token[0])


def _extends(character: str) -> bool:
    return character in _JOINERS or 0xE0020 <= ord(character) <= 0xE007F or _is_mark(character)


def _is_space(character: str) -> bool:
    """What Python's str.split takes for whitespace, but for line ends and the blank itself."""
    return character.isspace() and character not in " \r\n"


def _is_letter(character: str) -> bool:
    return character.isalpha() and not _is_unspaced(character)


def _is_unspaced(character: str) -> bool:
    if character < _FIRST_UNSPACED or not character.isalpha():
        return False
    point = ord(character)
    return any(point in block for block in _UNSPACED)


def _is_digit(character: str) -> bool:
    return unicodedata.category(character) == "Nd"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _is_unseen(character: str) -> bool:
    """Control and format characters, which no reader sees and nothing hangs on."""
    kept = character.isspace() or character in _VISIBLE_FORMATS or character == "\u200b" or _extends(character)
    return unicodedata.category(character) in {"Cc", "Cf"} and not kept


@functools.cache
def _members(belongs: Callable[[str], bool]) -> str:
    """The characters that belong, as the inside of a class of a regular expression."""
    points = [point for point in (*range(0xD800), *range(0xE000, _LAST), *_SELECTORS) if belongs(chr(point))]
    starts = [point for before, point in zip([-2, *points], points, strict=False) if point != before + 1]
    ends = [point for point, after in zip(points, [*points[1:], -2], strict=True) if after != point + 1]
    return "".join(
        _spelled(start) if start == end else f"{_spelled(start)}-{_spelled(end)}"
        for start, end in zip(starts, ends, strict=True)
    )


def _spelled(point: int) -> str:
    return f"\\x{point:02x}" if point < 0x80 else chr(point)


@functools.cache
def _lower_case() -> dict[int, int]:
    """By code point, for those that have a lower case: of the one that has two characters (U+0130) the first."""
    return {
        point: ord(low[0])
        for point in (*range(0xD800), *range(0xE000, _LAST))
        if (low := chr(point).lower()) != chr(point)
    }


def _require_known(tokeniser: str) -> None:
    if tokeniser not in TOKENISERS:
        raise ValueError(f"no tokeniser is named {tokeniser!r}")
