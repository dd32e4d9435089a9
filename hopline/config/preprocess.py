"""The section [preprocess]: how text becomes tokens."""

from dataclasses import dataclass

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
    max_unknown_rate: float = 0.5  # of the tokens of any split; more stops the run
    runner: str = "FnApiRunner"  # Beam's; in-process by default
    runner_options: tuple[str, ...] = ()  # passed on to Beam, such as "--region=europe-west1"

    def __post_init__(self) -> None:
        one_of("preprocess.tokeniser", self.tokeniser, TOKENISERS)
        one_of("preprocess.vocabulary", self.vocabulary, ("own", "champion"))
        at_least("preprocess.max_words", self.max_words, 1)
        at_least("preprocess.min_count", self.min_count, 1)
        at_least("preprocess.context", self.context, 1)
        at_least("preprocess.shard_bytes", self.shard_bytes, 1)
        require(
            0 <= self.max_unknown_rate <= 1,
            f"preprocess.max_unknown_rate is {self.max_unknown_rate}, but is a share of all tokens",
            "set it between 0 and 1",
        )
