"""Writes the golden loss curves in tests/golden/ anew: python -m tests.components.train.renew_golden.

Only with a reason: a change of the loss curve is a change of the computation, and belongs in the changelog.
"""

import json
import tempfile
from pathlib import Path

from tests.components.train.conftest import run_training, tiny_settings
from tests.components.train.test_train import GOLDEN, GOLDEN_TINY
from tests.support import synthetic_documents, write_examples


def main() -> None:
    """Trains once for each and keeps the losses."""
    with tempfile.TemporaryDirectory() as folder:
        examples = Path(folder) / "examples"
        examples.mkdir()
        write_examples(examples, {"train": synthetic_documents(1, 12, 250), "valid": synthetic_documents(2, 3, 150)})
        for golden, settings in {GOLDEN: {}, GOLDEN_TINY: tiny_settings()}.items():
            run = run_training(examples, Path(folder) / golden.stem, **settings)
            golden.write_text(json.dumps(run.losses, indent=0) + "\n")


if __name__ == "__main__":
    main()
