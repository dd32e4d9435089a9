import dataclasses

import numpy as np
import pytest

from components.evaluate.scores import Scores
from hopline.runtime.errors import InternalError


def make(words=("a", "b\u00e9", "<eos>"), word_index=(1, 0, 2, 1)):
    return Scores(
        nll=np.arange(len(word_index), dtype=np.float32),
        ids=np.array(word_index, np.int64) + 2,
        word_index=np.array(word_index, np.int32),
        words=words,
        lengths=np.array([1, len(word_index) - 1] if len(word_index) else [0], np.int64),
        milliseconds=2.5,
    )


@pytest.mark.parametrize("scores", [make(), make(("\0",), (0,)), make((), ())], ids=["words", "a NUL", "nothing"])
def test_scores_are_read_as_they_were_written(tmp_path, scores):
    scores.save(tmp_path / "scores.npz")
    read = Scores.load(tmp_path / "scores.npz")
    for field in dataclasses.fields(Scores):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(scores, field.name))


def test_surface_gives_the_tokens_as_written():
    assert make().surface() == ["b\u00e9", "a", "<eos>", "b\u00e9"]


def test_every_token_has_its_document():
    assert make().documents.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04torn"])
def test_a_missing_or_damaged_file_is_an_internal_error(tmp_path, content):
    path = tmp_path / "scores.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InternalError, match="holds no scores"):
        Scores.load(path)
