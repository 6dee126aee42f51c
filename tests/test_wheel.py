"""The wheel works by itself: alone in a fresh environment that sees the installed PyTorch, run from another folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import ssd

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def ssd300(tmp_path_factory):
    """A function that runs `ssd300 ARGUMENTS` as the wheel installed it, in a folder, and returns what it prints."""
    pytest.importorskip("setuptools", minversion="70.1")  # the first that builds wheels by itself
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    source = folder / "source"  # a build in the repository would leave files there, and pack old ones
    shutil.copytree(ROOT / "ssd", source / "ssd", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = ["wheel", source, "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*pip, *build], check=True, timeout=300)
    venv.create(folder / "env", symlinks=os.name != "nt")
    scripts = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", scripts / "python", "install", "--no-deps", wheel], check=True, timeout=300)
    (site_packages,) = (folder / "env").rglob("site-packages")
    # A .pth file adds the folder, not the .pth files in it, by which this repository may be installed there.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    assert (site_packages / "ssd" / "py.typed").exists()

    def run(*arguments, cwd):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [scripts / "ssd300", *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_commands_of_the_wheel(ssd300, voc_folder, checkpoint, tmp_path):
    assert ssd300("--version", cwd=tmp_path) == f"ssd300 {ssd.__version__}\n"
    assert "usage: ssd300 " in ssd300("--help", cwd=tmp_path)
    assert "data lists: data" in ssd300("data", "--voc", voc_folder, cwd=tmp_path)
    ssd300("detect", "data/TEST_images.json", "--checkpoint", checkpoint, "--output", "found", cwd=tmp_path)
    assert (tmp_path / "found" / "detections.json").exists()
