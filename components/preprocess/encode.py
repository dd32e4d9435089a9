"""Encodes one range: its shard of each split, the raw text of evaluation splits, a tally and hashes of each."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.preprocess.overlap import LENGTHS, Hashes, Passages
from components.preprocess.plan import Range, Segment
from components.preprocess.reading import SOURCES, Piece, Skipped, batches, pieces, text_before
from components.preprocess.statistics import Tally
from hopline.config.corpus import CorpusConfig
from hopline.corpus.stamps import stamp
from hopline.runtime.errors import UserError
from hopline.schema import EOS, EVALUATION_SPLITS, UNKNOWN
from hopline.store.folders import whole, write_json

SHARD, TEXT, TALLY, HASHES = ".tfrecord", ".jsonl", ".npz", ".hashes.npz"  # in a range's folder, named by split

_BYTES_PER_TOKEN = 8  # a first guess at how far back the look-behind reaches


@dataclass(frozen=True)
class Encoding:
    """What an encoded range depends on besides its text and the graph.

    Attributes:
        corpus: how files are read.
        tokeniser: the tokeniser's name.
        context: the most look-behind tokens of a shard that begins inside a document.
        words: size of the vocabulary, `<pad>` included.
        thinning: which n-grams are taken (`components.preprocess.overlap`).
    """

    corpus: CorpusConfig
    tokeniser: str
    context: int
    words: int
    thinning: int


@dataclass(frozen=True)
class Tokens:
    """Tokens of a text: their ids, int64 [N], and hashes of their words, uint64 [N]."""

    ids: np.ndarray
    hashes: Hashes

    @property
    def of_words(self) -> Hashes:
        """The hashes but for those of line ends."""
        return self.hashes[self.ids != EOS]


NO_TOKENS = Tokens(np.empty(0, np.int64), np.empty(0, np.uint64))


class Tokeniser:
    """The transform graph, loaded from its SavedModel."""

    def __init__(self, folder: Path) -> None:
        self._model = tf.saved_model.load(str(folder))  # held: the graph does not keep its tables alive

    def __call__(self, texts: list[bytes]) -> Iterator[Tokens]:
        """The tokens of each text."""
        encoded = self._model.transform_fn({"text": tf.constant(texts, tf.string)})
        ids = encoded["tokens"].flat_values.numpy()
        hashes = tf.strings.to_hash_bucket_fast(encoded["words"].flat_values, 2**63 - 1).numpy().astype(np.uint64)
        cuts = encoded["tokens"].row_splits.numpy()[1:-1]
        for part, hashed in zip(np.split(ids, cuts), np.split(hashes, cuts), strict=True):
            yield Tokens(part, hashed)

    def before(self, segment: Segment, least: int, corpus: CorpusConfig) -> Tokens:
        """The last `least` tokens or more of the segment's file before the segment, fewer where it has no more."""
        size = least * _BYTES_PER_TOKEN
        while True:
            text, complete = text_before(segment, size, corpus)
            tokens = next(self([text]))
            if complete or len(tokens.of_words) >= least:
                return tokens
            size *= 2


class _SplitWriter:
    """Writes the passages of one split of one range."""

    def __init__(self, folder: Path, split: str, encoding: Encoding, files: contextlib.ExitStack) -> None:
        self.tally = Tally(np.zeros(encoding.words, np.int64))
        self._stem = folder / split
        self._shard = files.enter_context(tf.io.TFRecordWriter(str(folder / (split + SHARD))))
        self._text = None
        if split in EVALUATION_SPLITS:
            self._text = files.enter_context((folder / (split + TEXT)).open("w", encoding="utf-8"))
        self._document, self._length = "", 0
        self._passages = Passages(LENGTHS[encoding.tokeniser], encoding.thinning)
        self._context = encoding.context

    def write(self, piece: Piece, tokens: Tokens, before: Tokens) -> None:
        """Adds a passage, and tokens before it that belong to another range."""
        text = piece.text.decode()
        self._shard.write(_example(piece, tokens.ids, before.ids[-self._context :]))
        if self._text:
            line = {"document": piece.document, "offset": piece.offset, "text": text}
            self._text.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.tally.characters += len(text)
        np.add.at(self.tally.word_counts, tokens.ids, 1)
        if piece.document != self._document:
            self._end_document()
            self._document = piece.document
        self.tally.add_unknown(tokens.hashes[tokens.ids == UNKNOWN])
        file = piece.segment.file
        self._passages.add(piece.document, file, tokens.of_words, before.of_words, cut=piece.cut)
        if piece.cut:
            self.tally.cut_documents[piece.document] += len(tokens.ids)
        else:
            self._length += len(tokens.ids)

    def finish(self) -> None:
        """Saves the tally and the hashes."""
        self._end_document()
        self.tally.save(self._stem.with_name(self._stem.name + TALLY))
        np.savez(self._stem.with_name(self._stem.name + HASHES), **self._passages.arrays())  # type: ignore[arg-type]

    def _end_document(self) -> None:
        if self._length:
            self.tally.end_document(self._document, self._length)
        self._length = 0


