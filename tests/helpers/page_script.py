"""The page's own script, run outside a page: by node, else by headless Chromium."""

import json
import re
import shutil
import subprocess
from html import unescape
from importlib.resources import files

import pytest

NO_PAGE = "const document = { getElementById: () => null };"  # no section starts


def evaluate(expression, tmp_path, *, scripts):
    """The value of an expression that uses functions of the page's script. scripts: which, beside `page.js`."""
    folder = files("ssd.explain")
    parts = [folder / "page.js", *(folder / "scripts" / f"{name}.js" for name in scripts)]
    script = "\n".join(part.read_text(encoding="utf-8") for part in parts)
    if node := shutil.which("node"):
        path = tmp_path / "script.js"
        path.write_text(f"{NO_PAGE}{script}\nconsole.log(JSON.stringify({expression}))", encoding="utf-8")
        return json.loads(_output(node, path))
    if browser := shutil.which("chromium") or shutil.which("google-chrome"):
        path = tmp_path / "page.html"
        lines = f"<pre></pre><script>{script}\ndocument.querySelector('pre').textContent = JSON.stringify({expression})"
        path.write_text(f"{lines}</script>", encoding="utf-8")
        page = _output(browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri())
        return json.loads(unescape(re.search("<pre>(.*?)</pre>", page, re.DOTALL)[1]))
    pytest.skip("needs node or Chromium")


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
