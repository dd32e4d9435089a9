"""What each key of the configuration is, from the one place where that is written: the comments of its declaration."""

import inspect
import json
import re
import textwrap
from dataclasses import dataclass, fields
from typing import Any

from hopline.config.section import Section, unknown_key
from pipelines.config.config import Config

_FIELD = re.compile(r"    (?P<name>\w+): (?P<declared>.*)")
_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Key:
    """A key of a section.

    Attributes:
        section: its name.
        name: its own.
        kind: what its values are, in words.
        default: its value where none is given.
        about: what it is, as its declaration says; "" where the name says all.
    """

    section: str
    name: str
    kind: str
    default: Any
    about: str


def sections() -> dict[str, type[Section]]:
    """The sections by their names, in their order."""
    return {f.name: f.type for f in fields(Config)}  # type: ignore[misc]


def keys(section: type[Section]) -> list[Key]:
    """The keys of a section, in their order."""
    about, defaults = _comments(section), section().to_dict()
    return [
        Key(section.name, f.name, _KINDS.get(f.type, "a list of texts"), defaults[f.name], about.get(f.name, ""))
        for f in fields(section)  # type: ignore[arg-type]
    ]


def find(name: str) -> list[Key]:
    """The key `section.key`, or all keys of `section`.

    Raises:
        UserError: there is none of the name.
    """
    section, dot, key = name.partition(".")
    known = sections()
    if section not in known:
        raise unknown_key(f"[{section}]", section, known)
    found = keys(known[section])
    if not dot:
        return found
    if not (one := [each for each in found if each.name == key]):
        raise unknown_key(name, key, [each.name for each in found], f"{section}.")
    return one


def toml(value: Any) -> str:
    """The value as TOML has it."""
    # JSON is TOML here, but for the one character that JSON need not escape.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def template() -> str:
    """A configuration that is all defaults, with every key and what it is, each for one to uncomment."""
    parts = ["# A configuration of hopline.  What is commented is the default.  Run it: hopline run --config FILE"]
    for name, section in sections().items():
        about = inspect.cleandoc(section.__doc__ or "").splitlines()[0]
        lines = [f"## {about}", f"[{name}]"]
        for key in keys(section):
            lines += textwrap.wrap(key.about, 100, initial_indent="## ", subsequent_indent="## ")
            lines.append(f"# {key.name} = {toml(key.default)}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _comments(section: type[Section]) -> dict[str, str]:
    """What the declaration says of each key: the comment above it, and that at its end."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(section).splitlines():
        if line.startswith("    # "):
            above.append(line.removeprefix("    # ").strip())
        elif match := _FIELD.fullmatch(line):
            _, _, beside = match["declared"].partition("  # ")
            found[match["name"]] = " ".join([*above, *([beside.strip()] if beside else [])])
            above = []
        elif line.strip():
            above = []
    return found
