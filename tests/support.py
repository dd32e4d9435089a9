"""Small worlds for tests: a synthetic corpus, and examples made of it without Beam."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from hopline import artifacts, schema


def synthetic_documents(seed: int, documents: int, words: int, vocabulary: int = 40) -> list[str]:
    """Documents of a seeded second-order process: the next word depends on the two before it, with some noise."""
    random = np.random.Generator(np.random.Philox(seed))
    result = []
    for _ in range(documents):
        ids = [1, 2]
        while len(ids) < words:
            noisy = random.random() < 0.1
            ids.append(int(random.integers(vocabulary)) if noisy else (3 * ids[-1] + 5 * ids[-2] + 7) % vocabulary)
        lines = [" ".join(f"w{i:02}" for i in ids[at : at + 9]) for at in range(0, len(ids), 9)]
        result.append("\n".join(lines) + "\n")
    return result


class PlainTransform(tf.Module):
    """The transform graph's contract, without TensorFlow Transform."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        keys = tf.constant([*words, schema.RESERVED_WORDS[schema.EOS]])
        ids = tf.constant([*range(3, 3 + len(words)), schema.EOS], tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), schema.UNKNOWN)

    @tf.function(input_signature=[{"text": tf.TensorSpec([None], tf.string)}])
    def transform_fn(self, inputs):
        words = tf.strings.split(tf.strings.regex_replace(inputs["text"], "\n", " <eos> "))
        return {"tokens": words.with_flat_values(self.table.lookup(words.flat_values)), "words": words}


def write_examples(folder: Path, splits: Mapping[str, Sequence[str]]) -> artifacts.Manifest:
    """Writes `examples/` as the preprocess step would, one shard a split and one passage a document."""
    words = sorted({word for text in splits["train"] for word in text.split()})
    transform = PlainTransform(words)
    tf.saved_model.save(transform, str(folder / schema.TRANSFORM_FOLDER))
    (folder / schema.SHARDS_FOLDER).mkdir()
    (folder / schema.TEXT_FOLDER).mkdir()
    (folder / schema.VOCABULARY_FILE).write_text("\n".join([*schema.RESERVED_WORDS, *words]) + "\n")
    counts = {}
    for split, texts in splits.items():
        rows = transform.transform_fn({"text": tf.constant(texts)})["tokens"].to_list()
        shard = schema.shard_name(split, 0, 1)
        with tf.io.TFRecordWriter(str(folder / schema.SHARDS_FOLDER / f"{shard}.tfrecord")) as writer:
            for index, row in enumerate(rows):
                writer.write(record(schema.Passage(f"document-{index}", 0, 0, row)))
        lines = [
            json.dumps({"document": f"document-{index}", "offset": 0, "text": text}) for index, text in enumerate(texts)
        ]
        (folder / schema.TEXT_FOLDER / f"{shard}.jsonl").write_text("\n".join(lines) + "\n")
        tokens = sum(map(len, rows))
        counts[split] = {"documents": len(texts), "tokens": tokens, "targets": tokens}
    facts = {"vocabulary_size": len(words) + len(schema.RESERVED_WORDS), "fingerprint": "synthetic"}
    facts |= {"tokeniser": "whitespace", "lowercase": False}
    return artifacts.seal(folder, schema.EXAMPLES, parents={}, config={}, counts=counts, facts=facts)


def record(passage: schema.Passage) -> bytes:
    """The passage as a TFRecord's bytes."""

    def ints(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    features = {
        "document": tf.train.Feature(bytes_list=tf.train.BytesList(value=[passage.document.encode()])),
        "offset": ints([passage.offset]),
        "look_behind": ints([passage.look_behind]),
        "tokens": ints(passage.tokens),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
