"""What differs between two versions of a registry."""

from collections.abc import Mapping
from typing import Any

from hopline.registry.records import Champion

_Side = tuple[Champion, Mapping[str, Any]]


def differences(a: _Side, b: _Side) -> dict[str, list[dict[str, Any]]]:
    """What differs, by data, configuration, code and numbers: key, and the value on either side (None: not recorded).

    Args:
        a: the record of a version, and its card (`hopline.registry.card.describe`).
        b: another.
    """
    sides = [_parts(*side) for side in (a, b)]
    return {part: differing(*(side[part] for side in sides)) for part in sides[0]}


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The keys whose values differ, in order: first those of `a`."""
    keys = [*a, *(key for key in b if key not in a)]
    return [{"key": key, "a": a.get(key), "b": b.get(key)} for key in keys if a.get(key) != b.get(key)]


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values by their dotted keys."""
    result: dict[str, Any] = {}
    for key, item in value.items():
        result |= flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item}
    return result


def _parts(entry: Champion, card: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    data = card["data"]
    return {
        "data": {"fingerprint": entry.fingerprint, **flat(data["splits"]), **flat(data["config"])},
        "configuration": {**flat(card["recipe"]), "promote.license": card["license"]},
        "code": flat({"git": card["code"]["git"], "versions": card["code"]["versions"]}),
        "numbers": {
            **card["numbers"],
            "split": entry.split,
            "perplexity": entry.perplexity,
            **{f"baselines.{name}": value for name, value in card["baselines"].items()},
        },
    }
