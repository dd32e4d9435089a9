"""Finds what there is to do: the corpus fingerprint, the champion, and whether to train or to skip."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hopline.artifacts import seal
from hopline.config.corpus import CorpusConfig
from hopline.config.model import ModelConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.resolve import ResolveConfig
from hopline.config.section import require
from hopline.config.train import TrainConfig
from hopline.corpus.files import fingerprint, source_files
from hopline.model.vectors import KEY, check_vectors
from hopline.registry.registry import Champion, Registry
from hopline.runtime.program import parser, run, terminate_as_interrupt
from hopline.store.folders import whole, writable_folder, write_json
from hopline.store.sources import locate

_STEP = "resolve"


def arguments() -> argparse.ArgumentParser:
    """What the program takes."""
    result = parser(_STEP, __doc__ or "")
    result.add_argument("--corpus-config", required=True, help="the [corpus] section as JSON")
    result.add_argument("--resolve-config", required=True, help="the [resolve] section as JSON")
    for section in ("preprocess", "train"):  # they say what is taken over from the champion
        result.add_argument(f"--{section}-config", default="{}", help=f"the [{section}] section as JSON")
    result.add_argument("--model-config", default="{}", help="the [model] section as JSON: its vectors are read")
    result.add_argument("--registry", required=True, help="of the promoted models: a path, or a gs:// or s3:// URI")
    result.add_argument("--output", type=Path, required=True, help="folder for the resolution")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns the exit code."""
    return run(_STEP, arguments(), _resolve, argv)


def decide(found: str, champion: Champion | None, config: ResolveConfig) -> tuple[str, str]:
    """Whether to "train" or to "skip", and why, in a sentence.

    Args:
        found: the corpus fingerprint.
        champion: the model that stands, None before the first promotion.
        config: what may be decided.
    """
    if champion is None:
        return "train", "There is no champion yet."
    if champion.fingerprint != found:
        return "train", f"The corpus is not the one that champion {champion.version} was trained on."
    if not config.skip_unchanged:
        return "train", "The corpus has not changed, but resolve.skip_unchanged is off."
    return "skip", f"Champion {champion.version} was trained on this very corpus."


def require_comparable(registry: Registry, champion: Champion, config: PreprocessConfig) -> None:
    """Raises `UserError`: challenger and champion would predict different texts, as evaluate would find at the end."""
    lowercases = bool(registry.manifest(champion.version).facts.get("lowercase", False))
    require(
        lowercases == config.lowercase,
        f"preprocess.lowercase is {str(config.lowercase).lower()}, but champion {champion.version} was trained with "
        f"{str(lowercases).lower()}: they would predict different texts",
        "keep preprocess.lowercase as the champion had it, or use another --output with its own registry",
    )


def _vectors(model: ModelConfig) -> str:
    """What tells the content of `model.pretrained` from another's, once all of it was read; "" for none.

    A damaged file, or one of another width, is reported here: before text is prepared and workers are started.
    """
    if not model.pretrained:
        return ""
    source = locate(KEY, model.pretrained)
    count = check_vectors(source, model.rows, _STEP)
    print(f"{_STEP}: {model.pretrained} has {count:,} vectors of {model.rows} numbers", file=sys.stderr)
    return source.digest


def _resolve(options: argparse.Namespace) -> None:
    terminate_as_interrupt()
    corpus = CorpusConfig.from_json(options.corpus_config)
    config = ResolveConfig.from_json(options.resolve_config)
    work = writable_folder(options.work_dir, "--work-dir")
    writable_folder(options.output.parent, "the folder of --output")
    files = source_files(corpus, work)
    found = fingerprint(corpus, files)
    registry = Registry(options.registry)
    champion = registry.champion()
    standing = champion.model_id if champion else ""
    # What the other steps take over from the champion, or compare with it, is "" where they take nothing: their cached
    # results then stay valid when another model is promoted.  A corpus has not drifted from itself.
    preprocess = PreprocessConfig.from_json(options.preprocess_config)
    train = TrainConfig.from_json(options.train_config)
    if champion:
        require_comparable(registry, champion, preprocess)
    action, reason = decide(found, champion, config)
    pretrained = _vectors(ModelConfig.from_json(options.model_config))
    with whole(options.output) as folder:
        resolution = {
            "fingerprint": found,
            "champion": standing,
            "vocabulary_from": standing if preprocess.vocabulary == "champion" else "",
            "drift_from": standing if champion and champion.fingerprint != found else "",
            "start_from": standing if train.start == "champion" else "",
            "pretrained": pretrained,
            "action": action,
            "reason": reason,
            "files": len(files),
            "bytes": sum(file.size for file in files),
        }
        write_json(folder / "resolution.json", resolution)
        seal(folder, "resolution", parents={}, config={corpus.name: corpus.to_dict(), config.name: config.to_dict()})
    print(f"{_STEP}: {action}. {reason}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
