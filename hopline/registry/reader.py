"""What a registry says: its champion, its history and its versions.  Nothing here writes."""

from pathlib import Path
from typing import Any

from hopline import artifacts
from hopline.registry.backends import REMOVED, VERSIONS, Record, open_backend, read_text
from hopline.registry.card import describe
from hopline.registry.lineage import Version, versions_of
from hopline.registry.records import HISTORY, POINTER, Champion, entry_name, parse_record
from hopline.runtime.errors import UserError
from hopline.schema import MANIFEST, MODEL


class Reader:
    """The registry at `path`, a folder or the URI of an object store."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.backend = open_backend(path)

    def champion(self) -> Champion | None:
        """The champion that stands now, or None before the first promotion.

        Raises:
            UserError: the pointer is damaged, or a newer hopline wrote it.
        """
        return self._pointer()[0]

    def location(self, version: int) -> str:
        """The path or URI of the model directory of `version`."""
        return self.backend.locate(f"{VERSIONS}/{version}")

    def fetch(self, version: int, folder: Path, step: str) -> Path:
        """A local model directory of `version`: its own, or, from an object store, a copy made in `folder`.

        `step` is the one whose progress is shown.

        Raises:
            UserError: there is no such version in the object store.
        """
        return self.backend.fetch(version, folder, step)

    def version(self, model_id: str) -> int:
        """The version of a model that is or was champion.

        Raises:
            UserError: the history has no such model.
        """
        for entry in self.entries()[0]:
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
        return read_text(self.backend, version, name)

    def manifest(self, version: int) -> artifacts.Manifest:
        """The manifest of `version`.

        Raises:
            UserError: it is missing or damaged, or a newer hopline made it.
        """
        record = self.backend.read(f"{VERSIONS}/{version}/{MANIFEST}")
        if record is None:
            removed = version in self.backend.numbers(REMOVED)
            raise UserError(
                f"{self.location(version)} {'was removed by `hopline models prune`' if removed else 'is missing'}",
                remedy="name another version" if removed else "restore it from a copy",
            )
        return artifacts.parse_manifest(record.content.decode(errors="replace"), self.location(version), MODEL)

    def history(self) -> list[Champion]:
        """Every promotion and rollback up to the champion's, oldest first; a missing entry is left out.

        Raises:
            UserError: the pointer or an entry is damaged.
        """
        champion = self.champion()
        return self._history(champion) if champion else []

    def entries(self) -> tuple[list[Champion], list[UserError]]:
        """`history`, and what is wrong with the entries that cannot be read, which are left out.

        Raises:
            UserError: the pointer is damaged.
        """
        champion = self.champion()
        return self._entries(champion) if champion else ([], [])

    def lineage(self) -> list[Version]:
        """The versions that are or were champion, in the order of their numbers; entries that are damaged are left out.

        Raises:
            UserError: the pointer is damaged.
        """
        entries, _ = self.entries()
        return versions_of(entries, set(self.backend.versions()), set(self.backend.numbers(REMOVED)))

    def card(self, entry: Champion) -> dict[str, Any]:
        """What the card of the version that `entry` promoted says: as recorded, or else from the model's manifest."""
        return entry.card or describe(self.manifest(entry.version))

    def _pointer(self) -> tuple[Champion | None, Record | None]:
        record = self.backend.read(POINTER)
        remedy = (
            f"`hopline models verify --repair --registry {self.path}` copies the last entry of "
            f"{self.backend.locate(HISTORY)} over it"
        )
        return (parse_record(record.content, self.backend.locate(POINTER), remedy), record) if record else (None, None)

    def _history(self, champion: Champion) -> list[Champion]:
        entries, errors = self._entries(champion)
        if errors:
            raise errors[0]
        return entries

    def _entries(self, champion: Champion) -> tuple[list[Champion], list[UserError]]:
        names = [entry_name(number) for number in range(1, champion.history)]
        entries, errors = [], []
        for name, record in zip(names, self.backend.read_all(names), strict=True):
            try:
                if record:
                    entries.append(parse_record(record.content, self.backend.locate(name), "restore it, or remove it"))
            except UserError as error:
                errors.append(error)
        return [*entries, champion], errors
