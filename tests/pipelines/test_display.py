"""What a person sees of a run."""

import io

import pytest
from rich.console import Console

from pipelines.display import display, progress_text, steps_table
from pipelines.watch import State, StepView

PROGRESS = {
    "step": "train", "phase": "epoch 3", "done": 1500, "total": 6000, "unit": "tokens", "rate": 500.0,
    "seconds_left": 9.0, "values": {"loss": 4.25},
}  # fmt: skip


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, width=100, highlight=False), stream


def views(train: State, **more: object) -> list[StepView]:
    return [StepView("resolve", State.DONE), StepView("train", train, **more)]


def test_progress_is_told_in_full():
    assert progress_text(PROGRESS) == "epoch 3  1,500/6,000 tokens  loss 4.25  500 tokens/s  9 s left"


def test_progress_without_a_total_has_no_end():
    endless = {**PROGRESS, "total": 0, "seconds_left": None, "phase": ""}
    assert progress_text(endless) == "1,500 tokens  loss 4.25  500 tokens/s"


def test_finished_work_has_no_rate_and_no_time_left():
    assert progress_text({**PROGRESS, "done": 6000}) == "epoch 3  6,000/6,000 tokens  loss 4.25"


def test_a_line_is_never_folded():
    target, stream = console(terminal=False)
    with display(target) as screen:
        screen.show(views(State.RUNNING, progress={**PROGRESS, "phase": "a long phase " * 20}))
    assert len(stream.getvalue().splitlines()) == 2


def test_without_a_terminal_each_change_is_one_line():
    target, stream = console(terminal=False)
    with display(target) as screen:
        for state in (State.WAITING, State.RUNNING, State.RUNNING, State.DONE, State.DONE):
            screen.show(views(state))
    assert stream.getvalue().splitlines() == ["resolve: done", "train: running", "train: done"]


def test_a_new_attempt_is_told_from_its_beginning():
    target, stream = console(terminal=False)
    with display(target) as screen:
        screen.show(views(State.FAILED))
        screen.note("once more")
        screen.show([StepView("resolve", State.WAITING), StepView("train", State.WAITING)])
        screen.show(views(State.FAILED))
    lines = ["resolve: done", "train: failed"]
    assert stream.getvalue().splitlines() == [*lines, "once more", *lines]


def test_a_long_step_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipelines.display._LINE_SECONDS", 0)
    target, stream = console(terminal=False)
    with display(target) as screen:
        screen.show(views(State.RUNNING, seconds=5.0, progress=PROGRESS))
        screen.show(views(State.RUNNING, seconds=65.0, progress=PROGRESS))
    assert "train: running (1:05)  epoch 3  1,500/6,000 tokens" in stream.getvalue()


def test_on_a_terminal_every_step_has_its_line_and_the_running_one_a_bar():
    target, stream = console(terminal=True)
    target.print(steps_table([*views(State.RUNNING, progress=PROGRESS), StepView("promote", State.WAITING)]))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert "━" in lines[1]
    assert "1,500/6,000" in lines[1]
    assert "waiting" in lines[2]


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_drawn(state):
    target, stream = console(terminal=True)
    target.print(steps_table(views(state)))
    assert state.value in stream.getvalue()


def test_text_of_a_step_is_never_markup():
    target, stream = console(terminal=False)
    with display(target) as screen:
        screen.show(views(State.RUNNING, progress={**PROGRESS, "phase": "[red]epoch"}))
    assert "[red]epoch" in stream.getvalue()
