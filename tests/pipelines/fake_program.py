"""A step in a few milliseconds: the fake programs that the tests of `hopline run` put in the place of the real ones.

FAKE_STEPS, JSON, says how each step behaves: {"train": "fail"}.  Called with the step's name and its arguments.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from components.steps import ARTIFACTS
from hopline import artifacts
from hopline.runtime.errors import DivergedError, StaleBlessingError, UserError
from hopline.runtime.program import parser, run
from hopline.runtime.progress import Progress
from hopline.store import folders

PIDS = "pids"  # of every fake program, one file each, in the work folder


def main(step, arguments):
    options = parser(step, __doc__)
    for name in sorted({argument.partition("=")[0] for argument in arguments} - {"--work-dir"}):
        options.add_argument(name)
    return run(step, options, lambda parsed: act(step, parsed), arguments)


def act(step, options):
    behaviour = json.loads(os.environ.get("FAKE_STEPS", "{}")).get(step, "")
    leave_pid(options.work_dir)
    if behaviour == "hang":
        (options.work_dir / "hanging").touch()
        time.sleep(600)
    elif behaviour == "fail":
        raise UserError("the corpus is empty, but must hold text", remedy="set corpus.train")
    elif behaviour == "diverge":
        raise DivergedError("loss is nan at step 7", remedy="lower train.learning_rate")
    elif behaviour == "crash":
        raise ZeroDivisionError("a bug")
    elif behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif behaviour.startswith("stale") and count(options.work_dir, step) <= int(behaviour.removeprefix("stale ")):
        raise StaleBlessingError("the champion has changed since", remedy="evaluate again")
    if step == "notify":
        (options.work_dir / "told").write_text(options.state)
        return
    output = Path(options.output)
    if step in {"preprocess", "train"}:
        artifacts.produce(
            output, options.work_dir, step, ARTIFACTS[step], "key", lambda _, result: fill(step, result, "")
        )
    else:
        with folders.whole(output) as result:
            fill(step, result, behaviour)


def fill(step, result, behaviour):
    facts = {}
    if step == "resolve":
        action = behaviour or "train"
        found = {"fingerprint": "f", "champion": "", "vocabulary_from": "", "drift_from": "", "start_from": ""}
        found |= {"pretrained": ""}
        found |= {"action": action, "reason": f"told to {action}"}
        folders.write_json(result / "resolution.json", found)
    if step == "evaluate":
        decision = behaviour if behaviour in {"promote", "reject"} else "promote"
        folders.write_json(result / "decision.json", {"decision": decision})
        folders.write_json(result / "evaluation.json", {"challenger": {"perplexity": 111.5}})
        (result / "report.html").write_text("<p>report</p>")
        facts = {
            "decision": decision,
            "split": "test",
            "challenger_perplexity": 111.5,
            "champion_perplexity": 123.25,
            "reasons": [f"told to {decision}"],
        }
    if step == "train":
        (result / "curve.png").write_bytes(b"curve")
    if step == "promote":
        folders.write_json(result / "promotion.json", {"version": 1, "model_id": "m", "previous": None})
    progress = Progress(step, total=2, unit="things")
    progress.update(2, loss=1.5)
    artifacts.seal(result, ARTIFACTS[step], parents={}, config={}, facts=facts)


def leave_pid(work):
    (work / PIDS).mkdir(parents=True, exist_ok=True)
    (work / PIDS / str(os.getpid())).touch()


def count(work, name):
    """How often this has been called for `name` with this work folder, this time included."""
    path = work / f"count-{name}"
    with path.open("a") as stream:
        stream.write("x")
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
