"""Makes the figures of docs/how-it-works.md: those of a page of `ssd300 explain`, as a browser draws them.

python -m docs.figures ARGUMENTS OF `ssd300 explain`     see `make figures`
"""

import base64
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ssd.commands.explain import main as explain
from tests.helpers.browser import open_browser

FOLDER = Path(__file__).parent / "how-it-works"
DOCUMENT = FOLDER.with_suffix(".md")
PARTS = {"network": " .drawing"}  # of a figure that is too long for the document
PLACE = """
const { x, y, width, height } = document.querySelector(arguments[0]).getBoundingClientRect();
return { x: x + scrollX, y: y + scrollY, width, height, scale: 1 };
"""


def main(argv: list[str]) -> int:
    """Write a picture for each figure in the document. Its name is the key of the section that has the figure."""
    keys = re.findall(rf"\]\({FOLDER.name}/(\w+)\.webp\)", DOCUMENT.read_text(encoding="utf-8"))
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, open_browser() as browser:
        page = Path(folder, "page.html")
        if status := explain([*argv, "--output", str(page)]):
            return status
        browser.get(page.as_uri())
        for key in keys:
            place = browser.execute_script(PLACE, f"#{key} figure{PARTS.get(key, '')}")
            options = {"clip": place, "captureBeyondViewport": True, "format": "webp", "quality": 80}
            picture = browser.execute_cdp_cmd("Page.captureScreenshot", options)
            (FOLDER / f"{key}.webp").write_bytes(base64.b64decode(picture["data"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
