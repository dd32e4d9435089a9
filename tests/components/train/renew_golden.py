"""Writes tests/golden/loss_curve.json anew: python -m tests.components.train.renew_golden.

Only with a reason: a change of the loss curve is a change of the computation, and belongs in the changelog.
"""

import json
import tempfile
from pathlib import Path

from tests.components.train.conftest import run_training
from tests.components.train.test_train import GOLDEN
from tests.support import synthetic_documents, write_examples


def main() -> None:
    """Trains once and keeps the losses."""
    with tempfile.TemporaryDirectory() as folder:
        examples = Path(folder) / "examples"
        examples.mkdir()
        write_examples(examples, {"train": synthetic_documents(1, 12, 250), "valid": synthetic_documents(2, 3, 150)})
        run = run_training(examples, Path(folder))
        GOLDEN.write_text(json.dumps(run.losses, indent=0) + "\n")


if __name__ == "__main__":
    main()
