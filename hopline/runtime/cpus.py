"""How many CPUs this process may use: fewer than the machine has, where affinity or a control group bounds it."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cpus(root: Path = Path("/")) -> int:
    """The CPUs that this process may use at once, at least 1.

    The least of those that it may run on (`sched_getaffinity`; taskset and cpusets bound it) and of the quota of its
    control group and all groups around it, rounded up: with 2.5 CPUs a third thread still has half of one.

    Args:
        root: of the file system that holds /proc and /sys; another one in tests.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The quota of each group that this process is in, in CPUs; what cannot be read bounds nothing."""
    for line in _read(root / "proc/self/cgroup").splitlines():  # hierarchy:controllers:path
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2
            yield from _quotas_of(root / "sys/fs/cgroup", path)
        elif "cpu" in controllers.split(","):
            yield from _quotas_of(root / "sys/fs/cgroup/cpu", path)
            yield from _quotas_of(root / "sys/fs/cgroup" / controllers, path)


def _quotas_of(mount: Path, path: str) -> Iterator[float]:
    """The quotas of the group at `path` and of those around it.

    A container sees its own group at the mount point, and the path may be the one that its host knows it by: so both
    are looked at, and the group that is not there has no file.
    """
    group = PurePosixPath(path.lstrip("/"))
    for inner in (group, *group.parents):
        folder = mount / inner
        limit = _read(folder / "cpu.max").split()
        if not limit:
            limit = [*_read(folder / "cpu.cfs_quota_us").split(), *_read(folder / "cpu.cfs_period_us").split()]
        try:
            quota, period = (float(number) for number in limit)
        except ValueError:  # no such file, or "max": no limit
            continue
        if quota > 0 and period > 0:  # -1: no limit
            yield quota / period


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
