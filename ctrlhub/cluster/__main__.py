"""``python -m ctrlhub.cluster``: a supervisor, told what to do on standard input."""

import sys

from ctrlhub.cluster.daemon import main

if __name__ == "__main__":
    sys.exit(main())
