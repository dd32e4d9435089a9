"""The records of a registry: what `champion.json` and each entry of the history say.

Schema versions: 1, which names none, has the fields up to `previous`; 2 adds `schema_version` and `card`.
"""

import dataclasses
import json
import math
import typing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hopline.runtime.errors import UserError
from hopline.runtime.version import VERSION

SCHEMA_VERSION = 2
POINTER = "champion.json"
HISTORY = "history"


class NewerRecordError(UserError):
    """A newer hopline wrote the record: it is not damaged, and must not be mended."""


@dataclass(frozen=True)
class Champion:
    """A promotion or a rollback: the version that it made champion.

    Attributes:
        version: number of the model's folder.
        model_id: id of the model's manifest.
        fingerprint: of the corpus that the model was trained on.
        evaluation: id of the evaluation that blessed the model.
        perplexity: of the model in that evaluation.
        split: the split it was measured on.
        promoted: time of the promotion or rollback, UTC, ISO 8601.
        history: number of its entry in the history.
        previous: the version that a rollback goes to, None if there is none.
        card: what the model's card says (`hopline.registry.card`); empty in a record of schema version 1.
    """

    version: int
    model_id: str
    fingerprint: str
    evaluation: str
    perplexity: float
    split: str
    promoted: str
    history: int
    previous: int | None
    card: dict[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """The record as JSON holds it."""
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}


_TYPES: dict[str, Any] = {item.name: typing.get_origin(item.type) or item.type for item in dataclasses.fields(Champion)}
_TYPES["previous"] = int | None  # whose origin is no type to ask for


def entry_name(number: int) -> str:
    """What the entry `number` of the history is called in the registry."""
    return f"{HISTORY}/{number}.json"


def parse_record(data: bytes, place: str, remedy: str) -> Champion:
    """The record that `data` is, found at `place`; fields that this hopline does not know are left out.

    Raises:
        NewerRecordError: a newer hopline wrote it.
        UserError: it is damaged, and `remedy` says what to do then.
    """
    try:
        content = json.loads(data, parse_constant=_refuse_constant)
        if not isinstance(content, dict):
            raise TypeError(f"it is {type(content).__name__}, not an object")
        version = content.get("schema_version", 1)
        if type(version) is not int:
            raise TypeError(f"schema_version is {version!r}")
    except (ValueError, TypeError) as error:
        raise UserError(f"{place} is damaged: {error}", remedy=remedy) from error
    if version > SCHEMA_VERSION:
        raise NewerRecordError(
            f"{place} has schema version {version}, of a newer hopline; this hopline ({VERSION}) reads schema versions "
            f"up to {SCHEMA_VERSION}",
            remedy="use this registry with the newer hopline",
        )
    known = {name: content[name] for name in _TYPES if name in content}
    for name, value in known.items():
        if not (isinstance(value, _TYPES[name]) and _sound(name, value)):
            raise UserError(f"{place} is damaged: {name} is {value!r}", remedy=remedy)
    try:
        return Champion(**known)
    except TypeError as error:
        raise UserError(f"{place} is damaged: {error}", remedy=remedy) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _sound(name: str, value: Any) -> bool:
    """Whether the value, which is of the right type, can be what the field `name` holds."""
    if name in ("version", "history", "previous"):
        return value is None or value >= 1
    if name == "promoted":
        try:
            return datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            return False
    return name != "perplexity" or math.isfinite(value)
