import os
import subprocess
import sys

import pytest

from hopline.runtime.cpus import multiplies_bfloat16, usable_cpus


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes a machine of 64 CPUs whose control groups are the given files."""

    def make(groups, files, affinity=64):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
        for name, content in files.items():
            path = tmp_path / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return usable_cpus(tmp_path)

    return make


@pytest.mark.parametrize(("limit", "cpus"), [
    ("max 100000", 64), ("100000 100000", 1), ("50000 100000", 1), ("250000 100000", 3), ("6400000 50000", 64),
])  # fmt: skip
def test_a_container_of_control_groups_version_2_sees_its_quota_at_the_mount_point(machine, limit, cpus):
    assert machine("0::/\n", {"cpu.max": f"{limit}\n"}) == cpus


def test_the_tightest_of_the_groups_around_a_process_counts(machine):
    files = {
        "kubepods/cpu.max": "800000 100000",
        "kubepods/pod/cpu.max": "300000 100000",
        "kubepods/pod/one/cpu.max": "max 100000",
    }
    assert machine("0::/kubepods/pod/one\n", files) == 3


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("path", ["/docker/abc", "/"])
def test_version_1_has_quota_and_period_in_files_of_their_own_also_where_the_hosts_path_is_unknown(
    machine, mount, path
):
    files = {f"{mount}/cpu.cfs_quota_us": "150000\n", f"{mount}/cpu.cfs_period_us": "100000\n"}
    assert machine(f"12:memory:{path}\n4:cpu,cpuacct:{path}\n1:name=systemd:{path}\n", files) == 2


def test_a_version_1_group_without_a_limit_bounds_nothing(machine):
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert machine("4:cpu:/\n", files) == 64


def test_affinity_bounds_too(machine):
    assert machine("0::/\n", {"cpu.max": "800000 100000"}, affinity=5) == 5


def test_nonsense_and_missing_files_bound_nothing(machine):
    assert machine("nonsense\n0::/gone\n", {"cpu.max": "a b c"}) == 64


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds a process to CPUs")
def test_a_process_that_is_bound_to_one_cpu_counts_one():
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from hopline.runtime.cpus import usable_cpus; print(usable_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(("cpuinfo", "can"), [
    ("flags\t\t: fpu avx2 avx512f avx512_bf16 fma\n", True), ("flags\t\t: amx_tile amx_bf16\n", True),
    ("Features\t: fp asimd bf16\n", True), ("flags\t\t: fpu avx2 avx512f fma\n", False),
    ("bugs\t\t: bf16\n", False), ("", False),
])  # fmt: skip
def test_bfloat16_products_need_instructions_of_their_own(tmp_path, cpuinfo, can):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    assert multiplies_bfloat16(tmp_path) is can


def test_a_machine_that_does_not_say_has_no_bfloat16(tmp_path):
    assert not multiplies_bfloat16(tmp_path)
