"""The registry: the models that were promoted, and the one that is champion.

    <registry>/
      champion.json      the champion: the last promotion or rollback (`Champion`)
      history/<n>.json   every promotion and rollback, from 1; never changed once the pointer has reached it
      versions/<n>/      the model directory that promotion n brought

A promotion takes the next number n and writes, in this order: 1. the version, whole; 2. the history entry;
3. the pointer, by one rename.  Killed before 3 it never happened: the old champion stands, nobody reads what
lies beyond the pointer, and the next promotion takes the same number and replaces it.  All writers hold one
lock, and a promotion names the champion it was decided against, so of several exactly one wins.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hopline import artifacts, storage
from hopline.errors import StaleBlessingError, UserError

POINTER = "champion.json"
_MODEL = "model"  # the kind of a version's manifest


@dataclass(frozen=True)
class Champion:
    """What `champion.json` and an entry of the history say.

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


class Registry:
    """The registry in the folder `path`, which the first promotion makes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def champion(self) -> Champion | None:
        """The champion that stands now, or None before the first promotion.

        Raises:
            UserError: the pointer is damaged.
        """
        path = self.path / POINTER
        return _read(path, f"copy the last entry of {self.path / 'history'} over it") if path.exists() else None

    def folder(self, version: int) -> Path:
        """Where the model directory of `version` is."""
        return self.path / "versions" / str(version)

    def history(self) -> list[Champion]:
        """Every promotion and rollback up to the champion's, oldest first; a missing entry is left out.

        Raises:
            UserError: the pointer or an entry is damaged.
        """
        champion = self.champion()
        entries = [self._entry(number) for number in range(1, champion.history + 1)] if champion else []
        return [_read(path, "restore it, or remove it") for path in entries if path.exists()]

    def promote(self, model: Path, *, evaluation: str, perplexity: float, split: str, compared_with: str) -> Champion:
        """Makes the model directory `model` champion.

        Asked again for the model that is champion already, it changes nothing and returns that champion.

        Args:
            model: a sealed model directory; it is copied.
            evaluation: id of the evaluation that blessed it.
            perplexity: its perplexity there.
            split: the split it was measured on.
            compared_with: id of the model that it was compared with, "" if there was no champion.

        Raises:
            StaleBlessingError: another model has become champion since.
            UserError: the registry or the model is damaged, or the blessing was used and the model replaced.
        """
        manifest = artifacts.read_manifest(model, _MODEL)
        with self._locked():
            champion = self.champion()
            standing = champion.model_id if champion else ""
            if champion and standing == manifest.id:
                return champion
            if standing != compared_with:
                raise StaleBlessingError(
                    f"the decision was made against {_called(compared_with)}, but {_called(standing)} is champion now",
                    remedy="evaluate again, against the champion that stands now",
                )
            self._refuse_spent_blessing(evaluation)
            number = self._next(champion)
            storage.place(model, self.folder(number))
            artifacts.verify(self.folder(number), _MODEL)
            return self._commit(
                Champion(
                    version=number,
                    model_id=manifest.id,
                    fingerprint=str(manifest.facts["fingerprint"]),
                    evaluation=evaluation,
                    perplexity=float(perplexity),
                    split=split,
                    promoted=_now(),
                    history=number,
                    previous=champion.version if champion else None,
                )
            )

    def rollback(self) -> Champion:
        """Makes the champion's predecessor champion again, as a new entry of the history.

        A second rollback goes on to the predecessor's own predecessor, never back to what was left.

        Raises:
            UserError: there is no predecessor, or its entry or its files are damaged.
        """
        with self._locked():
            champion = self.champion()
            if champion is None or champion.previous is None:
                raise UserError(
                    f"{self.path} holds no version before the champion's to roll back to",
                    remedy="promote a better model instead",
                )
            artifacts.verify(self.folder(champion.previous), _MODEL)
            predecessor = _read(self._entry(champion.previous), "restore it, or promote a better model instead")
            return self._commit(dataclasses.replace(predecessor, promoted=_now(), history=self._next(champion)))

    def verify(self) -> Champion | None:
        """Checks every file of the champion's version, and writes its history entry anew if that is missing.

        Raises:
            UserError: the pointer or the version is damaged.
        """
        champion = self.champion()
        if champion is None:
            return None
        try:
            manifest = artifacts.verify(self.folder(champion.version), _MODEL)
        except UserError as error:
            raise UserError(
                f"the champion, version {champion.version}, is damaged: {error.message}",
                remedy=f"restore {self.folder(champion.version)} from a copy, or roll back to the version before it",
            ) from error
        if manifest.id != champion.model_id:
            raise UserError(
                f"{self.path / POINTER} names model {champion.model_id}, but version {champion.version} holds "
                f"{manifest.id}",
                remedy=f"copy the last entry of {self.path / 'history'} over {POINTER}, or roll back",
            )
        entry = self._entry(champion.history)
        if not entry.exists():
            with self._locked():
                storage.write_json(entry, dataclasses.asdict(champion))
        return champion

    def _entry(self, number: int) -> Path:
        return self.path / "history" / f"{number}.json"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Holds the writers' lock, with the folders made and what killed writers left under temporary names gone."""
        storage.writable_folder(self.path, "the registry")
        with storage.locked(self.path / ".lock"):
            for folder in (self.path, self.path / "history", self.path / "versions"):
                folder.mkdir(exist_ok=True)
                storage.remove_partial(folder)
            yield

    def _next(self, champion: Champion | None) -> int:
        """The number after the champion's entry: free, or held by the left-overs of one killed promotion.

        Raises:
            UserError: the history goes on beyond that, so the pointer was lost or an old one put back, and the next
                promotion would overwrite a version that was champion.
        """
        number = champion.history + 1 if champion else 1
        newest = max((int(path.stem) for path in (self.path / "history").glob("*.json")), default=0)
        if newest > number:
            raise UserError(
                f"{self.path / POINTER} is missing or old: the history goes on to {newest}, but the pointer's entry "
                f"is {number - 1}",
                remedy=f"copy {self._entry(newest)} over it",
            )
        return number

    def _refuse_spent_blessing(self, evaluation: str) -> None:
        """A blessing serves once: a repeated promotion must not undo the rollback that followed it."""
        for entry in self.history():
            if entry.evaluation == evaluation:
                raise UserError(
                    f"evaluation {evaluation} blessed version {entry.version}, which was champion and was replaced",
                    remedy="train a new model, or evaluate this one anew under another [evaluate] section",
                )

    def _commit(self, champion: Champion) -> Champion:
        storage.write_json(self._entry(champion.history), dataclasses.asdict(champion))
        storage.write_json(self.path / POINTER, dataclasses.asdict(champion))
        return champion


def _read(path: Path, remedy: str) -> Champion:
    """The record in `path`.

    Raises:
        UserError: it is missing, not JSON, or not of this form.
    """
    try:
        champion = Champion(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}", remedy=remedy) from error
    for field in dataclasses.fields(Champion):
        value = getattr(champion, field.name)
        if not isinstance(value, field.type):  # type: ignore[arg-type]
            raise UserError(f"{path} is damaged: {field.name} is {value!r}", remedy=remedy)
    return champion


def _called(model_id: str) -> str:
    return f"model {model_id[:12]}" if model_id else "no champion"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
