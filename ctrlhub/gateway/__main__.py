"""``python -m ctrlhub.gateway``: a gateway whose hub holds the other end of standard input.

The first line is its options; the end of the input means that the hub has ended, and ends the gateway. On
standard output it says where it serves, ``{"url": ...}``, or why it cannot, ``{"trouble": ...}``.
"""

from __future__ import annotations

import sys

from ctrlhub.gateway.serving import run

if __name__ == "__main__":
    sys.exit(run())
