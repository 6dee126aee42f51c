"""Measures the VOC mAP of a checkpoint, or of detections in result files.

The command line is in `ssd/commands/eval.py`, the work in `ssd/evaluation/`.
"""

import sys

from ssd.commands.eval import main

if __name__ == "__main__":
    sys.exit(main())
