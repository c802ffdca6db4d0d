"""python -m core …: the studio without a browser (core/cli)."""

import sys

from core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
