"""Turns raw text into examples: vocabulary, transform graph, shards of tokens, statistics (hopline.schema)."""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from components.preprocess.drift import drift, require_no_drift
from components.preprocess.findings import findings
from components.preprocess.profile import Profile, promoted_profile
from components.preprocess.report import render
from components.preprocess.vocabulary import promoted_vocabulary
from hopline.artifacts import TENSORFLOW, Manifest, add_page, code_digest, content_key, produce
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.runtime.errors import ExitCode, UserError
from hopline.runtime.program import parser, run
from hopline.schema import EXAMPLES, PROFILE_FILE, REPORT_FILE, SPLITS, STATISTICS_FILE, VOCABULARY_FILE
from hopline.store.folders import remove_tree, writable_folder

_STEP = "preprocess"
_LIBRARIES = (*TENSORFLOW, "apache-beam", "tensorflow-transform", "tfx-bsl")  # that determine the examples


def arguments() -> argparse.ArgumentParser:
    """What the program takes."""
    result = parser(_STEP, __doc__ or "")
    result.add_argument("--corpus-config", required=True, help="the [corpus] section as JSON")
    result.add_argument("--preprocess-config", required=True, help="the [preprocess] section as JSON")
    result.add_argument("--fingerprint", required=True, help="of the corpus, as resolve found it")
    result.add_argument("--registry", default="", help="folder or URI of the promoted models")
    result.add_argument("--vocabulary-from", default="", help='the model for vocabulary = "champion"; "" for none yet')
    result.add_argument("--drift-from", default="", help='the champion of another corpus; "" for none')
    result.add_argument("--output", type=Path, required=True, help="folder for the examples")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns the exit code."""
    return run(_STEP, arguments(), _preprocess, argv)


def _preprocess(options: argparse.Namespace) -> None:
    corpus = CorpusConfig.from_json(options.corpus_config)
    config = PreprocessConfig.from_json(options.preprocess_config)
    if config.vocabulary == "champion" and not options.vocabulary_from:
        print(f"{_STEP}: there is no champion yet: the vocabulary is the corpus's own", file=sys.stderr)
        config = replace(config, vocabulary="own")
    model_id = options.vocabulary_from if config.vocabulary == "champion" else ""
    work = writable_folder(options.work_dir, "--work-dir")
    writable_folder(options.output.parent, "the folder of --output")
    key = content_key(
        corpus=corpus.to_dict(),
        preprocess=config.determining(),
        fingerprint=options.fingerprint,
        vocabulary_from=model_id,
        code=code_digest("components.preprocess.__main__", libraries=_LIBRARIES),
    )

    def build(scratch: Path, result: Path) -> None:
        from components.preprocess.examples import build

        # On the disk that all workers share: Beam has files of its own there, too.
        tempfile.tempdir = str(scratch)
        vocabulary = promoted_vocabulary(options.registry, model_id, config) if model_id else None
        build(corpus, config, options.fingerprint, vocabulary, scratch, result)

    manifest, found = produce(options.output, work, _STEP, EXAMPLES, key, build)
    try:
        manifest = _report(options, manifest, corpus, config)
    except UserError:
        remove_tree(options.output)  # which nothing is to be trained on
        raise
    print(f"{_STEP}: {'found' if found else 'made'} {options.output}", *table(manifest), sep="\n", file=sys.stderr)


def table(manifest: Manifest) -> list[str]:
    """What the examples hold, in lines for people: a row for each split."""
    names = ("documents", "tokens", "unknown", "types", "characters")
    rows: list[tuple[str, ...]] = [("split", *names)]
    for split, counts in manifest.counts.items():
        numbers = {**manifest.facts["statistics"][split], **counts}
        numbers["unknown"] = numbers["unknown_tokens"]
        rows.append((split, *(f"{numbers[name]:,}" for name in names)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  "
        + "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    facts = manifest.facts
    return [*lines, f"  of {facts['corpus_bytes']:,} bytes of files; lines left out: {facts['skipped_lines']:,}"]


def _report(
    options: argparse.Namespace, manifest: Manifest, corpus: CorpusConfig, config: PreprocessConfig
) -> Manifest:
    """Compares the examples with the champion's corpus, tells what is notable, and adds the page to them.

    The champion is no part of the key, nor the page of the id: what a model learns from depends on neither.

    Raises:
        UserError: the corpus has drifted further than the configuration allows.
    """
    entries = json.loads((options.output / STATISTICS_FILE).read_text(encoding="utf-8"))
    statistics = {split: entries[split] for split in SPLITS if split in entries}
    words = (options.output / VOCABULARY_FILE).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    found = None
    if options.drift_from:
        version, theirs = promoted_profile(options.registry, options.drift_from)
        ours = Profile.from_json((options.output / PROFILE_FILE).read_text(encoding="utf-8"))
        found = drift(ours, theirs, version)
        require_no_drift(found, config)
    rules = findings(statistics, manifest.facts["skipped_lines"], corpus, config, found)
    for rule in rules:
        if rule.notable:
            print(f"{_STEP}: warning: {rule.notable}", file=sys.stderr)
    return add_page(options.output, EXAMPLES, REPORT_FILE, render(manifest, statistics, words, rules, found))


def _leave_at_once(number: int, frame: object) -> None:
    """Ends the process as SIGKILL would, which is safe: every part of the work is whole or absent.

    Raised as an exception instead, an interrupt would come out of Beam as the failure of a worker.
    """
    os.write(sys.stderr.fileno(), f"{_STEP}: told to stop; the same command continues\n".encode())
    os._exit(ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.PREEMPTED)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _leave_at_once)
    signal.signal(signal.SIGTERM, _leave_at_once)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow Transform sets it in any case; set before TensorFlow is imported, the other Keras is not imported too.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # nothing here runs on a GPU; left visible, its memory would be taken
    code = main()
    # A process that ran a TensorFlow Transform analysis crashes in Python's own finalisation: skip it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
