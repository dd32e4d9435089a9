"""The schedule of pauses before further attempts."""

import itertools
import math
import time

from hopline.runtime.retry import pauses


def test_pauses_double_up_to_the_longest_and_each_is_shortened_by_half_at_most():
    found = list(itertools.islice(pauses(math.inf, first=1.0, longest=8.0), 6))
    for seconds, most in zip(found, (1, 2, 4, 8, 8, 8), strict=True):
        assert most / 2 <= seconds <= most


def test_they_end_when_they_come_to_the_patience():
    waited = sum(pauses(20.0, first=1.0, longest=4.0))
    assert 20.0 <= waited <= 24.0


def test_time_that_the_attempts_take_counts_too(monkeypatch):
    clock = itertools.count(0, 30)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert len(list(pauses(100.0, first=0.001))) == 3


def test_without_patience_there_is_no_further_attempt():
    assert list(pauses(0.0)) == []


def test_two_clients_do_not_come_back_at_the_same_moments():
    first, second = (list(itertools.islice(pauses(math.inf), 5)) for _ in range(2))
    assert first != second
