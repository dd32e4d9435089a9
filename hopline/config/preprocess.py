"""The section [preprocess]: how text becomes tokens."""

from dataclasses import dataclass
from typing import Any

from hopline.config.section import Section, at_least, one_of, require
from hopline.schema import TOKENISERS


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig(Section):
    """How text becomes tokens and shards."""

    name = "preprocess"

    tokeniser: str = "words"  # or "whitespace", "characters": hopline.model.tokenisers
    lowercase: bool = False
    # "own": counted in the training text; "champion": the champion's as it is, and max_words and min_count do not
    # apply.  Without a champion yet it is the corpus's own.
    vocabulary: str = "own"
    max_words: int = 10_000  # the most frequent words kept, reserved words not counted
    min_count: int = 2  # rarer words become <unk>: without any in training a model never learns what <unk> costs
    context: int = 512  # look-behind tokens at the head of a shard; the memory may be as long
    shard_bytes: int = 16 << 20  # of raw text in one shard
    # The data contract: what breaks it stops the run before anything is trained.
    max_unknown_rate: float = 0.5  # unknown words among the words of any split; line ends do not count
    max_type_ratio: float = 0.8  # different words among the words of the training text
    min_tokens: int = 1  # words of any split
    # Of the passages of 13 words of a held-out split, those that stand in the training text too.  Related texts share
    # some (embedded:python 1 to 3%), which is a warning; a split that shares more than half is not held out.
    max_leak: float = 0.5
    # Distances from the corpus of the champion, where that is another (components/preprocess/drift.py).  Each is from 0
    # to 1, which allows anything: a registry may well be given another corpus, and its owner knows what is too far.
    max_drift_words: float = 1.0  # Jensen-Shannon divergence of the frequencies of words, in bits, beyond chance
    max_drift_unknown: float = 1.0  # difference of the unknown rates, in the split where it is greatest
    max_drift_types: float = 1.0  # difference of the shares of different words, among equally many words
    max_drift_lengths: float = 1.0  # Kolmogorov-Smirnov distance of the lengths of documents, beyond chance
    runner: str = "FnApiRunner"  # Beam's; in-process by default
    runner_options: tuple[str, ...] = ()  # passed on to Beam, such as "--region=europe-west1"

    def __post_init__(self) -> None:
        one_of("preprocess.tokeniser", self.tokeniser, TOKENISERS)
        one_of("preprocess.vocabulary", self.vocabulary, ("own", "champion"))
        at_least("preprocess.max_words", self.max_words, 1)
        at_least("preprocess.min_count", self.min_count, 1)
        at_least("preprocess.context", self.context, 1)
        at_least("preprocess.shard_bytes", self.shard_bytes, 1)
        at_least("preprocess.min_tokens", self.min_tokens, 1)
        drifts = ("max_drift_words", "max_drift_unknown", "max_drift_types", "max_drift_lengths")
        for key in ("max_unknown_rate", "max_type_ratio", "max_leak", *drifts):
            require(
                0 <= getattr(self, key) <= 1,
                f"preprocess.{key} is {getattr(self, key)}, but is a share",
                "set it between 0 and 1",
            )

    def determining(self) -> dict[str, Any]:
        """What determines the examples: all but where Beam runs, which changes no byte of them."""
        return {key: value for key, value in self.to_dict().items() if key not in ("runner", "runner_options")}
