"""Of any text, cut anywhere: each token is a target once, and what stands before it is from its own document."""

import dataclasses
import functools
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.preprocess.encode import Encoding, Tokeniser, encode
from components.preprocess.graph import split
from components.preprocess.plan import cut
from hopline.config.corpus import CorpusConfig
from hopline.corpus.files import source_files
from hopline.model.streams import read_shard
from hopline.model.tokenisers import tokenise
from hopline.schema import EOS, RESERVED_WORDS, TOKENISERS, UNKNOWN
from tests.hopline.model.test_tokenisers import TEXT

WORDS = [*RESERVED_WORDS, "a", ",", "don't", "é", "中", "\u2423"]


class Graph(tf.Module):
    """The transform graph for a few words."""

    def __init__(self, tokeniser):
        super().__init__()
        self.tokeniser = tokeniser
        ids = {word: number for number, word in enumerate(WORDS) if number >= EOS}
        keys, values = tf.constant(list(ids)), tf.constant(list(ids.values()), tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), UNKNOWN)

    @tf.function(input_signature=[{"text": tf.TensorSpec([None], tf.string)}])
    def transform_fn(self, inputs):
        words = split(inputs["text"], self.tokeniser, lowercase=False)
        return {"tokens": words.with_flat_values(self.table.lookup(words.flat_values)), "words": words}


@functools.cache
def tokeniser_of(name):
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(Graph(name), folder)
        return Tokeniser(Path(folder))


def ids(text, tokeniser):
    known = {word: number for number, word in enumerate(WORDS) if number >= EOS}
    return [known.get(word, UNKNOWN) for word in tokenise(text, tokeniser)]


# Lines and blanks are where text may be cut: there are many.
LONG = st.lists(st.one_of(TEXT, st.sampled_from(["\n", " ", "\r\n", "\r", "a a\n"])), max_size=12).map("".join)
TEXTS = st.lists(LONG.map(lambda text: text.replace("\0", "")), min_size=1, max_size=4).filter(any)


@pytest.mark.parametrize("tokeniser", TOKENISERS)
@settings(deadline=None, max_examples=40)
@given(texts=TEXTS, shard_bytes=st.integers(1, 200), context=st.integers(1, 9))
def test_any_text_cut_anywhere_keeps_its_tokens_in_order(tokeniser, texts, shard_bytes, context):
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            Path(folder, str(number)).write_bytes(text.encode())
        config = CorpusConfig(train=folder)
        files = [dataclasses.replace(file, split="train") for file in source_files(config, Path(folder))]
        encoding = Encoding(config, tokeniser, context, len(WORDS), thinning=0)
        seen = {str(number): [] for number in range(len(texts))}
        for work in cut(files, "file", shard_bytes):
            target = Path(folder, f".{work.index}")
            encode(work, target, tokeniser_of(tokeniser), encoding, report=lambda done: None)
            shard = target / "train.tfrecord"
            for index, passage in enumerate(read_shard(shard) if shard.exists() else ()):
                tokens, before = passage.tokens.tolist(), seen[passage.document]
                assert passage.look_behind == (min(context, len(before)) if index == 0 else 0)
                assert tokens[: passage.look_behind] == before[len(before) - passage.look_behind :]
                before += tokens[passage.look_behind :]
        starts = [text.removeprefix("\ufeff") for text in texts]  # a byte order mark there is none of the text
        assert seen == {str(number): ids(text, tokeniser) for number, text in enumerate(starts)}
