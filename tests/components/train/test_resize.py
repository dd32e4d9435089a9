"""A real training whose number of workers changes while it runs: the curve is the undisturbed one's."""

import numpy as np
import pytest

from hopline.store import resizing
from tests.components.train import faulty
from tests.components.train.conftest import run_training
from tests.components.train.test_faults import Disturbed

SETTINGS = {"max_steps": 200, "epochs": 100, "learning_rate": 0.3, "restarts": 0}


@pytest.mark.slow
@pytest.mark.multiprocess
def test_a_training_with_one_two_four_and_one_workers_has_the_curve_of_one(examples, tmp_path):
    undisturbed = run_training(examples, tmp_path / "undisturbed", **SETTINGS)
    assert undisturbed.code == 0, undisturbed.said
    (tmp_path / "resized").mkdir()
    run = Disturbed(examples, tmp_path / "resized", **SETTINGS)
    try:
        seen = run.wait_for_a_checkpoint()
        for number in (2, 4, 1):
            (training,) = resizing.running(run.folder / "work")
            resizing.ask(training, number)
            words = f"with {number} workers, as asked for"
            assert faulty.wait_until(lambda words=words: words in (run.folder / "said").read_text(), run.process)
            seen = faulty.checkpoints(run.folder)[-1].name
            seen = run.wait_for_a_checkpoint(after=seen)
        ended = run.end()
    finally:
        run.process.kill()
        run.process.wait()
    assert ended.code == 0, ended.said
    steps = [record["step"] for record in ended.log if "loss" in record]
    assert steps == list(range(1, SETTINGS["max_steps"] + 1))
    np.testing.assert_allclose(ended.losses, undisturbed.losses, rtol=1e-4)
    found, wanted = ([r["valid_loss"] for r in each.log if "valid_loss" in r] for each in (ended, undisturbed))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
