"""The layout of `examples/`, what else steps call by name, and the ids that every vocabulary begins with.

    examples/
      manifest.json
      vocabulary.txt                   one word a line; the line's number, from 0, is the word's id
      transform/                       SavedModel: transform_fn({"text": [N]}) gives tokens and words, ragged [N, None];
                                       the manifest's facts name the tokeniser
      shards/train-00000-of-00002.tfrecord  TFRecord of passages (`Passage`)
      text/valid-00000-of-00001.jsonl  the same passages as raw text; evaluation splits only
      statistics.json                  counts, unknown rate, document lengths, word counts and first tokens per split;
                                       of the evaluation splits what stands in the training text too
      profile.json                     what a later corpus is compared with: a model takes it along
      report.html                      all this for people; no part of the id

A split is its shards in the order of their names: consecutive passages of consecutive documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PAD, UNKNOWN, EOS = 0, 1, 2
RESERVED_WORDS = ("<pad>", "<unk>", "<eos>")  # by id
TOKENISERS = ("words", "whitespace", "characters")  # hopline.model.tokenisers says what they do

SPLITS = ("train", "valid", "test")
EVALUATION_SPLITS = ("valid", "test")

MANIFEST = "manifest.json"  # seals every directory that one step leaves for another
EXAMPLES = "examples"  # the manifest's kind
MODEL = "model"  # the kind of a model's manifest
MODEL_FILE = "model.keras"  # in a model's folder
SAVED_MODEL_FOLDER = "saved_model"  # the same model, which takes raw text
INPUT_EXAMPLE_FILE = "input_example.json"  # beside it: for each signature a request of TensorFlow Serving's form
VOCABULARY_FILE = "vocabulary.txt"
TRANSFORM_FOLDER = "transform"
SHARDS_FOLDER = "shards"
TEXT_FOLDER = "text"
STATISTICS_FILE = "statistics.json"
PROFILE_FILE = "profile.json"  # also in a model's folder
REPORT_FILE = "report.html"

OUTPUT_LOCK, OUTPUT_CACHE, OUTPUT_RUNS = "lock", "cache", "runs"  # in the --output of `hopline run`: known by these

WEBHOOK_VARIABLE = (
    "HOPLINE_WEBHOOK_URL"  # in the environment of the step notify: a URL that gets a POST when a run has failed
)

# Annotations of a Job: the number of workers that is asked for; how far its training is (in percent, in seconds, and
# the values beside them, such as the loss, as JSON).
WORKERS_ANNOTATION = "hopline/workers"
PROGRESS_ANNOTATION, LEFT_ANNOTATION, VALUES_ANNOTATION = "hopline/percent", "hopline/seconds-left", "hopline/values"


@dataclass(frozen=True)
class Passage:
    """Consecutive lines of one document.

    Attributes:
        document: the document's name: its file, with `@` and the byte where it begins if a file holds several.
        offset: byte at which the passage's own text begins: in the (decompressed) file, or in the document
            where that is a JSON line.
        look_behind: how many leading tokens stand before the passage; they are context, not targets.
            Only a shard that begins inside a document starts with such a passage.
        tokens: ids, look-behind first.
    """

    document: str
    offset: int
    look_behind: int
    tokens: Sequence[int]


def shard_name(split: str, index: int, count: int) -> str:
    """The shard's file name without folder or extension."""
    return f"{split}-{index:05}-of-{count:05}"
