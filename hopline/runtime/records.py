"""Records that a step prints for programs that read its log: lines of JSON that begin with a mark.

Kubeflow's API shows nothing of a task on a cluster but the log of its pod.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

_MARK = "hopline-record "


def print_record(kind: str, content: Mapping[str, Any]) -> None:
    """Prints `content`, which is JSON, as the record `kind`."""
    print(_MARK + json.dumps({"kind": kind, **content}), file=sys.stderr, flush=True)


def read_records(log: str) -> dict[str, dict[str, Any]]:
    """The last record of each kind in `log`.  A line that was cut, or that another program wrote, is none."""
    found = {}
    for line in log.splitlines():
        mark, _, text = line.partition(_MARK)
        if mark or not text:
            continue
        try:
            content = json.loads(text)
            found[content.pop("kind")] = content
        except (ValueError, KeyError, AttributeError, TypeError):
            continue
    return found


def plain(log: str) -> list[str]:
    """The lines of `log` that are no records."""
    return [line for line in log.splitlines() if not line.startswith(_MARK)]
