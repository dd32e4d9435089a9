"""A training folder in an object store, on real server processes."""

import threading

import numpy as np
import pytest

from components.train.state import checkpoint, stored
from components.train.state.checkpoint import KEPT, LOG_FILE, Checkpoint, TrainState
from components.train.state.stored import Sender, StoredTraining
from hopline.runtime.errors import DivergedError, InternalError, PreemptedError, UserError
from hopline.store import objects
from hopline.store.objects import Store
from tests.servers import AmazonServer, GoogleServer, serving


@pytest.fixture(params=[GoogleServer, AmazonServer], ids=lambda server: server.scheme)
def server(request, tmp_path, monkeypatch):
    folder = tmp_path / "server"
    folder.mkdir()
    with serving(request.param(folder), monkeypatch) as server:
        yield server


@pytest.fixture
def uri(server):
    return f"{server.scheme}://bucket/training"


@pytest.fixture
def chief(uri, tmp_path):
    return StoredTraining(uri, tmp_path / "chief")


@pytest.fixture
def other(uri, tmp_path):
    return StoredTraining(uri, tmp_path / "other")


def save(training, step):
    """What the chief's trainer does, with its log as of this step."""
    training.folder.mkdir(exist_ok=True)
    for name in checkpoint.BESIDE:
        (training.folder / name).write_text(f"{name} at {step}")
    arrays = {"model.000": np.full(1000, step, np.float32)}
    beside = [training.folder / name for name in checkpoint.BESIDE]
    return checkpoint.save(training.folder / checkpoint.FOLDER, Checkpoint(TrainState(0.5, step), arrays, {}), beside)


def steps(training):
    return sorted(checkpoint.step_of(path.name) for path in (training.folder / checkpoint.FOLDER).glob("step-*"))


def names(uri):
    """The files in the store, by checkpoint."""
    found = {}
    for entry in Store(f"{uri}/{checkpoint.FOLDER}").entries():
        name, _, file = entry.name.partition("/")
        found.setdefault(checkpoint.step_of(name), set()).add(file)
    return found


def test_what_the_chief_has_sent_another_worker_continues_from(chief, other):
    with Sender(chief) as sender:
        sender.add(save(chief, 7))
    other.fetch_newest()
    assert checkpoint.load_newest(other.folder / checkpoint.FOLDER).state.step == 7
    assert (other.folder / LOG_FILE).read_text() == f"{LOG_FILE} at 7"
    assert other.newest_step() == 7


def test_where_nothing_was_sent_training_starts_from_the_beginning(chief, other):
    chief.recover()
    other.fetch_newest()
    assert steps(other) == []
    assert other.newest_step() == 0


def test_only_the_newest_are_kept(uri, chief):
    for step in (1, 2, 3):
        chief.send(save(chief, step))
    assert sorted(names(uri)) == [2, 3]
    assert len(names(uri)) == KEPT


@pytest.mark.parametrize("file", ["current.npz", "manifest.json"])
def test_what_a_killed_sender_has_left_is_removed_and_the_checkpoint_before_it_taken(uri, chief, other, file):
    for step in (1, 2):
        chief.send(save(chief, step))
    Store(f"{uri}/{checkpoint.FOLDER}").delete(f"step-000000002/{file}")
    other.recover()
    assert steps(other) == [1]
    assert names(uri).keys() == {1}


def test_a_checkpoint_that_is_damaged_there_gives_way_to_the_one_before_it(uri, chief, other, capsys):
    for step in (1, 2):
        chief.send(save(chief, step))
    Store(f"{uri}/{checkpoint.FOLDER}").write("step-000000002/current.npz", b"something else")
    other.recover()
    assert steps(other) == [1]
    assert names(uri).keys() == {1}
    assert capsys.readouterr().err  # it says so


def test_a_checkpoint_that_was_not_sent_is_forgotten_since_the_other_workers_do_not_have_it(chief):
    chief.send(save(chief, 1))
    save(chief, 2)
    chief.recover()
    assert steps(chief) == [1]
    assert (chief.folder / LOG_FILE).read_text() == f"{LOG_FILE} at 1"


def test_training_goes_on_while_the_store_is_slow_and_checkpoints_that_were_overtaken_are_not_sent(
    chief, other, monkeypatch
):
    sent, may = [], threading.Event()
    send = chief.send

    def slow(directory):
        may.wait(60)
        sent.append(checkpoint.step_of(directory.name))
        send(directory)

    monkeypatch.setattr(chief, "send", slow)
    with Sender(chief) as sender:
        for step in range(1, 10):
            sender.add(save(chief, step))
        may.set()
    assert len(sent) <= 2
    assert sent[-1] == 9
    other.fetch_newest()
    np.testing.assert_array_equal(
        checkpoint.load_newest(other.folder / checkpoint.FOLDER).current["model.000"], np.full(1000, 9)
    )
    assert not list((chief.folder / stored._OUTBOX).iterdir())


def test_a_store_that_is_away_and_comes_back_is_no_reason_to_stop(server, chief, other, monkeypatch):
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 0.5)
    with Sender(chief) as sender:
        sender.add(save(chief, 1))
        server.kill()
        sender.add(save(chief, 2))
        while sender._failure is None:  # its patience has ended
            sender._thread.join(0.05)
        (server.folder / "bucket").mkdir(exist_ok=True)  # the server of S3 keeps nothing else
        server.start()
        sender.add(save(chief, 3))
    other.fetch_newest()
    assert steps(other) == [3]


def test_training_does_not_end_well_before_the_last_checkpoint_is_there(server, chief, monkeypatch):
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 0.5)

    def train():
        with Sender(chief) as sender:
            server.kill()
            sender.add(save(chief, 1))

    with pytest.raises(InternalError) as caught:
        train()
    assert caught.value.__cause__ is None  # an OSError would be taken for one of the disk
    server.start()


def test_a_store_that_refuses_us_ends_training_at_the_next_checkpoint(server, tmp_path):
    chief = StoredTraining(f"{server.scheme}://no-such-bucket/training", tmp_path / "chief")

    def train():
        with Sender(chief) as sender:
            sender.add(save(chief, 1))
            while sender._failure is None:
                sender._thread.join(0.05)
            sender.add(save(chief, 2))
            pytest.fail("it goes on")

    with pytest.raises(UserError):
        train()


@pytest.mark.parametrize(
    "error", [DivergedError("the loss is nan"), PreemptedError("told to stop"), KeyboardInterrupt()]
)
def test_an_error_of_the_training_is_not_replaced_by_one_of_the_store(tmp_path, error):
    class Away:
        folder = tmp_path / "chief"

        def send(self, directory):
            raise InternalError("the store is away")

    def train():
        with Sender(Away()) as sender:
            sender.add(save(Away(), 1))
            raise error

    with pytest.raises(type(error)) as caught:
        train()
    assert caught.value is error
