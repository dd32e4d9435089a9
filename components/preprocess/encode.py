"""Encodes one range: its shard of each split, the raw text of evaluation splits, and a tally of each."""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.preprocess.plan import Range, Segment
from components.preprocess.reading import Piece, batches, pieces, text_before
from components.preprocess.statistics import Tally
from hopline.config.corpus import CorpusConfig
from hopline.schema import EVALUATION_SPLITS, UNKNOWN
from hopline.store.folders import whole

SHARD, TEXT, TALLY = ".tfrecord", ".jsonl", ".npz"  # files of a range's folder, named by split

_BYTES_PER_TOKEN = 8  # a first guess at how far back the look-behind reaches
_NOTHING = np.empty(0, np.int64)


class Tokeniser:
    """The transform graph, loaded from its SavedModel."""

    def __init__(self, folder: Path) -> None:
        self._model = tf.saved_model.load(str(folder))  # held: the graph does not keep its tables alive

    def __call__(self, texts: list[bytes]) -> Iterator[tuple[np.ndarray, list[bytes]]]:
        """For each text its ids (int64), and the words in it that became `<unk>`."""
        encoded = self._model.transform_fn({"text": tf.constant(texts, tf.string)})
        tokens, words = encoded["tokens"], encoded["words"]
        unknown = iter(tf.boolean_mask(words.flat_values, tokens.flat_values == UNKNOWN).numpy().tolist())
        for ids in np.split(tokens.flat_values.numpy(), tokens.row_splits.numpy()[1:-1]):
            yield ids, list(itertools.islice(unknown, int(np.count_nonzero(ids == UNKNOWN))))

    def before(self, segment: Segment, context: int, corpus: CorpusConfig) -> np.ndarray:
        """The last `context` tokens of the segment's file before the segment, fewer where it has no more."""
        size = context * _BYTES_PER_TOKEN
        while True:
            text, complete = text_before(segment, size, corpus)
            tokens, _ = next(self([text]))
            if complete or len(tokens) >= context:
                return tokens[-context:]
            size *= 2


class _SplitWriter:
    """Writes the passages of one split of one range."""

    def __init__(self, folder: Path, split: str, words: int, files: contextlib.ExitStack) -> None:
        self.tally = Tally(np.zeros(words, np.int64))
        self._tally_file = folder / (split + TALLY)
        self._shard = files.enter_context(tf.io.TFRecordWriter(str(folder / (split + SHARD))))
        self._text = None
        if split in EVALUATION_SPLITS:
            self._text = files.enter_context((folder / (split + TEXT)).open("w", encoding="utf-8"))
        self._document, self._length = "", 0
        self._unknown: set[bytes] = set()  # of hashes, which are shorter than words and of one length

    def write(self, piece: Piece, tokens: np.ndarray, unknown: list[bytes], look_behind: np.ndarray) -> None:
        """Adds a passage: its tokens, the words among them that are unknown, and the tokens before it."""
        text = piece.text.decode()
        self._shard.write(_example(piece, tokens, look_behind))
        if self._text:
            line = {"document": piece.document, "offset": piece.offset, "text": text}
            self._text.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.tally.characters += len(text)
        np.add.at(self.tally.word_counts, tokens, 1)
        if piece.document != self._document:
            self._end_document()
            self._document = piece.document
        self._unknown.update(hashlib.blake2b(word, digest_size=8).digest() for word in set(unknown))
        if piece.cut:
            self.tally.cut_documents[piece.document] += len(tokens)
        else:
            self._length += len(tokens)

    def finish(self) -> None:
        """Saves the tally."""
        self._end_document()
        self.tally.unknown = np.unique(np.frombuffer(b"".join(self._unknown), np.uint64))
        self.tally.save(self._tally_file)

    def _end_document(self) -> None:
        if self._length:
            self.tally.lengths[self._length] += 1
        self._length = 0


def encode(
    work: Range,
    target: Path,
    tokeniser: Tokeniser,
    *,
    corpus: CorpusConfig,
    context: int,
    words: int,
    report: Callable[[int], None],
) -> None:
    """Writes the range's files into the folder `target`, whole or not at all; the same bytes each time.

    Args:
        work: what to encode.
        target: the folder to make; one that exists is replaced.
        tokeniser: makes the ids.
        corpus: how files are read.
        context: the most look-behind tokens of a shard that begins inside a document.
        words: size of the vocabulary, `<pad>` included.
        report: called with the bytes of text encoded so far.

    Raises:
        UserError: the text is damaged.
    """
    done = 0
    with whole(target) as folder, contextlib.ExitStack() as files:
        writers: dict[str, _SplitWriter] = {}
        head = work.segments[0]
        look_behind = _NOTHING
        if head.start and corpus.documents == "file":
            look_behind = tokeniser.before(head, context, corpus)
        for batch in batches(pieces(work, corpus)):
            for piece, (tokens, unknown) in zip(batch, tokeniser([piece.text for piece in batch]), strict=True):
                if not len(tokens):
                    continue
                if piece.split not in writers:
                    writers[piece.split] = _SplitWriter(folder, piece.split, words, files)
                writers[piece.split].write(piece, tokens, unknown, look_behind)
                look_behind = _NOTHING
                done += len(piece.text)
            report(done)
        for writer in writers.values():
            writer.finish()


def _example(piece: Piece, tokens: np.ndarray, look_behind: np.ndarray) -> bytes:
    """The passage as a tf.train.Example (`hopline.schema.Passage`)."""

    def integers(values: list[int]) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    features = {
        "document": tf.train.Feature(bytes_list=tf.train.BytesList(value=[piece.document.encode()])),
        "offset": integers([piece.offset]),
        "look_behind": integers([len(look_behind)]),
        "tokens": integers([*look_behind.tolist(), *tokens.tolist()]),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)
