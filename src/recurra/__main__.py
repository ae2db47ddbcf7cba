"""`python -m recurra`, the same as the `recurra` command."""

import sys

from recurra.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
