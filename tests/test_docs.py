"""Links, files, options and Python in the documents are right. Web addresses are not visited."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from ssd import __version__
from ssd.__main__ import COMMANDS, main
from ssd.commands import synthetic

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/README.md", *ROOT.glob("docs/*.md")]


def prose(path):
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(path):
    """The names by which a link can lead to a heading, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(path):
    for link in re.findall(r"\]\(([^)]+)\)", prose(path)):
        file, _, anchor = link.partition("#")
        if file.startswith("https://"):
            continue
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named(path):
    for name in re.findall(r"`((?:ssd|tests|benchmarks|docs|\.ci)/[^\s`]*)`", prose(path)):
        assert (ROOT / name).exists(), name


def test_names_for_those_who_come_from_the_tutorial():
    cells = [line.split(" | ")[1] for line in prose(ROOT / "docs/tutorial.md").splitlines() if line.startswith("| `")]
    for cell in cells:
        files = re.findall(r"`(ssd/[^`]+)`", cell)
        code = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
        for name in re.findall(r"`(\w+)[`(]", cell) if files else ():
            assert re.search(rf"^ *(def|class) {name}\b", code, flags=re.M), cell


def test_options_that_are_named(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ssd300"])
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
    assert synthetic.main(["--help"]) == 0
    option = re.compile(r"--[a-z][a-z0-9-]*")
    known = set(option.findall(capsys.readouterr().out)) | {"--help", "--nproc-per-node", "--logdir"}
    known |= set(option.findall((ROOT / "benchmarks/__main__.py").read_text(encoding="utf-8")))
    for path in DOCUMENTS:
        if path.parent.name != "benchmarks":
            assert set(option.findall(path.read_text(encoding="utf-8"))) <= known, path


def test_python_of_the_readme(checkpoint, voc_folder, tmp_path, monkeypatch):
    (block,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M | re.S
    )
    monkeypatch.chdir(tmp_path)
    Path("runs/1").mkdir(parents=True)
    shutil.copy(checkpoint, "runs/1/best.pth")
    shutil.copy(min((voc_folder / "JPEGImages").iterdir()), "photo.jpg")
    exec(block, {})
    assert Path("annotated.jpg").exists()


def test_the_version_to_cite():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200
