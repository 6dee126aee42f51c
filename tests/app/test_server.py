"""Where the page is served, and its examples."""

import socket
import sys

import pytest

from ssd.app.server import check_server, pictures_in
from ssd.errors import InputError

HOST = "127.0.0.1"


@pytest.fixture
def port():
    """A port that is free."""
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def test_addresses(port):
    pytest.importorskip("gradio")
    check_server(HOST, port)
    with (
        socket.create_server((HOST, port)),
        pytest.raises(InputError, match=rf"^{HOST}:{port}: cannot be served \(.*in use\); choose"),
    ):
        check_server(HOST, port)
    with pytest.raises(InputError, match="192.0.2.1.*cannot be served"):  # an address for documents, nobody's
        check_server("192.0.2.1", port)


def test_without_gradio(port, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r'^gradio is needed for the page \(extra "app"\): pip install gradio$'):
        check_server(HOST, port)


def test_folder_of_examples(photo):
    for k in range(99):
        photo.with_name(f"{k:02}.jpg").touch()
    assert len(pictures_in(photo.parent)) == 60
    assert photo.parent / "00.jpg" in pictures_in(photo.parent)
    with pytest.raises(InputError, match="nowhere: no pictures in this folder"):
        pictures_in(photo.parent / "nowhere")
