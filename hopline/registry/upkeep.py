"""Looking after a registry: removing old versions, and checking and mending what it holds.

A removal writes `removed/<v>.json` first and then removes the version; killed between, the next `prune` goes on.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from hopline.registry.backends import REMOVED, VERSIONS
from hopline.registry.card import CARD, render
from hopline.registry.records import HISTORY, POINTER, Champion, NewerRecordError, entry_name, parse_record
from hopline.registry.registry import Registry
from hopline.runtime.errors import HoplineError, UserError
from hopline.store.bucket import ConflictError

OK, NOTE, MENDED, DAMAGED = "ok", "note", "mended", "damaged"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is so with a part of a registry.

    Attributes:
        name: of the part, relative to the registry.
        state: OK, NOTE (worth knowing, nothing is wrong), MENDED or DAMAGED.
        text: what was found, and for damage what to do.
    """

    name: str
    state: str
    text: str


def doomed(registry: Registry, keep: int) -> list[int]:
    """The versions that `prune` removes: all but the `keep` newest, the champion and its predecessor.

    A version that is not in the history stays: a promotion that is under way may be writing it.

    Raises:
        UserError: `keep` is less than 1, there is no champion, or an entry of the history is damaged.
    """
    if keep < 1:
        raise UserError(f"--keep is {keep}, but must be at least 1", remedy="give the number of versions to keep")
    history = registry.history()
    if not history:
        raise UserError(f"{registry.path} has no champion", remedy="name the place of a registry")
    known = sorted({entry.version for entry in history})
    begun = set(registry.backend.numbers(REMOVED)) & set(registry.backend.versions(whole=False))
    present = set(registry.backend.versions())
    newest = [version for version in known if version in present][-keep:]
    kept = {history[-1].version, history[-1].previous, *newest}
    return [version for version in known if version in present | begun and version not in kept]


def prune(registry: Registry, keep: int, report: Callable[[int], None] = lambda version: None) -> list[int]:
    """Removes old versions; their entries in the history stay, with what their cards say.

    Args:
        registry: to remove from.
        keep: how many of the newest versions stay, besides the champion and its predecessor.
        report: called with each version when it is removed.

    Returns:
        The numbers of those removed.

    Raises:
        UserError: as `doomed`, or the registry cannot be written.
    """
    result = []
    models = {entry.version: entry.model_id for entry in registry.history()}
    if not doomed(registry, keep):
        return []
    with registry.backend.writing():
        for version in doomed(registry, keep):
            champion = registry.champion()  # read again: another writer may have rolled back meanwhile
            if champion is None or version in (champion.version, champion.previous):
                continue
            record = {"version": version, "model_id": models[version], "removed": datetime.now(UTC).isoformat()}
            with contextlib.suppress(ConflictError):  # a `prune` that was killed has written it
                registry.backend.write(f"{REMOVED}/{version}.json", record, over=None)
            registry.backend.discard(version)
            report(version)
            result.append(version)
    registry.publish()
    return result


def examine(registry: Registry, *, repair: bool = False) -> Iterator[Finding]:
    """Checks everything in the registry, every file's content, and mends what can be mended without a doubt.

    Args:
        registry: to check.
        repair: also puts the last entry of the history in the place of a pointer that is damaged, lost or old.

    Raises:
        UserError: a newer hopline wrote the pointer; or it cannot be repaired.
    """
    champion, findings = _examine_pointer(registry, repair)
    yield from findings
    entries: list[Champion] = []
    for finding, entry in _examine_history(registry, champion):
        if finding:
            yield finding
        if entry:
            entries.append(entry)
    yield from _clock(entries)
    first = {entry.version: entry for entry in reversed(entries)}
    left, removed = set(registry.backend.versions(whole=False)), set(registry.backend.numbers(REMOVED))
    for version in sorted(first):
        if version in removed:
            begun = ", which did not end: the next one goes on" if version in left else ""
            yield Finding(f"{VERSIONS}/{version}", NOTE, f"it was removed by `hopline models prune`{begun}")
        else:
            yield from _examine_version(registry, first[version])
    for version in sorted(left - set(first)):
        text = "no entry of the history names it: its promotion was killed, or is under way; nothing reads it"
        yield Finding(f"{VERSIONS}/{version}", NOTE, text)
    if champion:
        registry.publish()


