"""Tokenisers: what is a token, and that joined tokens are text which gives the very same tokens again."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopline.model.tokenisers import BLANK, join, lower, lower_case_pages, tokenise
from hopline.schema import TOKENISERS

# Characters that have a part in the rules come more often than others.
TROUBLE = (
    "'\u2019\"_-/.,%$()<>\u0301\u0e31\ufe0f\u20e3\u200b\u200c\u200d\u00ad\ufeff\u2028\u0085\r\n\t \u00a0\u3000"
    "a1é中ไกあ한👩🏽🇫❤\U000e0067"
)
WORDS = [
    "<unk>",
    "<eos>",
    "<pad>",
    "don't",
    "3.14",
    "1,000",
    "\r\n",
    "\n",
    " ",
    '"',
    "l'été",
    "がぎ",
    "ไทย",
    "👩\u200d👧",
]
TEXT = st.lists(
    st.one_of(st.sampled_from(TROUBLE), st.sampled_from(WORDS), st.characters(codec="utf-8")), max_size=30
).map("".join)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop, it\u2019s 3.14!", "Don't stop , it\u2019s 3 . 14 !"),
        ("the dogs' 'quoted' words''end", "the dogs ' ' quoted ' words ' ' end"),
        ("snake_case x86 a-b", "snake _ case x 86 a - b"),
        ("na\u00efve nai\u0308ve \u0301 e\u0301'e", "na\u00efve nai\u0308ve \u0301 e\u0301'e"),
        ("中文abc漢字, かな", "中 文 abc 漢 字 , か な"),
        ("ภาษาไทยดี ๑๒", "ภ า ษ า ไ ท ย ดี ๑๒"),
        ("한국어 문장", "한국어 문장"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("❤\ufe0f👩\u200d👧 1\ufe0f\u20e3", "❤\ufe0f 👩\u200d 👧 1\ufe0f\u20e3"),
        ("\ufeffco\u00adop a\u200bb\x07c", "coop a bc"),
        ("a\u00a0b\u3000c\u2028d\u0085e\tf", "a b c d e f"),
        ("a\nb\r\nc\rd\n\re\n", "a <eos> b <eos> c <eos> d <eos> <eos> e <eos>"),
        ("a<unk>b <eos><pad> < unk > <UNK>", "a <unk> b <eos> <pad> < unk > < UNK >"),
    ],
)
def test_words_are_runs_of_letters_and_digits_and_marks_stand_alone(text, tokens):
    assert tokenise(text, "words") == tokens.split(" ")


def test_whitespace_splits_where_python_does_and_each_line_end_is_a_token():
    assert tokenise("it's a,b\u00a0c\r\nd\re<eos> <unk>", "whitespace") == [
        *["it's", "a,b", "c", "<eos>", "d", "<eos>", "e<eos>", "<unk>"],
    ]


def test_characters_are_code_points_and_whitespace_is_a_visible_token():
    assert tokenise("a  e\u0301\u2028<unk>\r\n<", "characters") == [
        *["a", BLANK, BLANK, "e", "\u0301", BLANK, "<unk>", "<eos>", "<"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        'He said: "It\'s 3.14, or 1,000 (at most)."\nSo?',
        "a well-known x/y, snake_case, 50% of $3; the dogs' “best” ¿no?",
        "中文\uff0c漢字。\nภาษาไทย",
        "👩\u200d👧 wrote: (f, [1])",
    ],
)
def test_joined_words_read_as_people_write(text):
    assert join(tokenise(text, "words"), "words") == text


@pytest.mark.parametrize("tokeniser", TOKENISERS)
@settings(deadline=None, max_examples=400)
@given(text=TEXT, lowercase=st.booleans())
def test_joined_tokens_give_the_same_tokens_again(tokeniser, text, lowercase):
    tokens = tokenise(text, tokeniser, lowercase=lowercase)
    assert tokenise(join(tokens, tokeniser), tokeniser) == tokens


@settings(deadline=None, max_examples=400)
@given(data=st.data(), text=TEXT)
def test_joined_words_give_the_same_words_again_in_any_order(data, text):
    tokens = data.draw(st.permutations(tokenise(text, "words")))
    assert tokenise(join(tokens, "words"), "words") == tokens


@settings(deadline=None, max_examples=200)
@given(text=TEXT)
def test_all_that_can_be_seen_is_in_some_token(text):
    unseen = {"Cc", "Cf", "Zs", "Zl", "Zp"}

    def seen(text):
        return "".join(c for c in text if unicodedata.category(c) not in unseen).replace("<eos>", "")

    assert seen("".join(tokenise(text, "words"))) == seen(text)


def test_lower_case_is_each_characters_own():
    assert lower("TITLE \u0130I\u0131 ΟΔΟΣ Straße ǅ \U00010400") == "title ii\u0131 οδοσ straße ǆ \U00010428"


def test_the_pages_of_lower_case_say_what_lower_does():
    index, pages = lower_case_pages()
    assert pages.nbytes + index.nbytes < 100_000
    for point in (*range(0xD800), *range(0xE000, 0x20000), 0x10FFFF):
        assert chr(point + pages[index[point // 256], point % 256]) == lower(chr(point))


def test_a_tokeniser_of_no_such_name_is_refused():
    with pytest.raises(ValueError, match="bytes"):
        tokenise("a", "bytes")
