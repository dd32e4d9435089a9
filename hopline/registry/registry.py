"""The registry: the models that were promoted, and the one that is champion.

    <registry>/
      champion.json      the champion: the last promotion or rollback (`Champion`)
      history/<n>.json   every promotion and rollback, from 1; create-only
      versions/<v>/      the model directory that a promotion brought

It lies in a local folder or in an object store (`hopline.registry.backends`).  A promotion writes, in this order: 1.
the version, whole; 2. the pointer, over the one it was decided against and no other, so of several promotions exactly
one wins; 3. the history entry, which is the pointer's text.  Killed before 2 it never happened: the old champion
stands, and nobody reads what it left.  Killed before 3 it stands, and the next writer or `verify` adds the entry.

In a folder the version has its entry's number, and replaces what a killed promotion left there.  In an object store
promotions may run at once, each with a number of its own: the loser removes its version, and one that was killed
leaves it to its retry, or else a gap.
"""

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hopline import artifacts
from hopline.registry.backends import HISTORY, VERSIONS, Record, open_backend, read_text
from hopline.runtime.errors import StaleBlessingError, UserError
from hopline.schema import MODEL
from hopline.store.bucket import ConflictError

POINTER = "champion.json"


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
    """The registry at `path`, a folder or the URI of an object store, which the first promotion makes."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._backend = open_backend(path)

    def champion(self) -> Champion | None:
        """The champion that stands now, or None before the first promotion.

        Raises:
            UserError: the pointer is damaged.
        """
        return self._pointer()[0]

    def location(self, version: int) -> str:
        """The path or URI of the model directory of `version`."""
        return self._backend.locate(f"{VERSIONS}/{version}")

    def fetch(self, version: int, folder: Path, step: str) -> Path:
        """A local model directory of `version`: its own, or, from an object store, a copy made in `folder`.

        `step` is the one whose progress is shown.

        Raises:
            UserError: there is no such version in the object store.
        """
        return self._backend.fetch(version, folder, step)

    def version(self, model_id: str) -> int:
        """The version of a model that is or was champion.

        Raises:
            UserError: the history has no such model.
        """
        for entry in self.history():
            if entry.model_id == model_id:
                return entry.version
        raise UserError(
            f"{self.path} has no version that is model {model_id}",
            remedy="run the pipeline again, from resolve on, with the registry that resolve was given",
        )

    def read(self, version: int, name: str) -> tuple[artifacts.Manifest, str]:
        """The manifest of `version`, and the text of its file `name`; nothing else of it is fetched.

        Raises:
            UserError: the version, or the file in it, is missing or damaged.
        """
        return read_text(self._backend, version, name)

    def history(self) -> list[Champion]:
        """Every promotion and rollback up to the champion's, oldest first; a missing entry is left out.

        Raises:
            UserError: the pointer or an entry is damaged.
        """
        champion = self.champion()
        return self._history(champion) if champion else []

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
        manifest = artifacts.read_manifest(model, MODEL)
        with self._backend.writing():
            champion, pointer = self._pointer_with_history()
            if champion and champion.model_id == manifest.id:
                return champion
            _refuse_stale(compared_with, champion)
            _refuse_spent_blessing(evaluation, self._history(champion) if champion else [])
            number = champion.history + 1 if champion else 1
            version = self._backend.keep(model, number, owner=f"{evaluation} {manifest.id}")
            challenger = Champion(
                version=version,
                model_id=manifest.id,
                fingerprint=str(manifest.facts["fingerprint"]),
                evaluation=evaluation,
                perplexity=float(perplexity),
                split=split,
                promoted=_now(),
                history=number,
                previous=champion.version if champion else None,
            )
            try:
                return self._commit(challenger, pointer)
            except ConflictError:
                rival = self.champion()
                if rival and rival.version == version:  # the same promotion, run twice at once
                    return rival
                self._backend.discard(version)
                if rival and rival.model_id == manifest.id:
                    return rival
                _refuse_stale(compared_with, rival)
                raise  # the champion was replaced, and rolled back to

    def rollback(self) -> Champion:
        """Makes the champion's predecessor champion again, as a new entry of the history.

        A second rollback goes on to the predecessor's own predecessor, never back to what was left.

        Raises:
            StaleBlessingError: another model became champion at this moment.
            UserError: there is no predecessor, or its entry or its files are damaged.
        """
        with self._backend.writing():
            champion, pointer = self._pointer_with_history()
            if champion is None or champion.previous is None:
                raise UserError(
                    f"{self.path} holds no version before the champion's to roll back to",
                    remedy="promote a better model instead",
                )
            self._backend.check(champion.previous)
            entries = [entry for entry in self._history(champion) if entry.version == champion.previous]
            if not entries:
                raise UserError(
                    f"the history in {self.path} has no entry of version {champion.previous}",
                    remedy="restore it, or promote a better model instead",
                )
            returning = dataclasses.replace(entries[-1], promoted=_now(), history=champion.history + 1)
            try:
                return self._commit(returning, pointer)
            except ConflictError as error:
                raise StaleBlessingError(
                    f"version {champion.version} was replaced as champion before the rollback from it was done",
                    remedy="look at the champion that stands now, and roll back again if that is wanted",
                ) from error

    def verify(self) -> Champion | None:
        """Checks every file of the champion's version, and writes its history entry anew if that is missing.

        Raises:
            UserError: the pointer or the version is damaged.
        """
        champion = self.champion()
        if champion is None:
            return None
        try:
            manifest = self._backend.check(champion.version)
        except UserError as error:
            raise UserError(
                f"the champion, version {champion.version}, is damaged: {error.message}",
                remedy=f"restore {self.location(champion.version)} from a copy, or roll back to the version before it",
            ) from error
        if manifest.id != champion.model_id:
            raise UserError(
                f"{self._backend.locate(POINTER)} names model {champion.model_id}, but version "
                f"{champion.version} holds {manifest.id}",
                remedy=f"copy the last entry of {self._backend.locate(HISTORY)} over {POINTER}, or roll back",
            )
        if self._backend.read(_entry(champion.history)) is None:
            with self._backend.writing():
                self._enter(champion)
        return champion

    def _pointer(self) -> tuple[Champion | None, Record | None]:
        record = self._backend.read(POINTER)
        remedy = f"copy the last entry of {self._backend.locate(HISTORY)} over it"
        return (_parse(record, self._backend.locate(POINTER), remedy), record) if record else (None, None)

    def _pointer_with_history(self) -> tuple[Champion | None, Record | None]:
        """The pointer, for a writer: its entry is in the history, and nothing beyond it is.

        Raises:
            UserError: the history goes on beyond it, so the pointer was lost or an old one put back.
        """
        newest = max(self._backend.numbers(), default=0)  # first, for another writer may move the pointer on
        champion, record = self._pointer()
        reached = champion.history if champion else 0
        if newest > reached:
            raise UserError(
                f"{self._backend.locate(POINTER)} is missing or old: the history goes on to {newest}, but the "
                f"pointer's entry is {reached}",
                remedy=f"copy {self._backend.locate(_entry(newest))} over it",
            )
        if champion and newest < reached:
            self._enter(champion)
        return champion, record

    def _history(self, champion: Champion) -> list[Champion]:
        names = [_entry(number) for number in range(1, champion.history)]
        found = zip(names, self._backend.read_all(names), strict=True)
        remedy = "restore it, or remove it"
        older = [_parse(record, self._backend.locate(name), remedy) for name, record in found if record]
        return [*older, champion]

    def _commit(self, champion: Champion, pointer: Record | None) -> Champion:
        """Moves the pointer from `pointer`, as it was read, to `champion`; raises ConflictError if it has moved."""
        self._backend.write(POINTER, dataclasses.asdict(champion), over=pointer)
        self._enter(champion)
        return champion

    def _enter(self, champion: Champion) -> None:
        """Adds the champion to the history, unless another writer has."""
        with contextlib.suppress(ConflictError):
            self._backend.write(_entry(champion.history), dataclasses.asdict(champion), over=None)


def _entry(number: int) -> str:
    return f"{HISTORY}/{number}.json"


def _refuse_spent_blessing(evaluation: str, history: list[Champion]) -> None:
    """A blessing serves once: a repeated promotion must not undo the rollback that followed it."""
    for entry in history:
        if entry.evaluation == evaluation:
            raise UserError(
                f"evaluation {evaluation} blessed version {entry.version}, which was champion and was replaced",
                remedy="train a new model, or evaluate this one anew under another [evaluate] section",
            )


def _refuse_stale(compared_with: str, champion: Champion | None) -> None:
    standing = champion.model_id if champion else ""
    if standing != compared_with:
        raise StaleBlessingError(
            f"the decision was made against {_called(compared_with)}, but {_called(standing)} is champion now",
            remedy="evaluate again, against the champion that stands now",
        )


def _parse(record: Record, place: str, remedy: str) -> Champion:
    """What the record says.

    Raises:
        UserError: it is not JSON, or not of this form.
    """
    try:
        champion = Champion(**json.loads(record.content))
    except (ValueError, TypeError) as error:
        raise UserError(f"{place} is damaged: {error}", remedy=remedy) from error
    for field in dataclasses.fields(Champion):
        value = getattr(champion, field.name)
        if not isinstance(value, field.type):  # type: ignore[arg-type]
            raise UserError(f"{place} is damaged: {field.name} is {value!r}", remedy=remedy)
    return champion


def _called(model_id: str) -> str:
    return f"model {model_id[:12]}" if model_id else "no champion"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
