from hypothesis import example, given, settings
from hypothesis import strategies as st

from hopline.model.tokenisers import join, tokenise
from hopline.schema import TOKENISERS
from hopline.use.running import RunningText

WORDS = st.lists(
    st.sampled_from(["a", "don't", "3", ".", ",", "-", '"', "(", ")", "世", "<eos>", "<unk>", "$"]), max_size=12
)


@settings(deadline=None)
@given(WORDS, WORDS, st.integers(1, 3), st.sampled_from(TOKENISERS))
@example(["a", "-"], ["a"], 1, "words")  # "a -" is there already: the hyphen's blank cannot be taken back
def test_what_is_given_as_words_come_is_the_joined_text(before, words, at_once, tokeniser):
    running = RunningText("", before, tokeniser)
    given = "".join(running.add(words[at : at + at_once]) for at in range(0, len(words), at_once)) + running.rest()
    whole = join([*before, *words], tokeniser)
    assert whole.endswith(given)
    assert _without_blanks(whole.removesuffix(given)) == _without_blanks(join(before, tokeniser))


def test_a_word_behind_a_mark_that_would_lean_on_it_is_given_whole():
    running = RunningText("well -", ["well", "-"], "words")
    assert running.add(["known", "."]) + running.rest() == "known."


def _without_blanks(text):
    return text.replace(" ", "")


def test_a_blank_at_the_texts_end_is_not_doubled():
    for text, expected in (("the stock", " market."), ("the stock ", "market.")):
        running = RunningText(text, tokenise(text, "words"), "words")
        assert running.add(["market", "."]) + running.rest() == expected
