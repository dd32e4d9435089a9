"""Scores raw text by an exported model, in a process of its own: `python -m components.evaluate.score`.

Here the export stands alone, as it will when it serves: raw text in, TensorFlow and nothing of the model's code.
"""

import argparse
import functools
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.scores import Scores
from components.evaluate.signatures import require_agreement
from components.evaluate.text import read_documents
from hopline.runtime import program
from hopline.runtime.errors import InternalError
from hopline.runtime.progress import Progress
from hopline.use import pieces

SIGNATURE = "score"
CHECK, TRUST = "check", "trust"
_BATCH_CHARACTERS = 1 << 18  # documents scored in one call; a longer one is a call by itself


def arguments() -> argparse.ArgumentParser:
    """What the program takes."""
    parser = program.parser("evaluate.score", "Scores raw text by an exported model.")
    parser.add_argument("--saved-model", type=Path, required=True, help="folder of the export")
    parser.add_argument("--text", type=Path, required=True, help="folder of the raw text, <split>-*.jsonl")
    parser.add_argument("--split", required=True, help="which of its splits")
    parser.add_argument("--latency-calls", type=int, default=0, help="how often to time one line; 0 for never")
    parser.add_argument("--signatures", choices=(CHECK, TRUST), default=TRUST, help="whether all functions must agree")
    parser.add_argument("--phase", default="export", help="what to call this in the progress shown")
    parser.add_argument("--output", type=Path, required=True, help="file to write, .npz")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, scores, and returns the exit code."""
    return program.run("evaluate", arguments(), _score, argv)


def prepare_devices() -> None:
    """Sets TensorFlow up so that two processes share a GPU and agree on numbers.

    Without memory growth the first process takes the whole device.  TensorFloat-32 rounds products to 10 bits, by
    which two programs of the same model would differ in the third digit.
    """
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _score(options: argparse.Namespace) -> None:
    documents = [document.text for document in read_documents(options.text, options.split)]
    prepare_devices()
    progress = Progress("evaluate", sum(map(len, documents)), "characters", phase=options.phase)
    check = options.signatures == CHECK
    scores = score_text(options.saved_model, documents, progress.update, options.latency_calls, check=check)
    scores.save(options.output)


def score_text(
    saved_model: Path,
    documents: Sequence[str],
    report: Callable[[int], None],
    latency_calls: int = 0,
    *,
    check: bool = False,
) -> Scores:
    """Scores `documents` by the export.

    Args:
        saved_model: folder of the export.
        documents: whole documents.
        report: called with the number of characters done so far.
        latency_calls: how often to time one line; 0 for never.
        check: whether all functions of the export must agree, see `signatures.require_agreement`.

    Raises:
        InternalError: the export does not load, has no signature "score", or its functions disagree.
    """
    import tensorflow as tf

    try:
        model = tf.saved_model.load(str(saved_model))  # kept: a signature does not keep its model alive
        function = model.signatures[SIGNATURE]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise InternalError(
            f'{saved_model} cannot be loaded, or has no signature "{SIGNATURE}": {error}',
            remedy="train the model again, or, if it is the champion, `hopline models rollback`",
        ) from error

    def call(texts: Sequence[str]) -> dict[str, Any]:
        return {name: value.numpy() for name, value in function(text=tf.constant(texts, tf.string)).items()}

    index: dict[bytes, int] = {}
    parts = []
    done = 0
    for batch in pieces.batches(documents, _BATCH_CHARACTERS):
        scored = call(batch)
        parts.append((scored["nll"], scored["ids"], _indexed(scored["words"], index), np.diff(scored["row_splits"])))
        done += sum(map(len, batch))
        report(done)
    nll, ids, word_index, lengths = (np.concatenate(column) for column in zip(*parts, strict=True))
    words = tuple(word.decode() for word in index)
    if check:
        text = next((document for document in documents if document.strip()), "")
        require_agreement(functools.partial(_answer, model.signatures), text)
    line = _line(documents)
    milliseconds = _median_milliseconds(lambda: call([line]), latency_calls) if latency_calls else math.nan
    return Scores(nll, ids, word_index, words, lengths, milliseconds)


def _answer(signatures: Mapping[str, Any], name: str, /, **inputs: Any) -> dict[str, Any]:
    """What a signature answers, whose inputs are converted to its types."""
    import tensorflow as tf

    if name not in signatures:
        raise InternalError(f'the export has no signature "{name}"', remedy="train the model again")
    specs = signatures[name].structured_input_signature[1]
    tensors = {key: tf.convert_to_tensor(value, specs[key].dtype) for key, value in inputs.items()}
    return {key: value.numpy() for key, value in signatures[name](**tensors).items()}


def _line(documents: Sequence[str]) -> str:
    """The first line that is not blank, with its end."""
    lines = (line for document in documents for line in document.split("\n"))
    return next((line for line in lines if line.strip()), "") + "\n"


def _median_milliseconds(call: Callable[[], Any], times_called: int) -> float:
    call()  # the first call of a new shape also traces and allocates
    times = []
    for _ in range(times_called):
        begin = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def _indexed(words: npt.NDArray[np.object_], index: dict[bytes, int]) -> npt.NDArray[np.int32]:
    """Each word's number in `index`, which grows by the words that are new."""
    return np.fromiter((index.setdefault(word, len(index)) for word in words), np.int32, count=len(words))


if __name__ == "__main__":
    sys.exit(main())
