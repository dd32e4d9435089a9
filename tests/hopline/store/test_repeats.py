"""Items that come twice, in memory that does not grow."""

import errno
import tempfile

import pytest

from hopline.runtime.errors import InternalError
from hopline.store.repeats import Repeats


def added(items, held):
    """What `add` says of each item, and then `likely`."""
    with Repeats(held) as repeats:
        return [repeats.add(item.encode(), place) for place, item in enumerate(items, start=1)], repeats.likely()


def test_an_item_that_is_still_held_is_found_at_once():
    assert added("abca", held=9) == ([None, None, None, 1], [])


@pytest.mark.parametrize("held", [1, 2, 3, 4])
def test_an_item_that_is_no_longer_held_is_found_at_the_end_whatever_is_held(held):
    said, likely = added("abcdefgbha", held)
    assert said == [None] * 10
    assert likely == [(2, 8), (1, 10)]


def test_of_many_the_first_are_told(monkeypatch):
    with Repeats(held=50) as repeats:
        for place in range(5_000):
            repeats.add(str(place % 1_000).encode(), place)
        assert repeats.likely(most=3) == [(0, 1_000), (1, 1_001), (2, 1_002)]


def test_without_repeats_there_are_none():
    with Repeats(held=100) as repeats:
        assert {repeats.add(str(place).encode(), place) for place in range(10_050)} == {None}
        assert repeats.likely() == []


def test_a_disk_without_room_is_told_as_such(monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with Repeats(held=1) as repeats, pytest.raises(InternalError, match="No space left") as caught:
        repeats.add(b"a", 1)
    assert "TMPDIR" in caught.value.remedy
