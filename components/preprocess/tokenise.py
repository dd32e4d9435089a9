"""The graph that makes text tokens: the `preprocessing_fn` of TensorFlow Transform, and its SavedModel.

The same graph makes the shards and later serves raw text, so the two cannot differ.
"""

import functools
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public.tfxio import TensorAdapterConfig

from components.preprocess.graph import split
from hopline.config.preprocess import PreprocessConfig
from hopline.schema import EOS, RESERVED_WORDS, UNKNOWN
from hopline.store.folders import whole

_TEXT_COLUMN = pa.schema([("text", pa.list_(pa.binary()))])
# Names with TensorFlow's count of what the process has made: of functions, of tables and their initialisers.
_NUMBERED = re.compile(
    r"(?P<name>\b__inference_[A-Za-z_]+?_|\bkey_value_init"
    r'|key: "(?:shared_name|_user_specified_name)"\s+value \{\s+s: ")(?P<number>\d+)'
)


def preprocessing_fn(inputs: dict[str, Any], words: list[str], config: PreprocessConfig) -> dict[str, Any]:
    """Text to token ids and words.

    `<unk>` typed in the text is the unknown word, `<eos>` is an end of line, and `<pad>` is unknown like any other word
    that is not in the vocabulary, because no text is padding.

    Args:
        inputs: text, a string tensor [N]; each may hold any number of lines.
        words: by id, the reserved ones first.
        config: tokeniser and lowercase are read.

    Returns:
        tokens (int64) and words (string), ragged [N, None]: an item per word, and `<eos>` per line end.
    """
    found = split(inputs["text"], config.tokeniser, lowercase=config.lowercase)
    ids = {word: number for number, word in enumerate(words)} | {RESERVED_WORDS[EOS]: EOS}
    for word in RESERVED_WORDS:
        if word != RESERVED_WORDS[EOS]:
            del ids[word]
    with tf.init_scope():  # the words stand in the graph itself: a file would be known by its path
        entries = tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(ids), tf.string), tf.constant(list(ids.values()), tf.int64)
        )
        table = tf.lookup.StaticHashTable(entries, default_value=UNKNOWN)
    return {"tokens": found.with_flat_values(table.lookup(found.flat_values)), "words": found}


def write_transform(words: list[str], target: Path, scratch: Path, config: PreprocessConfig) -> None:
    """Writes the graph that `preprocessing_fn` gives for these words, the same bytes each time.

    Args:
        words: by id, the reserved ones first.
        target: the folder to make.
        scratch: a folder for files on the way.
        config: tokeniser and lowercase are read.
    """
    dense = schema_pb2.TensorRepresentation.DenseTensor(column_name="text", shape=schema_pb2.FixedShape())
    adapter = TensorAdapterConfig(_TEXT_COLUMN, {"text": schema_pb2.TensorRepresentation(dense_tensor=dense)})
    shutil.rmtree(scratch / "tft", ignore_errors=True)  # of a run that was killed
    traced = functools.partial(preprocessing_fn, words=words, config=config)
    with beam.Pipeline(runner="FnApiRunner") as pipeline, tft_beam.Context(temp_dir=str(scratch / "tft")):
        # Nothing is left to be analysed: without text this takes no longer than the graph itself.
        no_text = pipeline | beam.Create([], reshuffle=False)
        graph = (no_text, adapter) | tft_beam.AnalyzeDataset(traced)
        graph | tft_beam.WriteTransformFn(str(scratch / "tft" / "output"))
    with whole(target) as folder:
        shutil.copytree(scratch / "tft" / "output" / "transform_fn", folder, dirs_exist_ok=True)
        (folder / "fingerprint.pb").unlink()  # holds a random number, and is not needed
        _renumber(folder / "saved_model.pb")


def _renumber(path: Path) -> None:
    """Numbers functions and tables of a SavedModel from 0: TensorFlow counts all that the process has made so far."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString(path.read_bytes())
    words = [tensor.string_val[:] for tensor in _tensors(model)]
    for tensor in _tensors(model):
        del tensor.string_val[:]  # a word of the vocabulary may look like a name
    text = text_format.MessageToString(model)
    order = sorted({int(match["number"]) for match in _NUMBERED.finditer(text)})
    numbers = {number: place for place, number in enumerate(order)}
    text = _NUMBERED.sub(lambda match: f"{match['name']}{numbers[int(match['number'])]}", text)
    model = text_format.Parse(text, saved_model_pb2.SavedModel())
    for tensor, values in zip(_tensors(model), words, strict=True):
        tensor.string_val.extend(values)
    for graph in model.meta_graphs:  # in the order of their names: the old ones had other numbers of digits
        functions = sorted(graph.graph_def.library.function, key=lambda function: function.signature.name)
        del graph.graph_def.library.function[:]
        graph.graph_def.library.function.extend(functions)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _tensors(model: saved_model_pb2.SavedModel) -> Iterator[tensor_pb2.TensorProto]:
    """The constants of all graphs and functions, in order."""
    for graph in model.meta_graphs:
        functions = [function.node_def for function in graph.graph_def.library.function]
        for node in itertools.chain(graph.graph_def.node, *functions):
            if node.op == "Const":
                yield node.attr["value"].tensor
