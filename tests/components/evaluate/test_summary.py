"""What the log of a run on a cluster says of it."""

import json

from components.evaluate.summary import summary
from hopline.artifacts import seal


def make(folder, validations):
    model, evaluation = folder / "model", folder / "evaluation"
    model.mkdir()
    evaluation.mkdir()
    steps = [{"step": step, "epoch": step / 10, "loss": 5.0, "time": 1.0, "secret": "x"} for step in range(1000)]
    (model / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [*steps, *validations]))
    seal(model, "model", parents={}, config={}, facts={"parameters": 720, "steps": 1000, "tokeniser": "words"})
    slices = [{"group": "frequency", "name": str(n), "tokens": 9, "challenger_perplexity": 1 / 3} for n in range(30)]
    content = {"challenger": {"perplexity": "inf", "bytes": 3}, "slices": slices}
    (evaluation / "evaluation.json").write_text(json.dumps(content))
    return model, evaluation


def test_it_fits_in_a_line_of_a_log_and_has_the_ends_and_the_best_of_the_curve(tmp_path):
    losses = [9.0 - n / 100 if n != 251 else 1.0 for n in range(500)]
    validations = [{"step": n, "epoch": n / 7, "valid_loss": loss, "time": 1.0} for n, loss in enumerate(losses)]
    found = summary(*make(tmp_path, validations))
    assert len(json.dumps(found)) < 15_000
    shown = [record["valid_loss"] for record in found["validations"]]
    assert (shown[0], min(shown), shown[-1]) == (9.0, 1.0, 4.01)
    assert found["model"] == {"parameters": 720, "steps": 1000}
    assert found["content"]["challenger"] == {"perplexity": "inf"}
    assert found["content"]["slices"][0] == {"group": "frequency", "name": "0", "challenger_perplexity": 0.33333}
    assert {"step", "epoch", "loss", "time"} == found["steps"][0].keys()


def test_a_short_training_is_told_whole(tmp_path):
    found = summary(*make(tmp_path, [{"step": 1, "valid_loss": 4.0}]))
    assert found["validations"] == [{"step": 1, "valid_loss": 4.0}]
