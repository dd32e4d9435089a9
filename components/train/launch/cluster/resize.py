"""A Job's number of workers, changed from outside by an annotation on it.

The number stands in the Job's pods (whose names are the workers' places), so a Job keeps its own: its launcher deletes
it, upon which the workers save, and makes another, which goes on from the newest checkpoint.  The new Job carries the
annotation too.  By it every launcher knows a Job of another number than its own for that of its training.
"""

import sys
from collections.abc import Callable
from typing import Any

from hopline.runtime.errors import PreemptedError
from hopline.schema import WORKERS_ANNOTATION

Manifest = dict[str, Any]


class ResizedError(PreemptedError):
    """Nothing has failed: somebody wants another number of workers.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(f"{workers} workers are asked for")
        self.workers = workers


def is_resized(job: Manifest) -> bool:
    """Whether somebody has asked for another number of workers, of this Job or of the one before it."""
    return WORKERS_ANNOTATION in job["metadata"].get("annotations", {})


def annotated(job: Manifest, workers: int) -> Manifest:
    """The Job with the annotation that asks for `workers`."""
    metadata = job["metadata"]
    annotations = {**metadata.get("annotations", {}), WORKERS_ANNOTATION: str(workers)}
    return {**job, "metadata": {**metadata, "annotations": annotations}}


class Requests:
    """Reads from Jobs how many workers are asked for, as far as that is `allowed`; what is not is told once."""

    def __init__(self, allowed: Callable[[int], bool]) -> None:
        self._allowed = allowed
        self._refused: str | None = None

    def number(self, job: Manifest) -> int:
        """How many workers are wanted: those that are asked for, if that may be, else those of the Job."""
        workers = int(job["spec"]["completions"])
        asked = job["metadata"].get("annotations", {}).get(WORKERS_ANNOTATION, str(workers))
        if asked == str(workers):
            return workers
        if asked.isascii() and asked.isdigit() and int(asked) > 0 and self._allowed(int(asked)):
            return int(asked)
        if asked != self._refused:
            self._refused = asked
            print(f'train: "{asked}" workers are asked for, among which the batch cannot be divided', file=sys.stderr)
        return workers
