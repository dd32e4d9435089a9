"""How far a run is, as Prometheus reads it."""

import pytest

from hopline.runtime.errors import UserError
from pipelines.metrics import MetricsFile, text
from pipelines.watch import State, StepView

PROGRESS = {"step": "train", "phase": "", "done": 30, "total": 120, "seconds_left": 90.0, "values": {"loss": 5.25}}
VIEWS = [StepView("preprocess", State.DONE, 12.5), StepView("train", State.RUNNING, 3.0, PROGRESS)]


def test_each_number_has_its_name_and_its_labels():
    lines = text(VIEWS).splitlines()
    for line in (
        'hopline_step_state{step="preprocess",state="done"} 1',
        'hopline_step_state{step="preprocess",state="running"} 0',
        'hopline_step_seconds{step="preprocess"} 12.5',
        'hopline_step_progress_ratio{step="train",phase=""} 0.25',
        'hopline_step_left_seconds{step="train",phase=""} 90',
        'hopline_step_value{step="train",phase="",name="loss"} 5.25',
    ):
        assert line in lines
    for number, line in enumerate(lines):  # a family begins with its help and its type, and is not taken up again
        if line.startswith("# TYPE"):
            assert lines[number - 1].split()[2] == line.split()[2]
    families = [line.partition("{")[0].partition(" ")[0] for line in lines if line[0] != "#"]
    assert [name for number, name in enumerate(families) if families.index(name) == number] == list(
        dict.fromkeys(families)
    )


def test_what_a_label_holds_cannot_break_a_line():
    assert 'phase="a\\"b\\n\\\\"' in text([StepView("train", State.RUNNING, 0, {**PROGRESS, "phase": 'a"b\n\\'})])


class Screen:
    def __init__(self):
        self.shown, self.noted = [], []

    def show(self, views):
        self.shown.append(views)

    def note(self, line):
        self.noted.append(line)


def test_the_file_is_there_from_the_start_and_follows_each_state(tmp_path):
    screen = Screen()
    metrics = MetricsFile(screen, tmp_path / "hopline.prom")
    assert "hopline_updated_timestamp_seconds" in (tmp_path / "hopline.prom").read_text()
    for views in ([StepView("train", State.WAITING)], VIEWS, VIEWS):
        metrics.show(views)
        assert f'state="{views[-1].state.value}"}} 1' in (tmp_path / "hopline.prom").read_text()
    metrics.note("a line")
    assert (len(screen.shown), screen.noted) == (3, ["a line"])
    assert [path.name for path in tmp_path.iterdir()] == ["hopline.prom"]


def test_a_file_that_cannot_be_written_is_told_before_the_run(tmp_path):
    with pytest.raises(UserError):
        MetricsFile(Screen(), tmp_path / "nowhere" / "hopline.prom")
