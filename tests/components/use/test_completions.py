import pytest

from components.use.completions import Continuation, parse
from hopline.runtime.errors import UserError
from hopline.use.drawing import Words
from hopline.use.running import RunningText


def told(stop, parts):
    """What is told after each part of words, and why it ended."""
    one = Continuation(RunningText("", [], "whitespace"), stop)
    texts = [
        one.add(Words(tuple(words.split()), (0.0,) * len(words.split()), ((),) * len(words.split()), False), last=last)
        for words, last in zip(parts, [*[False] * (len(parts) - 1), True], strict=True)
    ]
    return "".join(texts), one.ended, texts


def test_a_text_ends_before_a_stop_string_wherever_it_is_cut():
    assert told(["c d"], ["a b", "c", "d e", "f"])[:2] == ("a b ", "stop")
    assert told(["c d"], ["a b c e"])[:2] == ("a b c e", "length")
    assert told([], ["a", "b"])[:2] == ("a b", "length")


def test_what_may_become_a_stop_string_is_held_back():
    text, _, texts = told(["b c"], ["a b x", "b", "y", "z"])
    assert text == "a b x b y z"
    assert not any(part.endswith("b") for part in texts)


def test_a_request_is_read_with_its_defaults():
    asked = parse({"prompt": "a", "logprobs": None, "stop": "x", "seed": 4}, 100)
    assert (asked.prompts, asked.tokens, asked.n, asked.stop, asked.choice.seed) == (["a"], 16, 1, ["x"], 4)


@pytest.mark.parametrize(
    "body",
    [
        [], "a", {"prompt": 3}, {"prompt": [1, 2]}, {"max_tokens": 101}, {"max_tokens": -1}, {"max_tokens": 1.5},
        {"max_tokens": True}, {"temperature": "hot"}, {"temperature": -1}, {"top_p": 0}, {"n": 0}, {"n": 1000},
        {"logprobs": 6}, {"stream": "yes"}, {"stop": [1]}, {"prompt": ["a"] * 65}, {"seed": 1 << 70},
    ],
)  # fmt: skip
def test_a_request_out_of_bounds_is_refused(body):
    with pytest.raises(UserError):
        parse(body, 100)
