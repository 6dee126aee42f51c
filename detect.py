"""Finds objects in pictures and videos; `detect` does it for one PIL image.

The command line is in `ssd/commands/detect.py`, the work in `ssd/detector.py` and `ssd/media/`.
"""

import sys

from ssd.commands.detect import main
from ssd.detector import detect

__all__ = ["detect", "main"]

if __name__ == "__main__":
    sys.exit(main())
