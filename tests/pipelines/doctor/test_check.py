import threading

import pytest

from hopline.runtime.errors import InternalError, UserError
from pipelines.doctor.check import Answer, Check, State, diagnose, ok


def raising(error):
    def look():
        raise error

    return look


@pytest.mark.parametrize(
    ("error", "state", "remedy"),
    [
        (UserError("no bucket", remedy="create it"), State.MISSING, "create it"),
        (InternalError("no answer", remedy="wait"), State.UNKNOWN, "wait"),
        (ZeroDivisionError("surprise"), State.UNKNOWN, "report this"),
    ],
)
def test_what_a_check_raises_is_an_answer(error, state, remedy):
    (finding,) = diagnose([Check("it", raising(error))])
    assert finding.name == "it"
    assert (finding.answer.state, finding.answer.remedy) == (state, remedy)
    assert str(error) in finding.answer.found


def test_a_check_that_hangs_is_given_up_and_the_others_are_made():
    release = threading.Event()
    found = list(diagnose([Check("stuck", release.wait), Check("quick", lambda: ok("here"))], limit=0.2))
    release.set()
    assert [finding.answer.state for finding in found] == [State.UNKNOWN, State.OK]
    assert found[1].answer == Answer(State.OK, "here")
