import numpy as np
import pytest

from components.train.checkpoint import KEPT, Checkpoint, TrainState, load_newest, save


def checkpoint(step):
    state = TrainState(learning_rate=0.5, step=step, valid_loss=2.0, best_valid_loss=1.5)
    return Checkpoint(state, {"model.000": np.full(1000, step, np.float32)}, {"model.000": np.zeros(3)})


def test_what_was_saved_is_loaded(tmp_path):
    save(tmp_path, checkpoint(7))
    loaded = load_newest(tmp_path)
    assert loaded.state == checkpoint(7).state
    np.testing.assert_array_equal(loaded.current["model.000"], np.full(1000, 7))
    np.testing.assert_array_equal(loaded.best["model.000"], np.zeros(3))


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert load_newest(tmp_path) is None


def test_only_the_newest_are_kept(tmp_path):
    for step in (9, 10, 100):  # also in order of number, not of letters
        save(tmp_path, checkpoint(step))
    assert len(list(tmp_path.iterdir())) == KEPT
    assert load_newest(tmp_path).state.step == 100


@pytest.mark.parametrize("file", ["current.npz", "best.npz", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(tmp_path, capsys, file, damage):
    for step in (1, 2):
        save(tmp_path, checkpoint(step))
    victim = tmp_path / "step-000000002" / file
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    assert load_newest(tmp_path).state.step == 1
    assert capsys.readouterr().err  # it says so


def test_a_save_that_fails_leaves_the_one_before_it(tmp_path, monkeypatch):
    save(tmp_path, checkpoint(1))
    monkeypatch.setattr(np, "savez", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, checkpoint(2))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
    assert load_newest(tmp_path).state.step == 1
