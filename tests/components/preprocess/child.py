"""Runs the preprocess program for several cases in one process, which imports TensorFlow once.

    python child.py CASES.json CODES.json

It leaves by os._exit, as the program does: a process that analysed crashes in Python's finalisation.
"""

import json
import os
import sys
from pathlib import Path

from components.preprocess.__main__ import main

if __name__ == "__main__":
    cases = json.loads(Path(sys.argv[1]).read_text())
    codes = {name: main(arguments) for name, arguments in cases.items()}
    Path(sys.argv[2]).write_text(json.dumps(codes))
    sys.stderr.flush()
    os._exit(0)
