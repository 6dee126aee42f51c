"""`ssd300 curves`: draws the curves of a run anew."""

import sys
from pathlib import Path

from ssd.commands.arguments import command, parser
from ssd.training.run.curves import CURVES_NAME, plot_results
from ssd.training.run.results import RESULTS_NAME


@command
def main(argv=None):
    p = parser("Draw the curves of a run anew, from its results.csv.")
    p.add_argument("run", help="the run's folder; results.png is written there")
    folder = Path(p.parse_args(argv).run)
    plot_results(folder / RESULTS_NAME, folder / CURVES_NAME)
    print(folder / CURVES_NAME)


if __name__ == "__main__":
    sys.exit(main())
