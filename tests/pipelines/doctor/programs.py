"""Programs that say what a test wants, on a PATH of their own."""

import sys


def put(folder, name, said="", code=0, error=""):
    """Makes `folder`/`name` a program that prints `said`, or fails with `error`."""
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport sys\nprint({said!r})\nprint({error!r}, file=sys.stderr)\nsys.exit({code})\n"
    )
    path.chmod(0o755)
