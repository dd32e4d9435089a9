"""How far training is, as annotations of its Job: for who looks at the Job alone."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from components.train.launch.cluster.api import Api
from hopline.runtime.errors import HoplineError
from hopline.schema import LEFT_ANNOTATION, PROGRESS_ANNOTATION, VALUES_ANNOTATION

_SECONDS = 30.0  # between two changes of the Job


class ProgressNote:
    """Keeps the annotations of one Job near to what its chief says of its progress."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._waited = _SECONDS
        self._noted: dict[str, str] = {}

    def waited(self, seconds: float) -> None:
        """Notes that so much time has passed."""
        self._waited += seconds

    def update(self, job: str, progress: Mapping[str, Any]) -> None:
        """Brings the Job of this name up to date, now and then; that this fails is no reason to end training."""
        annotations = described(progress)
        if not annotations or annotations == self._noted or self._waited < _SECONDS:
            return
        self._waited, self._noted = 0.0, annotations
        with contextlib.suppress(HoplineError):
            self._api.patch("Job", job, {"metadata": {"annotations": annotations}}, patience=0)


def described(progress: Mapping[str, Any]) -> dict[str, str]:
    """The annotations for a record of `hopline.runtime.progress`; none for one of something beside training."""
    if not progress.get("total") or progress.get("phase"):
        return {}
    left = progress.get("seconds_left")
    return {
        PROGRESS_ANNOTATION: f"{100 * progress['done'] / progress['total']:.1f}",
        LEFT_ANNOTATION: "" if left is None else f"{left:.0f}",
        VALUES_ANNOTATION: json.dumps(progress.get("values", {}), sort_keys=True),
    }
