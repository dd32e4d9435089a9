"""A step in a few milliseconds: the fake programs that the tests of `hopline run` put in the place of the real ones.

FAKE_STEPS, JSON, says how each step behaves: {"train": "fail"}.  Runs as `python fake_program.py STEP --name value ...`.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from hopline import artifacts
from hopline.errors import DivergedError, StaleBlessingError, UserError
from hopline.progress import Progress
from hopline.program import parser, run

KINDS = {
    "resolve": "resolution",
    "preprocess": "examples",
    "train": "model",
    "evaluate": "evaluation",
    "promote": "promotion",
}
DECISION = "decision.json"
PIDS = "pids"  # of every process of the run, one file each, in the work folder


def main(step, arguments):
    options = parser(step, __doc__)
    for name in sorted({argument for argument in arguments if argument.startswith("--")} - {"--work-dir"}):
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
    output = Path(options.output)
    key = artifacts.content_key(arguments={name: str(value) for name, value in sorted(vars(options).items())})
    if step in {"preprocess", "train"}:
        artifacts.produce(output, options.work_dir, step, KINDS[step], "fixed", lambda _, result: fill(step, result, ""))
    else:
        with artifacts.whole(output) as result:
            fill(step, result, behaviour, key)


def fill(step, result, behaviour, key=""):
    facts = {}
    if step == "resolve":
        action = behaviour or "train"
        found = {"fingerprint": "f", "champion": "", "action": action, "reason": f"told to {action}", "files": 1, "bytes": 2}
        artifacts.write_json(result / "resolution.json", found)
    if step == "evaluate":
        decision = behaviour if behaviour in {"promote", "reject"} else "promote"
        artifacts.write_json(result / DECISION, {"decision": decision})
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
        artifacts.write_json(result / "promotion.json", {"version": 3, "model_id": "m", "previous": 2})
    progress = Progress(step, total=2, unit="things")
    progress.update(2, loss=1.5)
    artifacts.seal(result, KINDS[step], parents={}, config={"key": key}, facts=facts)


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
