import pytest

from hopline.store import objects
from hopline.store.bucket import ABSENT
from hopline.store.objects import Store
from pipelines.doctor.check import State, diagnose
from pipelines.doctor.registry import checks


def states(place):
    return [finding.answer.state for finding in diagnose(checks(place))]


def test_a_store_that_refuses_the_second_of_two_writers_is_good_and_left_as_it_was(remote_place):
    assert states(remote_place) == [State.OK, State.OK]
    assert Store(remote_place).entries() == []


@pytest.mark.parametrize("ignored", ["create", "replace"])
def test_a_store_that_ignores_a_condition_is_found_out(ignored, bucket, monkeypatch):
    place = f"{bucket('s3')}/registry"
    from hopline.store.s3 import AmazonBucket

    write = AmazonBucket.write

    def careless(self, name, data, expected):
        return write(self, name, data, None if (expected == ABSENT) == (ignored == "create") else expected)

    monkeypatch.setattr(AmazonBucket, "write", careless)
    assert states(place) == [State.OK, State.MISSING]
    assert Store(place).entries() == []


def test_a_bucket_that_does_not_exist_is_missing(bucket):
    bucket("s3")
    assert states("s3://nowhere-to-be-found/registry") == [State.MISSING, State.MISSING]


def test_a_store_that_does_not_answer_is_unknown(mortal, monkeypatch):
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 0.3)
    mortal.kill()
    assert states(f"{mortal.scheme}://bucket/registry") == [State.UNKNOWN, State.UNKNOWN]


def test_a_folder_is_written_or_not(tmp_path):
    assert states(str(tmp_path / "registry")) == [State.OK, State.OK]
    (tmp_path / "file").touch()
    assert states(str(tmp_path / "file"))[1] is State.MISSING
