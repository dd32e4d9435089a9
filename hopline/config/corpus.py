"""The section [corpus]: where the text is."""

import dataclasses
import glob
import os
from dataclasses import dataclass
from pathlib import Path

from hopline.config.section import Section, at_least, fraction, one_of, require

EMBEDDED_CORPUS = "embedded:python"
EMBEDDED_CORPORA = (EMBEDDED_CORPUS, "embedded:python-docs")  # hopline.corpus.embedded


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Section):
    """Where the text is, what a document is, and how the splits are made.

    Splits: 1. where `valid` or `test` has a pattern, each split is what its own pattern names;
    2. otherwise the documents of `train` are cut by hash, `valid_fraction` and `test_fraction` of them.
    """

    name = "corpus"

    train: str = EMBEDDED_CORPUS  # a file, directory or glob, here or in gs:// or s3://; or an embedded corpus
    valid: str = ""
    test: str = ""
    documents: str = "file"  # a document is a "file", a paragraph ("blank-line") or a "json-line"
    text_field: str = "text"  # of a JSON line
    invalid_utf8: str = "strict"  # or "replace", by U+FFFD; of JSON lines also what their escapes spell
    skip_lines: int = 0  # so many JSON lines that are no document are left out and counted; one more stops the run
    valid_fraction: float = 0.1
    test_fraction: float = 0.1

    def __post_init__(self) -> None:
        one_of("corpus.documents", self.documents, ("file", "blank-line", "json-line"))
        one_of("corpus.invalid_utf8", self.invalid_utf8, ("strict", "replace"))
        at_least("corpus.skip_lines", self.skip_lines, 0)
        fraction("corpus.valid_fraction", self.valid_fraction)
        fraction("corpus.test_fraction", self.test_fraction)
        require(
            self.valid_fraction + self.test_fraction < 1,
            f"corpus.valid_fraction + corpus.test_fraction is {self.valid_fraction + self.test_fraction}, "
            "but must leave documents to train on",
            "make their sum less than 1",
        )
        require(self.train != "", "corpus.train is empty, but must name the training text", "set corpus.train")

    @property
    def split_by_pattern(self) -> bool:
        """Whether the splits are named by patterns rather than cut by hash."""
        return bool(self.valid or self.test)

    def absolute(self, folder: Path) -> "CorpusConfig":
        """The same section with relative paths taken from `folder`, and no `..` left in any.

        Only what the person wrote is a pattern: a bracket in the name of `folder` is none.
        """

        def resolve(pattern: str) -> str:
            remote = ":" in pattern.split("/", maxsplit=1)[0]
            if not pattern or remote:
                return pattern
            path = os.path.normpath(folder / pattern)
            if not glob.has_magic(pattern) or Path(pattern).is_absolute() or os.path.lexists(path):
                return path
            return os.path.normpath(Path(glob.escape(os.fspath(folder)), pattern))

        return dataclasses.replace(self, train=resolve(self.train), valid=resolve(self.valid), test=resolve(self.test))
