"""Directories with a manifest: how the steps meet.

A directory is written under a temporary name (`hopline.store.folders`), sealed by `manifest.json` (every file's
SHA-256, the ids of what it was made from) and renamed: it is there whole or not at all.  `produce` adds the work
folder of a step, where a killed run is found again.

    <work>/<step>/<key>/scratch/   the step's work in progress, such as checkpoints
    <work>/<step>/<key>/result/    the sealed artifact
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import shutil
import subprocess
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hopline.runtime import code
from hopline.runtime.errors import UserError
from hopline.runtime.version import VERSION
from hopline.schema import MANIFEST
from hopline.store import folders

SCHEMA_VERSION = 1
KEPT_RESULTS = 4  # finished ones, per step in the work folder; older ones are removed
KEPT_UNFINISHED = 16  # works in progress, likewise: more than this many killed trainings are not meant to continue
TENSORFLOW = ("tensorflow", "tensorflow-cpu", "keras", "numpy")  # libraries that determine what a step computes
_SCRATCH = "scratch"
_RECORDED_VERSIONS = ("tensorflow", "tensorflow-cpu", "keras", "tensorflow-transform", "apache-beam", "numpy")


@dataclass(frozen=True)
class Manifest:
    """What a directory is: its kind, what it was made from and every file's SHA-256."""

    kind: str
    id: str
    parents: dict[str, str]
    config: dict[str, Any]
    counts: dict[str, dict[str, int]]
    files: dict[str, str]
    git: str
    versions: dict[str, str]
    created: str
    schema_version: int = SCHEMA_VERSION
    facts: dict[str, Any] = field(default_factory=dict)  # small results that others read, such as a perplexity


# By field: the container's type alone, `dict` for `dict[str, str]`.
_TYPES: dict[str, Any] = {item.name: typing.get_origin(item.type) or item.type for item in dataclasses.fields(Manifest)}


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN and infinities are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_value(value: Any) -> Any:
    """`value` with every float that JSON cannot hold as one of the strings "nan", "inf" and "-inf".

    The one rule for what is reported; `float` reads both.
    """
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def content_key(**inputs: Any) -> str:
    """A name for a result, made of everything that determines it."""
    return hashlib.sha256(canonical_json(inputs).encode()).hexdigest()[:16]


def code_digest(*programs: str, libraries: Sequence[str] = ()) -> str:
    """What makes a result besides its inputs, so that the result never outlives it: our code and others'.

    Args:
        programs: modules that are run, such as "components.train.worker".  What they reach by imports counts, comments
            and docstrings do not (`hopline.runtime.code`).
        libraries: distributions whose versions count; those that are not installed count as absent.

    Raises:
        ValueError: a program is not there.
    """
    versions = {name: _version(name) for name in libraries}
    return content_key(code=code.digest(programs), libraries=versions)


