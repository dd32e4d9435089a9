"""The corpora that every CPython carries: its documentation topics, and the docstrings of its standard library.

They are the same for every run on one version of Python; a distribution that ships fewer modules has less text.
Modules are read with `ast` and never imported.
"""

import ast
import functools
import hashlib
import os
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from hopline.store.folders import whole

# Not of the standard library, or text of tests; what a machine's owner puts beside it differs from machine to machine.
_LEFT_OUT = frozenset({"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"})
_LOCAL = frozenset({"sitecustomize.py", "usercustomize.py"})


def write(name: str, folder: Path) -> Path:
    """Writes an embedded corpus into a folder of its own below `folder`, if it is not there yet; returns that folder.

    Args:
        name: one of `hopline.config.corpus.EMBEDDED_CORPORA`.
        folder: a folder for scratch.
    """
    target = folder / name.partition(":")[2]
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as temporary:
            for document, text in _documents(name):
                path = temporary / f"{document}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return target


@functools.cache
def _documents(name: str) -> tuple[tuple[str, str], ...]:
    """Name and text of each document, some 4 MB.  Parsing the library takes seconds, and a process may ask again."""
    return tuple(_topics() if name == "embedded:python-docs" else _distinct(_topics_and_modules()))


def _topics() -> Iterator[tuple[str, str]]:
    """The documentation topics: 65,000 words."""
    try:
        from pydoc_data.topics import topics  # noqa: PLC0415  # a megabyte of text, seldom needed
    except ImportError:  # a distribution may leave the documentation out
        return
    yield from sorted(topics.items())


def _topics_and_modules() -> Iterator[tuple[str, str]]:
    """A document a topic, and one a module: its docstrings in the order of its source."""
    for topic, text in _topics():
        yield f"topics/{topic}", text
    library = Path(sysconfig.get_path("stdlib"))
    for place, folders, names in os.walk(library):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        for path in sorted(Path(place, name) for name in set(names) - _LOCAL if name.endswith(".py")):
            if not path.is_symlink():
                yield f"modules/{path.relative_to(library).with_suffix('').as_posix()}", "\n\n".join(_docstrings(path))


def _docstrings(path: Path) -> list[str]:
    """The docstrings of a module; none of one that does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old escapes in strings
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    found: list[str] = []
    _collect(tree, found)
    return found


def _collect(node: ast.AST, found: list[str]) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        found += filter(None, [ast.get_docstring(node)])
    for part in ("body", "handlers", "orelse", "finalbody"):  # as a source has them
        statements = getattr(node, part, ())
        for statement in statements if isinstance(statements, list) else ():
            _collect(statement, found)


def _distinct(documents: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The documents without the passages that stood before, in the same document or another; empty ones vanish.

    A passage is a paragraph, what blank lines enclose, whatever its line breaks and indentation.
    """
    seen = set()
    for name, text in documents:
        kept = []
        for paragraph in _paragraphs(text):
            digest = hashlib.blake2b(" ".join(paragraph.split()).encode(), digest_size=16).digest()
            if digest not in seen:
                seen.add(digest)
                kept.append(paragraph)
        if kept:
            yield name, "\n\n".join(kept) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """What blank lines enclose, but for what is no text: a docstring may spell a NUL or half a surrogate pair."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            lines.append(line.rstrip())
            continue
        paragraph = "\n".join(lines)
        if lines and "\0" not in paragraph and paragraph.encode("utf-8", "replace").decode() == paragraph:
            yield paragraph
        lines = []
