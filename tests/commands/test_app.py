"""`ssd300 app` as a user runs it."""

import os
import re
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import pytest

from ssd.commands import app
from ssd.interrupt import SIGNALS
from tests.helpers.scripts import refused


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def test_bad_input(port, tmp_path, capsys):
    pytest.importorskip("gradio")
    refused(capsys, app, ["--port", port, "--checkpoint", tmp_path / "none.pth"], "none.pth: no such file")
    refused(capsys, app, ["--port", port, "--examples", tmp_path], "no pictures in this folder")
    refused(capsys, app, ["--port", 0], "--port")
    with socket.create_server(("127.0.0.1", int(port))):
        refused(capsys, app, ["--port", port], "in use", "--port")


def test_without_gradio(port, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    refused(capsys, app, ["--port", port], "gradio is needed for the page", "pip install gradio")


def test_served_until_the_terminal_is_closed(port, checkpoint, capsys, monkeypatch):
    pytest.importorskip("gradio", minversion="6")
    folders = []

    def interrupt(_):
        with urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b'"title":"SSD300"' in page.read()
        folders.append(Path(os.environ["GRADIO_TEMP_DIR"]))
        signal.raise_signal(SIGNALS[-1])

    monkeypatch.setattr(app, "time", SimpleNamespace(sleep=interrupt))
    assert app.main(["--port", port, "--checkpoint", str(checkpoint)]) == 128 + SIGNALS[-1]
    said = capsys.readouterr()
    assert re.search(rf"best\.pth: SSD300 .*\nThe page is at http://127\.0\.0\.1:{port}/ until Ctrl-C\.\n$", said.out)
    assert said.err == "interrupted\n"
    assert folders[0].name.startswith("ssd300-app-")
    assert not folders[0].exists()
