"""The logs of a run's steps, shown as they grow."""

import time
from collections.abc import Callable, Sequence

from pipelines.kubeflow.client import Client
from pipelines.kubeflow.follow import LOOK_SECONDS, look
from pipelines.kubeflow.logs import step_log


def tail(
    client: Client,
    identity: str,
    steps: Sequence[str],
    write: Callable[[str], None],
    note: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Writes what the steps of the run say, each line once, until the run has ended.

    Args:
        client: of its server, which may be away for a while.
        identity: the run's id.
        steps: whose logs; of several each part begins with a line that names its step.
        write: takes text.
        note: takes a message about the server.
        pause: sleeps so many seconds between two looks.
    """
    shown = dict.fromkeys(steps, "")
    last = ""
    while True:
        run = look(client, identity, note, pause)
        for step in steps:
            log = step_log(client, run, step)
            if not run.ended:
                log = log[: log.rfind("\n") + 1]  # of a line that is being written the rest comes later
            new = log.removeprefix(shown[step]) if log.startswith(shown[step]) else log  # a new try has a new log
            if not new:
                continue
            if len(steps) > 1 and step != last:
                write(f"--- {step}\n")
            last, shown[step] = step, log
            write(new if new.endswith("\n") else f"{new}\n")
        if run.ended:
            return
        pause(LOOK_SECONDS)
