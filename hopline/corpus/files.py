"""The corpus as files: which there are, what they hold, and to which split a document belongs.

A file is named by its path below the corpus root (the folder given, or the part of a glob before its first
wildcard), so that neither the fingerprint nor a split depends on where a machine keeps the text.  Files in an object
store (`hopline.corpus.objects`) are known from its listing alone until `fetch` brings them here.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hopline.artifacts import canonical_json
from hopline.config.corpus import EMBEDDED_CORPORA, CorpusConfig
from hopline.config.section import require
from hopline.corpus import embedded, local, objects
from hopline.corpus.objects import Origin
from hopline.runtime.places import SCHEMES, is_remote
from hopline.schema import SPLITS
from hopline.store.folders import file_digest
from hopline.store.sources import is_compressed, unreadable


@dataclass(frozen=True)
class SourceFile:
    """One file of the corpus.

    Attributes:
        split: the split whose pattern named the file, or "" where documents are cut by hash.
        name: the path below the corpus root, with forward slashes.
        path: where the file is on this machine, or will be.
        size: bytes on disk.
        origin: the object that it is a copy of, or None.
    """

    split: str
    name: str
    path: Path
    size: int
    origin: Origin | None = None

    @property
    def compressed(self) -> bool:
        """Whether `hopline.store.sources.open_source` decompresses the file."""
        return is_compressed(self.path)


def source_files(config: CorpusConfig, scratch: Path) -> list[SourceFile]:
    """The corpus's files by split and name; the embedded corpus is written below `scratch`, copies go there.

    Raises:
        UserError: a pattern names no readable file, a file has two splits, or there is no text at all; or an object
            store refuses.
    """
    patterns = {split: getattr(config, split) for split in SPLITS} if config.split_by_pattern else {"": config.train}
    files = [file for split, pattern in patterns.items() if pattern for file in _named_by(split, pattern, scratch)]
    splits: dict[Path, str] = {}
    for file in files:
        other = splits.setdefault(file.path.resolve(), file.split)
        require(
            other == file.split,
            f"{file.path} is named by both corpus.{other} and corpus.{file.split}, but a file has one split",
            "narrow one of the two patterns",
        )
    for split, pattern in patterns.items():
        found = [file for file in files if file.split == split]
        require(
            not found or any(file.size for file in found),
            f"the corpus is empty: no file of corpus.{split or 'train'} = {pattern} holds a single byte",
            f"point corpus.{split or 'train'} at files with text",
        )
    return files


def fingerprint(config: CorpusConfig, files: list[SourceFile]) -> str:
    """SHA-256 over what the corpus holds and how it is read; where it lies does not matter.

    The content of a file in an object store is what the store calls it, so the same text here has another fingerprint.

    Raises:
        UserError: a file cannot be read.
    """
    reading = {key: value for key, value in config.to_dict().items() if key not in SPLITS}
    digest = hashlib.sha256(canonical_json(reading).encode())
    for file in files:
        try:
            content = file.origin.entry.content if file.origin else file_digest(file.path)
        except OSError as error:
            raise unreadable(file.path, error) from error
        digest.update(canonical_json([file.split, file.name, file.size, content]).encode())
    return digest.hexdigest()


def fetch(files: list[SourceFile], step: str) -> None:
    """Brings the files that lie in object stores to their paths; a call that was killed is continued by the next.

    Raises:
        HoplineError: as `hopline.corpus.objects.fetch`.
    """
    objects.fetch([(file.origin, file.path) for file in files if file.origin], step)


def split_by_hash(key: bytes, config: CorpusConfig) -> str:
    """The split of the document that `key` stands for: its file's name, or its text.

    The same key falls in the same split in every corpus.  Test comes first, so that another
    `valid_fraction` leaves the test split as it is.
    """
    position = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
    if position < config.test_fraction:
        return "test"
    return "valid" if position < config.test_fraction + config.valid_fraction else "train"


def _named_by(split: str, pattern: str, scratch: Path) -> list[SourceFile]:
    key = f"corpus.{split or 'train'}"
    if is_remote(pattern):
        beginning, origins = objects.matches(key, pattern)
        return [
            SourceFile(
                split,
                origin.entry.name.removeprefix(beginning),
                objects.local_path(scratch / "corpus", origin),
                origin.entry.size,
                origin,
            )
            for origin in origins
        ]
    if pattern in EMBEDDED_CORPORA:
        root, found = local.matches(key, str(embedded.write(pattern, scratch)))
    else:
        require(
            ":" not in pattern.split("/", maxsplit=1)[0],
            f'{key} is "{pattern}", which is neither a path nor the URI of an object store',
            f"give a path, a URI that begins with {' or '.join(SCHEMES)}, or {' or '.join(EMBEDDED_CORPORA)}",
        )
        root, found = local.matches(key, pattern)
    files = []
    for path in found:
        name = path.relative_to(root).as_posix()
        require(
            name == name.encode("utf-8", "replace").decode(), f"{name!r} below {root} is not UTF-8", "rename the file"
        )
        try:
            files.append(SourceFile(split, name, path, path.stat().st_size))
        except OSError as error:
            raise unreadable(path, error) from error
    return files
