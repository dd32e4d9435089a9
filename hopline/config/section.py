"""What every section of the configuration shares: strict construction, canonical JSON, and rules with remedies."""

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self

from hopline.runtime.errors import UserError


class Section:
    """What all sections share: strict construction from a mapping, and canonical JSON."""

    name: str = ""
    replaced: ClassVar[Mapping[str, str]] = {}  # a key of earlier versions to what stands for it now

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Builds the section from `values`; missing keys take their defaults.

        Raises:
            UserError: a key is unknown, or a value has the wrong type or breaks a rule.
        """
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        for key in values:
            if key in cls.replaced:
                raise UserError(
                    f"{cls.name}.{key} is not a known configuration key any more",
                    remedy=f"set instead, in [{cls.name}]: {cls.replaced[key]}",
                )
            if key not in known:
                raise unknown_key(f"{cls.name}.{key}", key, known, f"{cls.name}.")
        return cls(**{key: _checked(f"{cls.name}.{key}", value, known[key].type) for key, value in values.items()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(
                f"the [{cls.name}] section is not JSON: {error}", remedy='pass a JSON object such as {"key": 1}'
            ) from error
        require(isinstance(values, dict), f"the [{cls.name}] section is not a JSON object", "pass a JSON object")
        return cls.from_mapping(values)

    def to_dict(self) -> dict[str, Any]:
        """The section as plain values, every field included."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, so that equal sections are equal strings."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))


def require(holds: bool, message: str, remedy: str) -> None:
    """Raises `UserError` unless `holds`."""
    if not holds:
        raise UserError(message, remedy=remedy)


def one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raises `UserError`: `value` must be one of `allowed`."""
    choices = ", ".join(f'"{choice}"' for choice in allowed)
    require(value in allowed, f'{name} is "{value}", but must be one of {choices}', f"set {name} to one of them")


def at_least(name: str, value: float, least: float) -> None:
    """Raises `UserError`: `value` must be `least` or more."""
    require(value >= least, f"{name} is {value}, but must be at least {least}", f"set {name} to {least} or more")


def positive(name: str, value: float) -> None:
    """Raises `UserError`: `value` must be greater than 0."""
    require(value > 0, f"{name} is {value}, but must be greater than 0", f"set {name} to a number above 0")


def fraction(name: str, value: float) -> None:
    """Raises `UserError`: `value` must be in [0, 1)."""
    require(0 <= value < 1, f"{name} is {value}, but must be in [0, 1)", f"set {name} to a number from 0 up to 1")


def unknown_key(shown: str, key: str, known: Iterable[str], prefix: str = "") -> UserError:
    """The error for a key that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f'did you mean "{prefix}{near[0]}"?' if near else "known: " + ", ".join(sorted(known))
    return UserError(f"{shown} is not a known configuration key", remedy=hint)


def _checked(name: str, value: Any, expected: Any) -> Any:
    """`value` if it has the `expected` type; an integer is a float too, a bool never a number."""
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):  # JSON, by which it reaches its step, has none
        raise UserError(f"{name} is {value}, but must be finite", remedy=f"set {name} to a finite number")
    if expected == tuple[str, ...]:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        expected_name = "a list of strings"
    else:
        if type(value) is expected:
            return value
        expected_name = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}[expected]
    raise UserError(f"{name} is {value!r}, but must be {expected_name}", remedy=f"set {name} to {expected_name}")
