"""Which worker failed first, among those that failed together."""

import itertools

import pytest

from components.train.launch.cluster.pods import WorkerFailure, blame
from hopline.runtime.errors import DivergedError, InternalError, LostPeersError, PreemptedError, UserError

# From the likeliest cause to the least likely.
RANKS = [UserError("wrong"), InternalError("killed"), PreemptedError("told to stop"), LostPeersError("lost its peers")]


@pytest.mark.parametrize(("likelier", "other"), itertools.combinations(range(len(RANKS)), 2))
def test_of_two_that_fell_the_likelier_cause_is_to_blame_whoever_fell_first(likelier, other):
    failures = [WorkerFailure(worker, f"pod-{worker}", RANKS[rank]) for worker, rank in enumerate((likelier, other))]
    for order in (failures, failures[::-1]):
        assert blame(order).error is RANKS[likelier]


def test_of_equal_causes_the_first_is_to_blame():
    failures = [WorkerFailure(1, "one", DivergedError("first")), WorkerFailure(0, "two", UserError("second"))]
    assert blame(failures).worker == 1
