"""`ssd300 COMMAND`, `python -m ssd COMMAND` and the scripts are the same commands, each under its own name."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ssd import __version__
from ssd.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def program_name(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ssd300"])


def test_help_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: ssd300 ")
    assert all(f"\n    {name} " in shown for name in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ssd300 {__version__}\n"


@pytest.mark.parametrize("args, word", [(["nonsense"], "'nonsense'"), ([], "COMMAND")])
def test_no_such_command(args, word, capsys):
    assert main(args) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert word in error


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_a_module_that_knows_its_name(name, capsys):
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: ssd300 {name} ")
    assert import_module(f"ssd.commands.{name}").main([f"--{name}-nonsense"]) == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_and_version_of_each_command(name, capsys):
    assert main([name, "--version"]) == 0
    assert capsys.readouterr().out == f"ssd300 {__version__}\n"
    assert main([name, "--help"]) == 0
    options, _, examples = capsys.readouterr().out.partition("\nexamples:\n")
    assert examples
    for line in examples.splitlines():
        assert line.startswith(f"  ssd300 {name}") and len(line) <= 120
        assert set(re.findall(r"--[a-z-]+", line)) <= set(re.findall(r"--[a-z-]+", options)), line


DOORS = [
    "train.py",
    "-m ssd",
    "-m ssd.export",
    "-m ssd.convert",
    "-m ssd.explain",
    "-m ssd.app",
    "-m ssd.data.synthetic",
    "-m ssd.commands.detect",
]


@pytest.mark.parametrize("door", DOORS)
def test_other_doors(door):
    command = [sys.executable, *door.split(), "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python {door} ")
