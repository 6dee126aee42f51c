"""`ssd300 curves`: draws the curves of a run again, even while it trains."""

import sys
from pathlib import Path

from ssd.commands.arguments import command, parser
from ssd.training.run.curves import CURVES_NAME, plot_results
from ssd.training.run.results import RESULTS_NAME

EXAMPLES = """\
examples:
  %(prog)s runs/1
"""


@command
def main(argv: list[str] | None = None) -> int:
    p = parser("Draw the curves of a run again from its results.csv, even while it trains.", EXAMPLES)
    p.add_argument("run", help="folder of the run; results.png is written there")
    folder = Path(p.parse_args(argv).run)
    plot_results(folder / RESULTS_NAME, folder / CURVES_NAME)
    print(folder / CURVES_NAME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
