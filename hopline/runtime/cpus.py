"""What CPUs this process has: how many it may use, where affinity or a control group bounds it, and what they do."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_FEATURES = ("flags", "Features")  # as Linux names them on x86 and on Arm
_BFLOAT16 = {"amx_bf16", "avx512_bf16", "bf16"}


def usable_cpus(root: Path = Path("/")) -> int:
    """The CPUs that this process may use at once, at least 1.

    The least of those that it may run on (`sched_getaffinity`; taskset and cpusets bound it) and of the quota of its
    control group and all groups around it, rounded up: with 2.5 CPUs a third thread still has half of one.

    Args:
        root: of the file system that holds /proc and /sys; another one in tests.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in _quotas(root))]))


def multiplies_bfloat16(root: Path = Path("/")) -> bool:
    """Whether the CPUs have instructions for products of bfloat16 matrices; without them float32 is the faster.

    Args:
        root: of the file system that holds /proc; another one in tests.
    """
    lines = (line.partition(":") for line in _read(root / "proc/cpuinfo").splitlines())
    features = {feature for name, _, found in lines if name.strip() in _FEATURES for feature in found.split()}
    return not _BFLOAT16.isdisjoint(features)


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