def encode(
    work: Range, target: Path, tokeniser: Tokeniser, encoding: Encoding, report: Callable[[int], None]
) -> dict[str, int]:
    """Writes the range's files into the folder `target`, whole or not at all; the same bytes each time.

    Args:
        work: what to encode.
        target: the folder to make; one that exists is replaced.
        tokeniser: makes the ids.
        encoding: what else the files depend on.
        report: called with the bytes of text encoded so far.

    Returns:
        Counts of the range by name: text_bytes, documents (that begin here), tokens, unknown, skipped_lines.

    Raises:
        UserError: the text is damaged, or a file changes meanwhile.
    """
    corpus, done = encoding.corpus, 0
    paths = {str(segment.path): segment.path for segment in work.segments}
    sources = {name: stamp(path) for name, path in paths.items()}
    with whole(target) as folder, contextlib.ExitStack() as files:
        writers: dict[str, _SplitWriter] = {}
        head = work.segments[0]
        before = NO_TOKENS
        if head.start and corpus.documents == "file":
            before = tokeniser.before(head, max(encoding.context, *LENGTHS[encoding.tokeniser]), corpus)
        skipped = Skipped()
        for batch in batches(pieces(work, corpus, skipped)):
            for piece, tokens in zip(batch, tokeniser([piece.text for piece in batch]), strict=True):
                if not len(tokens.ids):
                    continue
                if piece.split not in writers:
                    writers[piece.split] = _SplitWriter(folder, piece.split, encoding, files)
                writers[piece.split].write(piece, tokens, before)
                before = NO_TOKENS
                done += len(piece.text)
            report(done)
        for writer in writers.values():
            writer.finish()
        for name, path in paths.items():
            if stamp(path) != sources[name]:
                raise UserError(
                    f"{path} has changed while it was read",
                    remedy="run again when nothing writes to the corpus any more",
                )
        write_json(folder / SOURCES, {"stamps": sources, "skipped": asdict(skipped)})
    tallies = [writer.tally for writer in writers.values()]
    continued = head.start > 0 and corpus.documents == "file" and any(head.file in t.cut_documents for t in tallies)
    return {
        "text_bytes": done,
        "documents": sum(t.lengths.total() + len(t.cut_documents) for t in tallies) - continued,
        "tokens": sum(t.tokens for t in tallies),
        "unknown": sum(int(t.word_counts[UNKNOWN]) for t in tallies),
        "skipped_lines": skipped.lines,
    }


def _example(piece: Piece, tokens: np.ndarray, look_behind: np.ndarray) -> bytes:
    """The passage as a tf.train.Example (`hopline.schema.Passage`), as `SerializeToString(deterministic=True)` has it.

    The map's entries come in the order of their keys, of which "tokens" is the last: that entry is encoded here, since
    protobuf would ask for a Python int of each.
    """

    def integer(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        "document": tf.train.Feature(bytes_list=tf.train.BytesList(value=[piece.document.encode()])),
        "offset": integer(piece.offset),
        "look_behind": integer(len(look_behind)),
    }
    others = tf.train.Features(feature=features).SerializeToString(deterministic=True)
    packed = _field(3, _field(1, _varints(np.concatenate([look_behind, tokens]))))  # Feature.int64_list.value
    return _field(1, others + _field(1, _field(1, b"tokens") + _field(2, packed)))


def _field(number: int, content: bytes) -> bytes:
    """A field of protobuf's wire format that holds bytes; `number` is below 16."""
    return bytes([number << 3 | 2]) + _varints(np.array([len(content)])) + content


def _varints(values: np.ndarray) -> bytes:
    """Integers from 0 on as protobuf packs them: seven bits a byte, lowest first, the top bit on all but the last."""
    width = -(-max(int(values.max()).bit_length(), 1) // 7)
    shifted = values.astype(np.uint64)[:, np.newaxis] >> (7 * np.arange(width, dtype=np.uint64))
    more = np.zeros(shifted.shape, np.bool_)
    more[:, :-1] = shifted[:, 1:] > 0
    used = np.ones(shifted.shape, np.bool_)
    used[:, 1:] = more[:, :-1]
    return ((shifted & 0x7F).astype(np.uint8) | (more.astype(np.uint8) << 7))[used].tobytes()
