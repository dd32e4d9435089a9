"""The registry: the models that were promoted, and the one that is champion.

    <registry>/
      champion.json      the champion: the last promotion or rollback (`Champion`)
      history/<n>.json   every promotion and rollback, from 1; create-only
      versions/<v>/      the model directory that a promotion brought, and its card.md
      removed/<v>.json   that a version was removed (`hopline.registry.upkeep`)
      index.html         all this for people

It lies in a local folder or in an object store (`hopline.registry.backends`).  A promotion writes, in this order: 1.
the version, whole, and its card; 2. the pointer, over the one it was decided against and no other, so of several
promotions exactly one wins; 3. the history entry, which is the pointer's text; 4. the page.  Killed before 2 it never
happened: the old champion stands, and nothing reads what it left.  Killed before 3 or 4 it stands, and the next writer
or `hopline models verify` adds what is missing.

In a folder the version has its entry's number, and replaces what a killed promotion left there.  In an object store
promotions may run at once, each with a number of its own.  The loser deletes its version.  A killed promotion leaves
its number claimed: its retry reuses the number; otherwise the number stays unused.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hopline import artifacts
from hopline.registry.backends import REMOVED, VERSIONS, Record
from hopline.registry.card import CARD, describe, render
from hopline.registry.page import PAGE, render_page
from hopline.registry.reader import Reader
from hopline.registry.records import HISTORY, POINTER, Champion, entry_name
from hopline.runtime.errors import HoplineError, StaleBlessingError, UserError
from hopline.schema import MODEL
from hopline.store.bucket import ConflictError

__all__ = ["Champion", "Registry"]

_PAGE_TRIES = 3  # another promotion may come between reading the history and writing the page


class Registry(Reader):
    """The registry at `path`, a folder or the URI of an object store, which the first promotion makes."""

    def promote(
        self,
        model: Path,
        *,
        evaluation: str,
        perplexity: float,
        split: str,
        compared_with: str,
        card: Mapping[str, Any] | None = None,
    ) -> Champion:
        """Makes the model directory `model` champion.

        Asked again for the model that is champion already, it only completes what a killed promotion did not write,
        and returns that champion.

        Args:
            model: a sealed model directory; it is copied.
            evaluation: id of the evaluation that blessed it.
            perplexity: its perplexity there.
            split: the split it was measured on.
            compared_with: id of the model that it was compared with, "" if there was no champion.
            card: what its card says (`hopline.registry.card.describe`); by default what its manifest says.

        Raises:
            StaleBlessingError: another model has become champion since.
            UserError: the registry or the model is damaged, or the blessing was used and the model replaced.
        """
        manifest = artifacts.read_manifest(model, MODEL)
        with self.backend.writing():
            champion, pointer = self._pointer_with_history()
            if champion and champion.model_id == manifest.id:
                self.publish()
                return champion
            _refuse_stale(compared_with, champion)
            _refuse_spent_blessing(evaluation, self._history(champion) if champion else [])
            number = champion.history + 1 if champion else 1
            version = self.backend.keep(model, number, owner=f"{evaluation} {manifest.id}")
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
                card=dict(card or describe(manifest)),
            )
            self.backend.write_text(f"{VERSIONS}/{version}/{CARD}", render(challenger, challenger.card))
            try:
                return self._commit(challenger, pointer)
            except ConflictError:
                rival = self.champion()
                if rival and rival.version == version:  # the same promotion, run twice at once
                    return rival
                self.backend.discard(version)
                if rival and rival.model_id == manifest.id:
                    return rival
                _refuse_stale(compared_with, rival)
                raise  # the champion was replaced, and rolled back to

    def predecessor(self, champion: Champion) -> Champion:
        """The entry, as it was promoted, of the version that a rollback from `champion` makes champion.

        Raises:
            UserError: there is no predecessor, its entry is missing, or its files are damaged.
        """
        if champion.previous is None:
            raise UserError(
                f"{self.path} holds no version before the champion's to roll back to",
                remedy="promote a better model instead",
            )
        if champion.previous in self.backend.numbers(REMOVED):
            raise UserError(
                f"version {champion.previous}, which a rollback goes to, was removed by `hopline models prune`",
                remedy="promote a better model instead",
            )
        self.backend.check(champion.previous)
        entries = [entry for entry in self._entries(champion)[0] if entry.version == champion.previous]
        if not entries:
            raise UserError(
                f"the history in {self.path} has no entry of version {champion.previous}",
                remedy="restore it, or promote a better model instead",
            )
        return entries[-1]

    def rollback(self, expected: Champion | None = None) -> Champion:
        """Makes the champion's predecessor champion again, as a new entry of the history.

        A second rollback goes on to the predecessor's own predecessor, never back to what was left.

        Args:
            expected: the champion to roll back from; by default whichever stands.

        Raises:
            StaleBlessingError: another model is champion than `expected`, or became it at this moment.
            UserError: there is no predecessor, or its entry or its files are damaged.
        """
        found = self.champion()
        if found is None:  # before a folder is made for it
            raise UserError(
                f"{self.path} holds no version before the champion's to roll back to: it has no champion",
                remedy="name the place of a registry",
            )
        with self.backend.writing():
            champion, pointer = self._pointer_with_history()
            if champion is None or champion != (expected or champion):
                raise _stale_rollback(expected or found)
            returning = dataclasses.replace(self.predecessor(champion), promoted=_now(), history=champion.history + 1)
            try:
                return self._commit(returning, pointer)
            except ConflictError as error:
                raise _stale_rollback(champion) from error

    def verify(self) -> Champion | None:
        """Checks every file of the champion's version, and writes its history entry anew if that is missing.

        Raises:
            UserError: the pointer or the version is damaged.
        """
        champion = self.champion()
        if champion is None:
            return None
        try:
            manifest = self.backend.check(champion.version)
        except UserError as error:
            raise UserError(
                f"the champion, version {champion.version}, is damaged: {error.message}",
                remedy=f"restore {self.location(champion.version)} from a copy, or go back to the version before it: "
                f"`hopline models rollback --registry {self.path}`",
            ) from error
        if manifest.id != champion.model_id:
            raise UserError(
                f"{self.backend.locate(POINTER)} names model {champion.model_id}, but version "
                f"{champion.version} holds {manifest.id}",
                remedy=f"copy the last entry of {self.backend.locate(HISTORY)} over {POINTER}, or go back to the "
                f"version before it: `hopline models rollback --registry {self.path}`",
            )
        self.complete_history(champion)
        return champion

    def complete_history(self, champion: Champion) -> bool:
        """Adds the champion's entry to the history if it is missing; returns whether it was."""
        if self.backend.read(entry_name(champion.history)) is not None:
            return False
        with self.backend.writing():
            self._enter(champion)
        return True

    def publish(self) -> None:
        """Writes the page.  Where that fails the registry is complete without it: it is said, and no error."""
        try:
            for _ in range(_PAGE_TRIES):
                versions, standing = self.lineage(), self.champion()
                self.backend.write_text(PAGE, render_page(versions))
                if self.champion() == standing:
                    return
        except (HoplineError, OSError) as error:
            print(
                f"warning: {self.backend.locate(PAGE)} was not written: {error}; `hopline models verify` writes it",
                file=sys.stderr,
            )

    def _pointer_with_history(self) -> tuple[Champion | None, Record | None]:
        """The pointer, for a writer: its entry is in the history, and nothing beyond it is.

        Raises:
            UserError: the history goes on beyond it, so the pointer was lost or an old one put back.
        """
        newest = max(self.backend.numbers(HISTORY), default=0)  # first, for another writer may move the pointer on
        champion, record = self._pointer()
        reached = champion.history if champion else 0
        if newest > reached:
            raise UserError(
                f"{self.backend.locate(POINTER)} is missing or old: the history goes on to {newest}, but the "
                f"pointer's entry is {reached}",
                remedy=f"copy {self.backend.locate(entry_name(newest))} over it",
            )
        if champion and newest < reached:
            self._enter(champion)
        return champion, record

    def _commit(self, champion: Champion, pointer: Record | None) -> Champion:
        """Moves the pointer from `pointer`, as it was read, to `champion`; raises ConflictError if it has moved."""
        self.backend.write(POINTER, champion.content(), over=pointer)
        self._enter(champion)
        self.publish()
        return champion

    def _enter(self, champion: Champion) -> None:
        """Adds the champion to the history, unless another writer has."""
        with contextlib.suppress(ConflictError):
            self.backend.write(entry_name(champion.history), champion.content(), over=None)


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


def _stale_rollback(champion: Champion) -> StaleBlessingError:
    return StaleBlessingError(
        f"version {champion.version} was replaced as champion before the rollback from it was done",
        remedy="look at the champion that stands now (`hopline models list`), and repeat `hopline models rollback` if "
        "that is wanted",
    )


def _called(model_id: str) -> str:
    return f"model {model_id[:12]}" if model_id else "no champion"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