def _examine_pointer(registry: Registry, repair: bool) -> tuple[Champion | None, list[Finding]]:
    numbers, error = registry.backend.numbers(HISTORY), ""
    champion = None
    try:
        champion = registry.champion()
        if max(numbers, default=0) > (champion.history if champion else 0):
            error = f"it is {'old' if champion else 'missing'}: the history goes on to {max(numbers)}"
    except NewerRecordError:
        raise
    except UserError as damage:
        error = damage.message
    if not error:
        return champion, [Finding(POINTER, OK, f"version {champion.version} is champion")] if champion else []
    remedy = "`hopline models verify --repair` copies the last entry of the history over it"
    if not repair or not numbers:
        return champion, [Finding(POINTER, DAMAGED, f"{error}; {remedy if numbers else 'and there is no history'}")]
    name = entry_name(max(numbers))
    with registry.backend.writing():
        record = registry.backend.read(name)
        newest = parse_record(
            record.content if record else b"", registry.backend.locate(name), "restore it from a copy"
        )
        registry.backend.check(newest.version)
        registry.backend.write(POINTER, newest.content(), over=registry.backend.read(POINTER))
    return newest, [Finding(POINTER, MENDED, f"{error}; it is now as {name}: version {newest.version} is champion")]


def _examine_history(registry: Registry, champion: Champion | None) -> Iterator[tuple[Finding | None, Champion | None]]:
    """For each number up to the last a finding, an entry, or both."""
    numbers = registry.backend.numbers(HISTORY)
    last = max([*numbers, champion.history if champion else 0])
    names = [entry_name(number) for number in range(1, last + 1)]
    for number, name, record in zip(range(1, last + 1), names, registry.backend.read_all(names), strict=True):
        if record is None and champion and number == champion.history:
            yield _mend(name, "it was missing", lambda: registry.complete_history(champion)), champion
        elif record is None:
            yield Finding(name, DAMAGED, "it is missing: restore it from a copy; nothing else knows what it said"), None
        else:
            try:
                entry = parse_record(record.content, registry.backend.locate(name), "restore it from a copy")
                yield Finding(name, OK, f"version {entry.version} became champion"), entry
            except UserError as error:
                yield Finding(name, DAMAGED, f"{error.message}: {error.remedy}"), None


def _clock(entries: list[Champion]) -> Iterator[Finding]:
    for earlier, later in itertools.pairwise(entries):
        if datetime.fromisoformat(later.promoted) < datetime.fromisoformat(earlier.promoted):
            times = f"its time, {later.promoted}, is before that of the entry before it, {earlier.promoted}"
            yield Finding(entry_name(later.history), NOTE, f"{times}: a clock was wrong")


def _examine_version(registry: Registry, entry: Champion) -> Iterator[Finding]:
    name = f"{VERSIONS}/{entry.version}"
    try:
        manifest = registry.backend.check_content(entry.version, "verify")
        if manifest.id != entry.model_id:
            text = f"it holds model {manifest.id[:12]}, but the history says {entry.model_id[:12]}"
            yield Finding(name, DAMAGED, f"{text}: restore it from a copy")
            return
        yield Finding(name, OK, f"all {len(manifest.files)} files are as they were promoted")
    except HoplineError as error:
        yield Finding(name, DAMAGED, f"{error.message}: restore it from a copy")
        return
    card = f"{name}/{CARD}"
    if registry.backend.read(card) is None:
        text = render(entry, registry.card(entry))
        yield _mend(card, "it was missing", lambda: registry.backend.write_text(card, text))


def _mend(name: str, fault: str, write: Callable[[], object]) -> Finding:
    try:
        write()
    except (HoplineError, OSError) as error:
        return Finding(name, DAMAGED, f"{fault}, and cannot be written: {error}")
    return Finding(name, MENDED, f"{fault}: written anew")
