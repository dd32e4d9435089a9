"""The section [model]: the network's shape."""

from dataclasses import dataclass

from hopline.config.section import Section, at_least, one_of, positive


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """The memory network's shape (DESIGN.md, section 3)."""

    name = "model"

    width: int = 150  # E
    hops: int = 6  # K
    memory: int = 100  # M
    tie: str = "none"  # the output matrix: none, input (A), output (C), all (A = C = W)
    factor: int = 0  # F: tables are V x F times one shared F x E projection; 0 for plain V x E
    bias: bool = False  # one number per word, added to the logits
    init_stddev: float = 0.05

    def __post_init__(self) -> None:
        at_least("model.width", self.width, 2)
        at_least("model.hops", self.hops, 1)
        at_least("model.memory", self.memory, 1)
        one_of("model.tie", self.tie, ("none", "input", "output", "all"))
        at_least("model.factor", self.factor, 0)
        positive("model.init_stddev", self.init_stddev)
