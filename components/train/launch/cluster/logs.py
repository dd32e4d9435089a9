"""The chief's log, shown line by line as it grows.

Asked for again and again rather than followed: a connection that breaks then needs no care, and lines come as soon as
the launcher looks.
"""

import datetime
import re
import sys
from collections.abc import Mapping
from typing import Any

from components.train.launch.cluster.api import Api
from hopline.runtime.records import plain, read_records

_SEEN_BEFORE = "20"  # lines shown of a log that was there before this launcher


class ChiefLog:
    """Shows each line once, also when the chief's pod is replaced.

    Args:
        api: where logs are.
        adopted: whether an earlier launcher has shown what there is by now.

    Attributes:
        progress: the last record of how far training is; empty before the first.
    """

    def __init__(self, api: Api, *, adopted: bool) -> None:
        self._api = api
        self._adopted = adopted
        self._pod = ""
        self._last: tuple[datetime.datetime, str] | None = None
        self._since = ""
        self.progress: Mapping[str, Any] = {}

    def show(self, pod: str) -> None:
        """Prints what the chief in `pod` has said since the last call."""
        if pod != self._pod:
            self._pod, self._last, self._since = pod, None, ""
        query = {"timestamps": "true"}
        if self._since:
            query["sinceTime"] = self._since  # of whole seconds: some lines come twice
        elif self._adopted:
            query["tailLines"] = _SEEN_BEFORE
        self._adopted = False
        for line in self._api.log(pod, **query).splitlines():
            stamp, _, text = line.partition(" ")
            moment = _moment(stamp)
            if moment and (self._last is None or moment > self._last):
                self._last, self._since = moment, stamp
                if progress := read_records(text).get("progress"):
                    self.progress = progress
                else:
                    print(text, file=sys.stderr, flush=True)


def last_lines(api: Api, pod: str, count: int) -> list[str]:
    """The last `count` lines that the pod's worker printed; none if the log cannot be had."""
    return plain(api.log(pod, tailLines=str(count)))


def _moment(stamp: str) -> tuple[datetime.datetime, str] | None:
    """A time as Kubernetes writes it, to the nanosecond, which `datetime` does not hold; None if it is none."""
    try:
        moment = datetime.datetime.fromisoformat(stamp)
    except ValueError:
        return None
    fraction = re.search(r"(?<=\.)[0-9]+", stamp)
    return moment.replace(microsecond=0), fraction.group() if fraction else ""
