"""The section [evaluate]: what a challenger must reach."""

from dataclasses import dataclass

from hopline.config.section import Section, at_least, fraction, one_of


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Section):
    """What a challenger must reach."""

    name = "evaluate"

    split: str = "auto"  # "valid", "test", or "auto": test where there is one, else valid
    max_perplexity: float = 0.0  # the floor a first champion must meet as well; 0 for none
    min_gain: float = 0.001  # least relative gain in perplexity over the champion: 0.001 is a tenth of a percent
    confidence: float = 0.95  # that the challenger is better, by paired bootstrap; 0 for not asked
    block: int = 64  # consecutive tokens resampled together

    def __post_init__(self) -> None:
        one_of("evaluate.split", self.split, ("auto", "valid", "test"))
        at_least("evaluate.max_perplexity", self.max_perplexity, 0)
        fraction("evaluate.min_gain", self.min_gain)
        fraction("evaluate.confidence", self.confidence)
        at_least("evaluate.block", self.block, 1)
