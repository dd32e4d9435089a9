"""What the data contract found in examples that keep it: each rule with its figure, and what is worth knowing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.preprocess.drift import Drift
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.schema import EVALUATION_SPLITS

_NOTABLE_LEAK = 0.01  # a share of shared passages that is worth a warning
_NOTABLE_DRIFT = 0.1  # of any measure, beyond chance: two parts of one corpus stay far below
_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """A rule of the contract and what it found.

    Attributes:
        rule: what is asked, in words.
        figure: what was found.
        key: of the configuration, which sets the limit; "" for a rule without.
        limit: what the configuration allows.
        notable: what a person should know, as a sentence; "" if nothing.
    """

    rule: str
    figure: str
    key: str = ""
    limit: str = ""
    notable: str = ""


def findings(
    statistics: Mapping[str, Any], skipped: int, corpus: CorpusConfig, config: PreprocessConfig, drift: Drift | None
) -> list[Finding]:
    """Of each rule, what it found, the notable first.

    Args:
        statistics: the content of statistics.json.
        skipped: lines that were left out.
        corpus: the limit of those.
        config: the other limits.
        drift: from the champion's corpus, None if there is none or it is the same.
    """
    found = [
        *_leaks(statistics, config),
        *_drifts(drift, config),
        *_lengths(statistics),
        *_words(statistics, config),
        _skipped(skipped, corpus),
    ]
    return sorted(found, key=lambda finding: not finding.notable)


def _leaks(statistics: Mapping[str, Any], config: PreprocessConfig) -> Iterator[Finding]:
    for split in EVALUATION_SPLITS:
        if not (shared := statistics.get(split, {}).get("in_training")):
            continue
        lengths = sorted(int(key.removesuffix("_grams")) for key in shared if key.endswith("_grams"))
        long = shared[f"{lengths[-1]}_grams"]
        files = ", ".join(f"{file['file']} (in {file['in']})" for file in shared["files"][:_NAMED])
        whole = f" and {_number(shared['documents'], 'whole document')}" if shared["documents"] else ""
        figure = f"{long:.1%} of {shared['compared']:,}{whole}"
        notable = ""
        if shared["documents"] or long > _NOTABLE_LEAK:
            notable = (
                f"{long:.1%} of the passages of {lengths[-1]} tokens{whole} of the {split} split stand in the training "
                f"text too: {files}"
            )
        rule = f"passages of {lengths[-1]} tokens of {split} that the training text has too"
        yield Finding(rule, figure, "preprocess.max_leak", f"{config.max_leak:.1%}", notable)


def _drifts(drift: Drift | None, config: PreprocessConfig) -> Iterator[Finding]:
    for measure in drift.measures if drift else ():
        limit = measure.limit(config)
        figure, notable = measure.label, ""
        if measure.distance is not None:
            figure = f"{measure.distance:.4f}" + (f" ({measure.chance:.4f} by chance)" if measure.chance else "")
            if measure.distance - measure.chance > _NOTABLE_DRIFT and drift:
                notable = f"The corpus is not like that of champion {drift.version}: {measure.label}: distance {figure}"
        elif limit < 1:
            notable = f"preprocess.max_drift_{measure.name} is set, but {measure.label}"
        rule = f"drift from the champion's corpus: {measure.name}"
        yield Finding(rule, figure, f"preprocess.max_drift_{measure.name}", f"{limit:g}" if limit < 1 else "", notable)


def _lengths(statistics: Mapping[str, Any]) -> Iterator[Finding]:
    for split, entry in statistics.items():
        far, notable, figure = entry["length_outliers"], "", "none"
        if far:
            named = ", ".join(f"{item['document']} ({item['tokens']:,})" for item in far["longest"][:_NAMED])
            figure = f"{far['documents']:,}, with {far['tokens'] / entry['tokens']:.1%} of the tokens"
            notable = (
                f"{_number(far['documents'], 'document')} of {split} far longer than the others: more than "
                f"{far['limit']:,} tokens where the median is {far['median']:,}, together "
                f"{far['tokens'] / entry['tokens']:.1%} of the split: {named}"
            )
        yield Finding(f"documents of {split} far longer than the others", figure, notable=notable)


def _words(statistics: Mapping[str, Any], config: PreprocessConfig) -> Iterator[Finding]:
    rates = ", ".join(f"{split} {entry['unknown_rate']:.2%}" for split, entry in statistics.items())
    yield Finding("unknown words", rates, "preprocess.max_unknown_rate", f"{config.max_unknown_rate:.1%}")
    ratio = statistics["train"]["type_ratio"]
    yield Finding(
        "different words of train", f"{ratio:.1%}", "preprocess.max_type_ratio", f"{config.max_type_ratio:.1%}"
    )
    least = min(statistics, key=lambda split: statistics[split]["words"])
    figure = f"{least} {statistics[least]['words']:,}"
    yield Finding("words of the smallest split", figure, "preprocess.min_tokens", f"{config.min_tokens:,} or more")


def _skipped(skipped: int, corpus: CorpusConfig) -> Finding:
    notable = f"lines that are no document and were left out: {skipped:,}" if skipped else ""
    return Finding("lines that are no document", f"{skipped:,}", "corpus.skip_lines", f"{corpus.skip_lines:,}", notable)


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
