import importlib.metadata

import pytest

from pipelines.doctor import kind, machine
from pipelines.doctor.check import State, diagnose
from pipelines.doctor.machine import GIB
from tests.pipelines.doctor.programs import put


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10), State.MISSING), ((3, 11), State.OK), ((3, 13), State.OK), ((3, 14), State.MISSING)]
)
def test_hopline_runs_with_python_3_11_to_3_13(version, state):
    assert machine.python(version).state is state


@pytest.mark.parametrize(("gib", "state"), [(3.5, State.MISSING), (7.7, State.OK), (16, State.OK)])
def test_a_machine_sold_with_8_gib_has_8_gib(gib, state):
    assert machine.memory(int(gib * GIB), 8).state is state


def test_room_is_looked_for_where_the_folder_will_be(tmp_path):
    assert machine.disk(tmp_path / "not" / "there", 0).state is State.OK
    answer = machine.disk(tmp_path / "not" / "there", 10**6)
    assert answer.state is State.MISSING
    assert str(tmp_path) in answer.found


PINS = [
    'alpha==1.0; extra == "train"',
    'beta[fast]==2.0 ; extra == "train"',
    "gamma==3.0; extra == 'train'",
    'other==1.0; extra == "command"',
]


@pytest.mark.parametrize(
    ("installed", "found"),
    [
        ({"alpha": "1.0", "gamma": "3.0"}, ""),
        ({"alpha": "1.1", "gamma": "3.0"}, "alpha is 1.1, pinned 1.0"),
        ({"alpha": "1.0"}, "gamma is not installed"),
    ],
)
def test_an_extra_is_there_when_its_packages_are_at_their_pins(installed, found):
    def version(package):
        if package not in installed:
            raise importlib.metadata.PackageNotFoundError
        return installed[package]

    answer = machine.extra("train", [line for line in PINS if "beta" not in line], version)
    assert answer.state is (State.MISSING if found else State.OK)
    assert found in answer.found


def test_the_extras_of_this_project_are_found_by_their_names():
    for name in machine.EXTRAS:
        answer = machine.extra(name)
        assert answer.state is State.OK, answer
        assert not answer.found.startswith("0 ")


GOOD = {
    "docker": '{"NCPU": 4, "MemTotal": 8300000000, "CgroupVersion": "2", "DockerRootDir": "/", "v": "20.10.24"}',
    "kind": "kind v0.32.0 go1.26.8 linux/amd64",
    "kubectl": '{"clientVersion": {"major": "1", "gitVersion": "v1.33.13"}, "kustomizeVersion": "v5.6.0"}',
    "git": "git version 2.39.5",
}


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes all programs that a kind cluster needs, or others in their place."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kind, "DISK_GIB", 0)

    def make(**changed):
        for name, said in {**GOOD, **changed}.items():
            if said is not None:
                put(tmp_path, name, *said) if isinstance(said, tuple) else put(tmp_path, name, said)
        return {finding.name: finding.answer for finding in diagnose(kind.checks())}

    return make


def test_a_machine_with_all_that_kind_needs_passes(programs):
    assert {answer.state for answer in programs().values()} == {State.OK}


@pytest.mark.parametrize(
    ("changed", "check", "state", "found"),
    [
        ({"kind": None}, "kind", State.MISSING, "kind is not installed"),
        ({"kind": "kind v0.20.0"}, "kind", State.MISSING, "0.20.0, but 0.32 is needed"),
        ({"kind": "devel"}, "kind", State.UNKNOWN, "devel"),
        ({"kubectl": '{"gitVersion": "v1.20.2"}'}, "kubectl", State.MISSING, "1.20.2"),
        ({"kubectl": ("", 1, "unknown flag: --output")}, "kubectl", State.MISSING, "unknown flag"),
        ({"docker": ("", 1, "Cannot connect to the Docker daemon")}, "Docker engine", State.MISSING, "Cannot connect"),
        ({"docker": ("", 1, "Cannot connect to the Docker daemon")}, "memory", State.MISSING, "Cannot connect"),
        ({"docker": GOOD["docker"].replace("8300000000", "4000000000")}, "memory", State.MISSING, "3.7 GiB, but 8"),
        ({"docker": GOOD["docker"].replace('"NCPU": 4', '"NCPU": 2')}, "cores", State.MISSING, "2, but 4"),
        ({"docker": GOOD["docker"].replace('Version": "2"', 'Version": "1"')}, "control groups", State.MISSING, "1"),
        ({"docker": GOOD["docker"].replace('Dir": "/"', 'Dir": "/x/y"')}, "disk", State.UNKNOWN, "/x/y"),
        ({"docker": "no JSON"}, "cores", State.UNKNOWN, "JSONDecodeError"),
        ({"git": None}, "git", State.MISSING, "not installed"),
    ],
)
def test_what_kind_lacks_is_named_with_a_remedy(programs, changed, check, state, found):
    answer = programs(**changed)[check]
    assert (answer.state, answer.remedy != "") == (state, True)
    assert found in answer.found


def test_images_that_are_not_built_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    put(tmp_path, "docker", "one:1\ntwo:1")
    assert machine.images({"a": "one:1"}).look().state is State.OK
    answer = machine.images({"a": "one:1", "b": "three:1"}).look()
    assert (answer.state, answer.found, answer.remedy) == (State.MISSING, "not built: three:1", "make images")
