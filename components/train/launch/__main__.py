"""`python -m components.train.launch`: see `components.train.launch.launchers`."""

import sys

from components.train.launch.launchers import main

if __name__ == "__main__":
    sys.exit(main())
