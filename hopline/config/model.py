"""The section [model]: the network's shape."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hopline.config.section import Section, at_least, one_of, positive, require
from hopline.runtime.places import is_remote


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """The memory network's shape (DESIGN.md, section 3).  The defaults are the paper's form."""

    name = "model"

    width: int = 150  # E
    hops: int = 6  # K
    memory: int = 100  # M
    tie: str = "none"  # the output matrix: none, input (A), output (C), all (A = C = W)
    factor: int = 0  # F: tables are V x F times one shared F x E projection; 0 for plain V x E
    bias: bool = False  # one number per word, added to the logits
    init_stddev: float = 0.05
    # The options of a hop (docs/network.md).
    heads: int = 1  # the width is cut into so many parts that read on their own
    norm: bool = False  # layer norm of the state before it asks; what a hop gives is added to the state
    state_map: str = "half_relu"  # of the state between hops: half_relu (the paper's H), gate, mlp (two layers)
    map_width: int = 0  # hidden units of the map mlp; 0 for twice the width
    query: str = (
        "constant"  # the first state: constant (the paper's 0.1), learned, words (the last ones before the target)
    )
    query_words: int = 0  # how many of them, 1 to 4
    projections: bool = (
        False  # of the one table (tie = "all") to keys, to values and from the last state: a matrix each
    )
    slot_words: int = 1  # a slot is a word and so many less one to its left, up to 4
    time: str = "learned"  # temporal encodings T_A and T_C: learned (the paper), sinusoidal (fixed), none

    # Word vectors that A and C start from: a file, by path or URI, of word2vec, GloVe or fastText (.vec); "" for none.
    pretrained: str = ""

    def __post_init__(self) -> None:
        at_least("model.width", self.width, 2)
        at_least("model.hops", self.hops, 1)
        at_least("model.memory", self.memory, 1)
        one_of("model.tie", self.tie, ("none", "input", "output", "all"))
        at_least("model.factor", self.factor, 0)
        positive("model.init_stddev", self.init_stddev)
        at_least("model.heads", self.heads, 1)
        require(
            self.width % self.heads == 0,
            f"model.heads is {self.heads}, but must divide model.width = {self.width} evenly",
            f"set model.width to a multiple of {self.heads}, or model.heads to a divisor of {self.width}",
        )
        one_of("model.state_map", self.state_map, ("half_relu", "gate", "mlp"))
        at_least("model.map_width", self.map_width, 0)
        require(
            self.map_width == 0 or self.state_map == "mlp",
            f'model.map_width is {self.map_width}, but model.state_map = "{self.state_map}" has no hidden units',
            'set model.state_map to "mlp", or leave model.map_width out',
        )
        one_of("model.query", self.query, ("constant", "learned", "words"))
        self._check_query_words()
        require(
            not self.projections or self.tie == "all",
            f'model.projections is true, but model.tie is "{self.tie}": projections tell apart the keys, values and '
            "output of one table",
            'set model.tie to "all", or model.projections to false',
        )
        # All units of the constant question are equal: its layer norm is 0 but for rounding, which it magnifies.
        require(
            not self.norm or self.query != "constant",
            'model.norm is true, but model.query is "constant", whose layer norm is 0: the first hop would ask nothing',
            'set model.query to "words" or "learned", or model.norm to false',
        )
        one_of("model.time", self.time, ("learned", "sinusoidal", "none"))
        _one_to_four("model.slot_words", self.slot_words)
        self._check_reach("model.slot_words", self.slot_words)

    def _check_query_words(self) -> None:
        if self.query == "words":
            _one_to_four("model.query_words", self.query_words)
            self._check_reach("model.query_words", self.query_words)
            return
        require(
            self.query_words == 0,
            f'model.query_words is {self.query_words}, but model.query is "{self.query}", which asks with no words',
            'set model.query to "words", or leave model.query_words out',
        )

    def _check_reach(self, name: str, words: int) -> None:
        require(
            words <= self.memory,
            f"{name} is {words}, but a target sees only model.memory = {self.memory} words",
            f"set {name} to {self.memory} or less, or model.memory to {words} or more",
        )

    def network(self) -> dict[str, Any]:
        """What `hopline.model.network.MemoryNetwork` takes: all but what it starts from."""
        return {key: value for key, value in self.to_dict().items() if key != "pretrained"}

    def absolute(self, base: Path) -> Self:
        """The same with a relative path of vectors below `base`: steps run in other folders."""
        if not self.pretrained or is_remote(self.pretrained):
            return self
        return dataclasses.replace(self, pretrained=str(base / self.pretrained))

    @property
    def rows(self) -> int:
        """How wide the tables are."""
        return self.factor or self.width

    @property
    def slots(self) -> int:
        """How many slots a target sees; the words of each are all among the M before the target."""
        return self.memory - self.slot_words + 1


def _one_to_four(name: str, value: int) -> None:
    """Raises `UserError`: a memory network reaches words by soft reads, and by no more than four directly."""
    require(1 <= value <= 4, f"{name} is {value}, but must be 1, 2, 3 or 4", f"set {name} to one of them, such as 3")
