"""Examples as the model reads them: token streams, and the windows that are cut from them.

A split is one stream: its documents back to back, each after one `PAD`.  A window of T targets and the M
tokens before them is cut anywhere in the stream; padding in it ends the memory (`hopline.model.layers`) and is never
a target.  So documents need no padding to the window's length, and context never crosses from one to the next.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hopline import schema
from hopline.artifacts import Manifest
from hopline.runtime.errors import UserError

Ids = npt.NDArray[np.int32]

_FEATURES = {
    "document": tf.io.FixedLenFeature([], tf.string),
    "offset": tf.io.FixedLenFeature([], tf.int64),
    "look_behind": tf.io.FixedLenFeature([], tf.int64),
    "tokens": tf.io.RaggedFeature(tf.int64),
}
_RECORDS_AT_ONCE = 1024  # parsed in one call, which costs as much as parsing some hundred records
_HELD_TOKENS = 64 << 20  # the largest split that is held in memory: 256 MiB, twice that while it is read


@dataclass(frozen=True)
class TokenStream:
    """A split.

    Attributes:
        ids: shape (N,), the split's documents, each after one `PAD`; of a large split they are mapped from a file.
        name: what to call it in messages.
    """

    ids: Ids
    name: str

    @property
    def targets(self) -> int:
        """Number of tokens that are predicted: all but the padding."""
        return int(np.count_nonzero(self.ids))  # PAD is 0; comparing would make a byte for each token

    def windows(self, starts: npt.ArrayLike, memory: int, targets: int) -> Ids:
        """Cuts one window for each start.

        Args:
            starts: shape (B,), index in `ids` of each window's first target; a window may reach over either end.
            memory: M.
            targets: T.

        Returns:
            Shape (B, M + T): the M tokens before the first target, then the T targets; `PAD` beyond the ends.
        """
        index = np.asarray(starts)[:, None] + np.arange(-memory, targets)
        inside = (index >= 0) & (index < len(self.ids))
        return np.where(inside, self.ids[np.where(inside, index, 0)], schema.PAD).astype(np.int32)


def load_stream(examples: Path, manifest: Manifest, split: str, least: int, *, scratch: Path) -> TokenStream:
    """Reads a split's shards.

    A split of up to `_HELD_TOKENS` is held in memory, four bytes a token.  A larger one is written to a file without a
    name in `scratch` and mapped: the system keeps in memory what is used of it, and lets it go where that is short.

    Args:
        examples: the folder of the examples.
        manifest: its manifest.
        split: one of `schema.SPLITS`.
        least: the fewest tokens that will do, such as one sequence.
        scratch: a folder on a disk with four bytes for each token of a large split.

    Raises:
        UserError: the split is absent or too short, or a shard is damaged (it is named).
    """
    shards = sorted(name for name in manifest.files if name.startswith(f"{schema.SHARDS_FOLDER}/{split}-"))
    parts = _joined(passage for name in shards for passage in read_shard(examples / name))
    recorded = manifest.counts.get(split, {}).get("targets", 0)
    ids = _mapped(parts, scratch) if recorded > _HELD_TOKENS else np.concatenate([np.zeros(0, np.int32), *parts])
    stream = TokenStream(ids, name=split)
    if stream.targets < least:
        raise UserError(
            f'the split "{split}" has {stream.targets:,} tokens, but one sequence needs {least:,}',
            remedy="give it more text, or use shorter sequences (train.targets)",
        )
    if stream.targets != recorded:
        raise UserError(
            f'the split "{split}" has {stream.targets:,} tokens, but its manifest records {recorded:,}',
            remedy=f"remove {examples} and run again to make it anew",
        )
    return stream


def read_shard(path: Path) -> list[schema.Passage]:
    """The passages of one shard, in order.

    Raises:
        UserError: the file is damaged.
    """
    passages: list[schema.Passage] = []
    try:
        for records in tf.data.TFRecordDataset(str(path)).batch(_RECORDS_AT_ONCE).as_numpy_iterator():
            parsed = tf.io.parse_example(records, _FEATURES)
            ids, ends = parsed["tokens"].values.numpy().astype(np.int32), parsed["tokens"].row_splits.numpy()
            columns = [parsed[name].numpy().tolist() for name in ("document", "offset", "look_behind")]
            for row, (document, offset, look_behind) in enumerate(zip(*columns, strict=True)):
                tokens = ids[ends[row] : ends[row + 1]]
                passages.append(schema.Passage(document.decode(), offset, look_behind, tokens))
    except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
        raise UserError(
            f"{path} is damaged: {error.message}", remedy=f"remove {path.parent.parent} and run again to make it anew"
        ) from error
    return passages


def _joined(passages: Iterable[schema.Passage]) -> Iterator[Ids]:
    """The ids of passages back to back, with a `PAD` before each document.

    The look-behind of a shard that begins inside a document repeats what the shard before it held.
    """
    document = None
    for passage in passages:
        if passage.document != document:
            yield np.array([schema.PAD], np.int32)
            document = passage.document
        yield np.asarray(passage.tokens[passage.look_behind :], np.int32)


def _mapped(parts: Iterable[Ids], folder: Path) -> Ids:
    """The parts back to back, mapped from a file that has no name: nothing is left of it, however this process ends."""
    with tempfile.TemporaryFile(dir=folder) as file:
        for part in parts:
            file.write(part.data)
        file.flush()
        return np.asarray(np.memmap(file, np.int32, "r"))