def git_revision() -> str:
    """The commit of the source tree with `+changes` where files differ, or "" outside a checkout."""
    if revision := os.environ.get("HOPLINE_GIT_REVISION"):  # an image has no .git folder
        return revision
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def seal(
    directory: Path,
    kind: str,
    *,
    parents: Mapping[str, str],
    config: Mapping[str, Any],
    counts: Mapping[str, Mapping[str, int]] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Manifest:
    """Writes `manifest.json` over all that `directory` holds.  The id covers everything but the time."""
    files = {
        str(path.relative_to(directory)): folders.file_digest(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "parents": dict(parents),
        "config": dict(config),
        "counts": {split: dict(numbers) for split, numbers in (counts or {}).items()},
        "facts": dict(facts or {}),
        "files": files,
        "git": git_revision(),
        "versions": _versions(),
    }
    identity = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    manifest = Manifest(id=identity, created=datetime.now(UTC).isoformat(timespec="microseconds"), **content)
    folders.write_json(directory / MANIFEST, dataclasses.asdict(manifest))
    return manifest


def add_page(directory: Path, kind: str, name: str, text: str) -> Manifest:
    """Adds a page for people to a sealed directory.

    The manifest lists the file, so that it is copied and checked as others are, and keeps its id: a page determines
    nothing, and may say what has become known since.
    """
    folders.write_text(directory / name, text)
    manifest = read_manifest(directory, kind)
    listed = dataclasses.replace(manifest, files={**manifest.files, name: folders.file_digest(directory / name)})
    folders.write_json(directory / MANIFEST, dataclasses.asdict(listed))
    return listed


def read_manifest(directory: Path, kind: str) -> Manifest:
    """Reads the manifest of a directory that must be of `kind`.

    Raises:
        UserError: there is none, it is of another kind, or a newer hopline wrote it.
    """
    try:
        text = (directory / MANIFEST).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _no_artifact(directory, error) from error
    return parse_manifest(text, directory, kind)


def parse_manifest(text: str, directory: Path | str, kind: str) -> Manifest:
    """The manifest that `text` is, of a directory (a path or a URI) that must be of `kind`.

    Its schema version is read first.  Fields that this hopline does not know are left out: of its own version or an
    older one they mean nothing that it needs.

    Raises:
        UserError: it is damaged, of another kind, or a newer hopline wrote it.
    """
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError(f"it is {type(content).__name__}, not an object")
        _require_readable(content, directory)
        known = {name: content[name] for name in _TYPES if name in content}
        wrong = [name for name, value in known.items() if not isinstance(value, _TYPES[name])]
        if wrong:
            raise TypeError(f"{wrong[0]} is {known[wrong[0]]!r}")
        manifest = Manifest(**known)
    except (ValueError, TypeError) as error:
        raise _no_artifact(directory, error) from error
    if manifest.kind != kind:
        raise UserError(f"{directory} holds {manifest.kind}, but {kind} is needed", remedy=f"pass a folder of {kind}")
    return manifest


def _require_readable(content: Mapping[str, Any], directory: Path | str) -> None:
    """Raises `UserError` if a newer hopline wrote the manifest, and `TypeError` if its schema version is no number."""
    found = content.get("schema_version", SCHEMA_VERSION)
    if type(found) is not int:
        raise TypeError(f"schema_version is {found!r}")
    if found > SCHEMA_VERSION:
        versions = content.get("versions")
        writer = versions.get("hopline", "") if isinstance(versions, dict) else ""
        raise UserError(
            f"{directory} has schema version {found}, of a newer hopline{f' ({writer})' if writer else ''}; this "
            f"hopline ({VERSION}) reads schema versions up to {SCHEMA_VERSION}",
            remedy="use it with that hopline, or make it again with this one",
        )


def _no_artifact(directory: Path | str, error: Exception) -> UserError:
    return UserError(
        f"{directory} is not a hopline artifact: {MANIFEST} is missing or damaged ({error})",
        remedy="run the step that makes it again",
    )


def verify(directory: Path, kind: str) -> Manifest:
    """`read_manifest`, and every file is there with its recorded SHA-256.

    Raises:
        UserError: also when a file is missing or differs; the message names it.
    """
    manifest = read_manifest(directory, kind)
    for name, expected in manifest.files.items():
        path = directory / name
        if not path.is_file() or folders.file_digest(path) != expected:
            state = "differs from its recorded SHA-256" if path.is_file() else "is missing"
            raise UserError(
                f"{path} {state}: the {kind} are damaged", remedy=f"remove {directory} and run again to make it anew"
            )
    return manifest


def produce(
    output: Path, work: Path, step: str, kind: str, key: str, build: Callable[[Path, Path], None]
) -> tuple[Manifest, bool]:
    """Gives `output` the artifact that `key` determines: from the work folder, or built now.

    `build(scratch, result)` writes a sealed artifact into the empty folder `result`; `scratch` is kept
    when it fails or is killed, and given to it again.  A lock keeps a second process out of the slot.

    Returns:
        The manifest, and whether the artifact was found rather than built.
    """
    slot = work / step / key
    slot.mkdir(parents=True, exist_ok=True)
    with folders.locked(slot / "lock"):
        result = slot / "result"
        try:
            verify(result, kind)
            found = True
        except UserError:  # absent or damaged: either way it is built anew
            found = False
            scratch = slot / _SCRATCH
            scratch.mkdir(exist_ok=True)
            folders.remove_partial(slot)
            with folders.whole(result) as temporary:
                build(scratch, temporary)
                read_manifest(temporary, kind)
            shutil.rmtree(scratch)
        os.utime(slot)
        folders.place(result, output)
    _prune(work / step)
    return read_manifest(output, kind), found


def _prune(folder: Path) -> None:
    """Removes the oldest finished results and, counted by itself, the oldest unfinished work.

    A finished result costs its time again; unfinished work may be a long training's only checkpoint, so it gives way
    only to more unfinished work.  What another process is at is locked, and stays.
    """
    slots = [path for path in folder.iterdir() if path.is_dir()]
    unfinished = [slot for slot in slots if (slot / _SCRATCH).exists()]
    finished = [slot for slot in slots if slot not in unfinished]
    doomed = (
        sorted(finished, key=_last_change)[:-KEPT_RESULTS] + sorted(unfinished, key=_last_change)[:-KEPT_UNFINISHED]
    )
    for slot in doomed:
        with contextlib.suppress(BlockingIOError, FileNotFoundError), folders.locked(slot / "lock", wait=False):
            shutil.rmtree(slot, ignore_errors=True)


def _last_change(slot: Path) -> float:
    """When a folder in the slot was last written to: a checkpoint deep in it leaves the slot's own time as it was."""
    times = [slot.stat().st_mtime]
    for parent, names, _ in os.walk(slot / _SCRATCH):
        for name in (".", *names):
            with contextlib.suppress(FileNotFoundError):  # another process may remove it at the same time
                times.append((Path(parent) / name).stat().st_mtime)
    return max(times)


def _versions() -> dict[str, str]:
    found = {"hopline": VERSION}  # which is not installed as a distribution in an image
    return found | {name: version for name in _RECORDED_VERSIONS if (version := _version(name))}


def _version(distribution: str) -> str:
    """The installed version of a distribution; "" where there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
