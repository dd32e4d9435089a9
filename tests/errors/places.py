"""Every place of the tree that makes a `UserError`, found in the sources; and which of them a test reaches."""

import ast
import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hopline.runtime import errors

ROOT = Path(__file__).parents[2]
PACKAGES = ("hopline", "components", "pipelines")
_CHECKS = "hopline/config/section.py"  # whose functions raise for their callers
HELPERS = frozenset({"require", "one_of", "at_least", "positive", "fraction", "unknown_key"})


@dataclass(frozen=True)
class Place:
    """A call that makes a `UserError`, or that may raise one for its caller."""

    name: str  # "hopline/store/sources.py::unreadable", with "#2" for the second of a function
    path: str
    position: tuple[int, int]  # line and column of the call
    text: str  # the source of the call, for people


def kinds() -> frozenset[str]:
    """`UserError` and the names of what is derived from it, in the sources."""
    found = {"UserError"}
    for _, tree in _sources():
        found |= {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in found for base in node.bases)
        }
    return frozenset(found)


@functools.cache
def places() -> dict[str, Place]:
    """All of them, by name."""
    makers = kinds() | HELPERS
    found: dict[str, Place] = {}
    for path, tree in _sources():
        counts: dict[str, int] = {}
        for function, call in _calls(tree, ()):
            called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if called not in makers or (path == _CHECKS and function in HELPERS):
                continue
            name = f"{path}::{function or '<module>'}"
            counts[name] = counts.get(name, 0) + 1
            name += f"#{counts[name]}" if counts[name] > 1 else ""
            found[name] = Place(name, path, (call.lineno, call.col_offset), ast.unparse(call))
    return found


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def _calls(node: ast.AST, inside: tuple[str, ...]) -> Iterator[tuple[str, ast.Call]]:
    """All calls below `node` in the order of the text, each with the dotted name of the function around it."""
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        if isinstance(child, ast.Call):
            yield ".".join(inside), child
        yield from _calls(child, (*inside, child.name) if named else inside)


@contextlib.contextmanager
def recorded() -> Iterator[list[str]]:
    """The names of the places of this process that make a `UserError` while the block runs, in order."""
    by_position = {(place.path, *place.position): place.name for place in places().values()}
    initialise = errors.HoplineError.__init__
    reached: list[str] = []

    def initialise_and_note(self: errors.HoplineError, *arguments: Any, **named: Any) -> None:
        initialise(self, *arguments, **named)
        if isinstance(self, errors.UserError) and (name := by_position.get(_position(sys._getframe(1)))):
            reached.append(name)

    errors.HoplineError.__init__ = initialise_and_note
    try:
        yield reached
    finally:
        errors.HoplineError.__init__ = initialise


def _position(frame: FrameType | None) -> tuple[str, int, int]:
    """Where the call of `frame` is that makes the error; a helper's is that of its caller."""
    while frame is not None:
        path = os.path.relpath(frame.f_code.co_filename, ROOT)
        if not (path == _CHECKS and frame.f_code.co_name in HELPERS):
            line, _, column, _ = list(frame.f_code.co_positions())[frame.f_lasti // 2]
            return path, line or 0, column or 0
        frame = frame.f_back
    return "", 0, 0
