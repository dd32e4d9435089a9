"""The folder that TensorFlow Serving serves from.

    <models>/<version>/     the SavedModel of a version of the registry, and the model's manifest
    <work>/fetched/         a version on its way

The server serves all versions in <models> (policy `all`), and gives a request that names none to the highest.  So the
champion's version is put beside the one before it, and that one is removed once the server answers from the new, and
has given it the label `champion`: no request is dropped.  After a rollback, where the champion's number is the lower
one, removing is what changes over for requests that name neither version nor label.
Every turn looks at what is there, so it does not matter where an earlier one was killed.
"""

from pathlib import Path
from typing import Protocol

from components.follow.config import LABEL, ServingConfig
from hopline import artifacts, schema
from hopline.registry.registry import Champion, Registry
from hopline.runtime.errors import UserError
from hopline.schema import MODEL, SAVED_MODEL_FOLDER
from hopline.store import folders


class Versions(Protocol):
    """A server of versions."""

    def obstacle(self, version: int) -> str:
        """Why `version` is not answering requests, "" if it is."""

    def unlabelled(self, version: int, label: str) -> str:
        """Why `version` does not answer those for `label`, "" if it does."""


class Follower:
    """Keeps the folder `models` to the champion of `registry`.

    Args:
        registry: is only read.
        models: the server's base path for the model; no other process writes it.
        work: on the same file system, so that files need not be copied.
        server: tells when a version answers.
        config: the server's, if the champion is to have a label.
    """

    def __init__(
        self, registry: Registry, models: Path, work: Path, server: Versions, config: ServingConfig | None = None
    ) -> None:
        self._registry, self._models, self._work, self._server = registry, models, work, server
        self._config = config

    def turn(self) -> str:
        """Does what is to do now, and returns how things stand, in a sentence.

        Raises:
            UserError: the version is damaged or not there, or the store refuses; what is served stays.
            InternalError: the store does not answer; what is served stays.
        """
        folders.remove_partial(self._models)
        champion = self._registry.champion()
        if champion is None:
            return "the registry has no champion yet"
        if not self._placed(champion):
            if self._config and not self._config.exists:  # the server starts as soon as a version is there
                self._config.label(champion.version)
            self._place(champion)
        others = self.versions() - {champion.version}
        if obstacle := self._server.obstacle(champion.version):
            meanwhile = f"; until then {', '.join(map(str, sorted(others)))} is served" if others else ""
            return f"version {champion.version} is champion, but {obstacle}{meanwhile}"
        if self._config:
            self._config.label(champion.version)  # only now: a server may refuse to label what does not answer
            if obstacle := self._server.unlabelled(champion.version, LABEL):
                return f"version {champion.version} is champion and is served, but {obstacle}"
        for version in others:
            folders.remove_tree(self._models / str(version))
        return f"version {champion.version} is champion and is served"

    def versions(self) -> set[int]:
        """All versions in the server's folder."""
        return {int(path.name) for path in self._models.iterdir() if path.name.isdecimal()}

    def _placed(self, champion: Champion) -> bool:
        folder = self._models / str(champion.version)
        if not folder.exists():
            return False
        if artifacts.read_manifest(folder, MODEL).id != champion.model_id:
            raise UserError(
                f"version {champion.version} of {self._registry.path} is not the model served under this number",
                remedy="restart the pod: a server does not load a number twice",
            )
        return True

    def _place(self, champion: Champion) -> None:
        fetched, ready = self._work / "fetched", self._work / "ready"
        found = self._registry.fetch(champion.version, fetched, "follow")
        if artifacts.verify(found, MODEL).id != champion.model_id:
            raise UserError(
                f"{self._registry.location(champion.version)} is not the model {champion.model_id} that is champion",
                remedy="restore it from a copy, or go back: "
                f"`hopline models rollback --registry {self._registry.path}`",
            )
        folders.place(found / SAVED_MODEL_FOLDER, ready)
        folders.link(found / schema.MANIFEST, ready / schema.MANIFEST)
        folders.settle(ready, self._models / str(champion.version))
        folders.remove_tree(fetched)
