"""The section [evaluate]: what a challenger must reach."""

from dataclasses import dataclass

from hopline.config.section import Section, at_least, fraction, one_of

LEAST_BLOCK = 1_024


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Section):
    """What a challenger must reach."""

    name = "evaluate"

    split: str = "auto"  # "valid", "test", or "auto": test where there is one, else valid
    max_perplexity: float = 0.0  # the floor a first champion must meet as well; 0 for none
    beat: str = "unigram"  # baseline that even a first champion must be below: also "kneser-ney" (the best), or "none"
    min_gain: float = 0.001  # least relative gain in perplexity over the champion: 0.001 is a tenth of a percent
    confidence: float = 0.95  # that the gain is at least min_gain, one-sided, at least 0.5; 0 for not asked
    block: int = LEAST_BLOCK  # least consecutive tokens that count as one observation where the split is one document
    max_more_unknown: float = 0.01  # of all tokens, how many more than the champion's may be unknown to the challenger
    max_slice_loss: float = 0.0  # most relative rise of perplexity in a slice of 1,000 tokens or more; 0 for any
    max_latency_ms: float = 0.0  # most milliseconds to score one line by the export (median); 0 for any, not measured
    max_megabytes: float = 0.0  # most size of the model's folder, 10^6 bytes; 0 for any

    def __post_init__(self) -> None:
        one_of("evaluate.split", self.split, ("auto", "valid", "test"))
        one_of("evaluate.beat", self.beat, ("unigram", "kneser-ney", "none"))
        fraction("evaluate.min_gain", self.min_gain)
        fraction("evaluate.confidence", self.confidence)
        if self.confidence:  # below a half the bound lies on the other side of the measured difference
            at_least("evaluate.confidence", self.confidence, 0.5)
        at_least("evaluate.block", self.block, LEAST_BLOCK)
        fraction("evaluate.max_more_unknown", self.max_more_unknown)
        for key in ("max_perplexity", "max_slice_loss", "max_latency_ms", "max_megabytes"):
            at_least(f"evaluate.{key}", getattr(self, key), 0)
