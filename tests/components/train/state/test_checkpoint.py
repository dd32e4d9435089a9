import errno
import os
import resource
import shutil

import numpy as np
import pytest

from components.train.state.checkpoint import (
    FOLDER,
    KEPT,
    Checkpoint,
    TrainState,
    load_newest,
    repair,
    save,
    unwritable,
)
from hopline.runtime.errors import SaveError, UserError


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


def damage(folder, step):
    victim = folder / f"step-{step:09}" / "current.npz"
    victim.write_bytes(victim.read_bytes()[:-1])


def test_repair_removes_the_damaged_and_the_unfinished_and_says_so(tmp_path, capsys):
    for step in (1, 2):
        save(tmp_path, checkpoint(step))
    damage(tmp_path, 2)
    (tmp_path / ".step-000000003.abc.partial").mkdir()
    assert repair(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
    assert capsys.readouterr().err


def test_if_every_checkpoint_is_damaged_training_starts_from_the_beginning_and_says_so(tmp_path, capsys):
    for step in (1, 2):
        save(tmp_path, checkpoint(step))
        damage(tmp_path, step)
    assert repair(tmp_path) == 0
    assert load_newest(tmp_path) is None
    assert not list(tmp_path.iterdir())
    assert "from the beginning" in capsys.readouterr().err


def test_repair_finds_nothing_to_say_where_nothing_was_saved(tmp_path, capsys):
    assert repair(tmp_path / "none") == 0
    assert not capsys.readouterr().err


def test_a_save_killed_before_it_removed_the_old_ones_is_made_up_for(tmp_path):
    save(tmp_path, checkpoint(1))
    kept = tmp_path.with_name("kept")
    shutil.copytree(tmp_path, kept)
    for step in (2, 3):
        save(tmp_path, checkpoint(step))
    shutil.move(kept / "step-000000001", tmp_path)
    assert repair(tmp_path) == 3
    assert len(list(tmp_path.iterdir())) == KEPT


def test_saves_that_fail_keep_no_more_than_the_saves_before_them(tmp_path):
    for step in (1, 2):
        save(tmp_path, checkpoint(step))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # less than a checkpoint
    try:
        for step in (3, 4):
            with pytest.raises(OSError, match="File too large"):
                save(tmp_path, checkpoint(step))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000001", "step-000000002"]
    assert repair(tmp_path) == load_newest(tmp_path).state.step == 2


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EROFS, UserError), (errno.EACCES, UserError), (errno.EPERM, UserError), (errno.ENOSPC, SaveError),
     (errno.EDQUOT, SaveError), (errno.EIO, SaveError)],
    ids=errno.errorcode.get,
)  # fmt: skip
def test_that_we_may_not_write_is_the_users_fault_and_a_full_disk_is_not(tmp_path, number, kind):
    save(tmp_path / FOLDER, checkpoint(7))
    error = unwritable(tmp_path, OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert os.strerror(number) in error.message
    assert "step 7 is safe" in error.message


def test_a_checkpoint_has_copies_of_the_files_that_belong_to_it(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("as of step 7")
    directory = save(tmp_path, checkpoint(7), beside=[log])
    log.write_text("as of step 8")
    assert (directory / "log.jsonl").read_text() == "as of step 7"
    assert load_newest(tmp_path).state.step == 7
