"""``python -m fastdln``: the command `fastdln`, also where its script is not on the path."""

import sys

from fastdln.cli import main

if __name__ == "__main__":
    sys.exit(main())
