"""The first tokens of a split's first documents, for the page of the examples."""

from pathlib import Path
from typing import Any

import tensorflow as tf

_DOCUMENTS, _TOKENS = 3, 48


def beginnings(shards: list[Path]) -> list[dict[str, Any]]:
    """Name and ids of the first documents, however shards cut them; no more is read than is needed.

    Args:
        shards: of one split, in order.
    """
    found: dict[str, list[int]] = {}
    for record in tf.data.TFRecordDataset([str(shard) for shard in shards]).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        document = features["document"].bytes_list.value[0].decode()
        if document not in found and len(found) == _DOCUMENTS:
            break
        tokens = found.setdefault(document, [])
        start = features["look_behind"].int64_list.value[0]
        tokens += features["tokens"].int64_list.value[start : start + _TOKENS - len(tokens)]
        if len(found) == _DOCUMENTS and len(tokens) == _TOKENS:
            break
    return [{"document": document, "ids": ids} for document, ids in found.items()]
