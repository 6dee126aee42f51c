"""The download of VOC, from a server in this process that can break off, forget ranges and lie."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ssd.commands import data as create_data_lists
from ssd.data import download, read_data_list
from ssd.data.download import DATASET_YEAR_DICT, YEARS, download_voc, fetch, unpack
from ssd.errors import InputError
from tests.helpers.scripts import refused
from tests.helpers.voc_folders import entries, make_voc, voc_object

CONTENT = bytes(range(256)) * 40
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves `files` (path -> bytes).

    break_after: bytes after which each answer ends, though more were promised. offset: added to the beginnings asked
    for.
    """

    def __init__(self):
        self.files, self.requests = {}, []
        self.break_after, self.ranges, self.status, self.offset = None, True, None, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range")))
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, handler):
        content = self.files.get(handler.path)
        if self.status or content is None:
            handler.send_error(self.status or 404)
            return
        start = 0
        if self.ranges and handler.headers.get("Range"):
            start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-")) + self.offset
            if start >= len(content):
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start:][: self.break_after])

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    server = Server()
    server.files["/a.tar"] = CONTENT
    yield server
    server.close()


# -- one file


def test_fetch(server, tmp_path, capsys):
    fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    assert "a.tar: 100%" in capsys.readouterr().err
    fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert len(server.requests) == 1  # it is there already


def test_a_broken_transfer_goes_on_where_it_ended(server, tmp_path):
    server.break_after = 3000
    fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [header for _, header in server.requests] == [None, "bytes=3000-", "bytes=6000-", "bytes=9000-"]


def test_the_next_run_goes_on(server, tmp_path):
    server.break_after = 1000
    with pytest.raises(InputError, match="a.tar cannot be fetched: .*ended early, 5 times.*Run the same command again"):
        fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert (tmp_path / "a.tar.part").read_bytes() == CONTENT[:5000]
    server.break_after = None
    fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert server.requests[-1] == ("/a.tar", "bytes=5000-")
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_anew(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(b"x" * 100)
    server.ranges = False
    fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_server_that_sends_another_part(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:100])
    server.offset = -100
    fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_transfer_that_lacks_nothing(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(CONTENT)
    fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused(server, tmp_path):
    server.files["/a.tar"] = CONTENT[::-1]
    with pytest.raises(InputError, match=f"wrong checksum, MD5 is [0-9a-f]+ instead of {MD5}; the file was deleted"):
        fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_that_is_there_already(server, tmp_path):
    (tmp_path / "a.tar").write_bytes(b"something else")
    with pytest.raises(InputError, match="a.tar: wrong checksum.*delete it .*, or rename it to a.tar.part"):
        fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert (tmp_path / "a.tar").read_bytes() == b"something else"
    assert server.requests == []


def test_a_part_of_something_else_is_not_kept(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(b"x" * 100)
    server.files["/mirror/a.tar"] = CONTENT
    fetch(tmp_path / "a.tar", [f"{server.url}/a.tar", f"{server.url}/mirror/a.tar"], MD5)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert server.requests == [("/a.tar", "bytes=100-"), ("/mirror/a.tar", None)]


def test_addresses_are_tried_in_order(server, tmp_path):
    fetch(tmp_path / "a.tar", [f"{server.url}/gone/a.tar", f"{server.url}/a.tar"], MD5)
    assert [path for path, _ in server.requests] == ["/gone/a.tar", "/a.tar"]


@pytest.mark.parametrize("url, message", [
    ("{}/gone", "404 Not Found"), ("http://127.0.0.1:1/a", "refused"), ("nonsense", "unknown url type"),
    ("http://[", "nvalid"), ("http://no-such-host.invalid/a", "no-such-host.invalid/a: "),
])  # fmt: skip
def test_addresses_that_do_not_answer(url, message, server, tmp_path):
    url = url.format(server.url)
    with pytest.raises(InputError) as error:
        fetch(tmp_path / "a.tar", [url], MD5)
    assert message in str(error.value) and url in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_overloaded_is_asked_again(server, tmp_path):
    server.status = 503
    with pytest.raises(InputError, match="503 Service Unavailable, 5 times"):
        fetch(tmp_path / "a.tar", [f"{server.url}/a.tar"], MD5)
    assert len(server.requests) == 5


# -- archives


def archive(path, *members):
    """A tar of (name, content or None for a folder, changes of its TarInfo)."""
    with tarfile.open(path, "w") as tar:
        for name, content, changes in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name, changes", [
    ("../evil.txt", {}),
    ("VOCdevkit/../../evil.txt", {}),
    ("evil.txt", {"type": tarfile.SYMTYPE, "linkname": "../../evil.txt"}),
    ("evil.txt", {"type": tarfile.SYMTYPE, "linkname": "/etc"}),
    ("evil.txt", {"type": tarfile.LNKTYPE, "linkname": "../../evil.txt"}),
    ("evil.txt", {"type": tarfile.FIFOTYPE}),
    ("evil.txt", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
])  # fmt: skip
def test_archives_that_would_write_elsewhere(name, changes, tmp_path):
    content = b"" if changes else b"evil"
    path = archive(tmp_path / "a.tar", ("good.txt", b"good", {}), (name, content, changes))
    with pytest.raises(InputError, match="a.tar: refused to unpack it"):
        unpack(path, tmp_path / "in/side")
    assert not list(tmp_path.rglob("evil*"))


def test_a_member_with_an_absolute_path_lands_inside(tmp_path):
    unpack(archive(tmp_path / "a.tar", (f"{tmp_path}/evil.txt", b"x", {})), tmp_path / "inside")
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_damaged_archives(content, tmp_path):
    path = archive(tmp_path / "a.tar", ("a.txt", b"x" * 5000, {}))
    path.write_bytes(path.read_bytes()[:3000] if content is None else content)
    with pytest.raises(InputError, match="a.tar: damaged archive"):
        unpack(path, tmp_path / "out")


def test_python_that_cannot_unpack_safely(tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(InputError, match="this Python cannot unpack safely; update it"):
        unpack(archive(tmp_path / "a.tar"), tmp_path)


# -- the data set


@pytest.fixture
def voc_server(server, tmp_path, monkeypatch):
    """Small archives in place of VOC's, at their names and with checksums of their own."""
    devkit = tmp_path / "source/VOCdevkit"
    objects = voc_object("dog", 1, 1, 9, 9)
    parts = {
        "2007": make_voc(devkit / "VOC2007", {"trainval": ["a"]}, objects),
        "2007-test": make_voc(tmp_path / "second/VOCdevkit/VOC2007", {"test": ["b"]}, objects),
        "2012": make_voc(devkit / "VOC2012", {"trainval": ["c"]}, objects),
    }
    facts = {}
    for year in YEARS:
        path = tmp_path / "source" / DATASET_YEAR_DICT[year]["filename"]
        with tarfile.open(path, "w") as tar:
            tar.add(parts[year], f"VOCdevkit/{parts[year].name}")
        content = path.read_bytes()
        server.files[f"/own/{path.name}"] = content
        facts[year] = {
            "filename": path.name,
            "url": f"{server.url}/own/{path.name}",
            "md5": hashlib.md5(content).hexdigest(),
        }
    monkeypatch.setattr(download, "DATASET_YEAR_DICT", facts)
    return server


def test_archives_of_voc():
    """Names and checksums as torchvision has had them for years."""
    names = [DATASET_YEAR_DICT[year]["filename"] for year in YEARS]
    assert names == ["VOCtrainval_06-Nov-2007.tar", "VOCtest_06-Nov-2007.tar", "VOCtrainval_11-May-2012.tar"]
    assert DATASET_YEAR_DICT["2012"]["md5"] == "6cd6e144f989b92b3379bac3b3de84fd"


def test_download_makes_the_lists(voc_server, tmp_path):
    args = ["--download", str(tmp_path / "voc"), "--output", str(tmp_path / "lists")]
    assert create_data_lists.main(args) == 0
    train, test = (read_data_list(tmp_path / "lists", split) for split in ("train", "test"))
    assert [len(train.paths), len(test.paths)] == [2, 1]
    assert entries(train)[0]["labels"] == [12]
    assert len(voc_server.requests) == 3
    for tar in (tmp_path / "voc").glob("*.tar"):
        tar.unlink()
    assert create_data_lists.main(args) == 0  # with what is unpacked
    assert len(voc_server.requests) == 3


def test_mirrors(voc_server, tmp_path):
    name = DATASET_YEAR_DICT["2012"]["filename"]
    voc_server.files[f"/mirror/{name}"] = voc_server.files.pop(f"/own/{name}")
    mirrors = ["--mirror", f"{voc_server.url}/gone", "--mirror", f"{voc_server.url}/mirror/"]
    args = ["--download", str(tmp_path / "voc"), "--output", str(tmp_path / "lists"), *mirrors]
    assert create_data_lists.main(args) == 0
    asked = [path for path, _ in voc_server.requests]
    assert asked[:3] == [f"/{folder}/VOCtrainval_06-Nov-2007.tar" for folder in ("gone", "mirror", "own")]
    assert asked[-1] == f"/mirror/{name}"


def test_download_that_fails(voc_server, tmp_path, capsys):
    name = DATASET_YEAR_DICT["2007-test"]["filename"]
    voc_server.files[f"/own/{name}"] = b"tampered with"
    args = ["--download", tmp_path / "voc", "--output", tmp_path / "lists"]
    refused(capsys, create_data_lists, args, name, "wrong checksum", "--mirror")
    assert not (tmp_path / "lists").exists()
    assert sorted(path.name for path in (tmp_path / "voc").glob("*.tar*")) == [
        "VOCtrainval_06-Nov-2007.tar", "VOCtrainval_06-Nov-2007.tar.unpacked",
    ]  # fmt: skip


def test_unpacking_that_was_interrupted_is_done_again(voc_server, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "unpack", interrupt)
        args = ["--download", str(tmp_path / "voc"), "--output", str(tmp_path / "lists")]
        assert create_data_lists.main(args) == 130
    voc07, voc12 = download_voc(tmp_path / "voc")
    assert (voc07 / "JPEGImages/b.jpg").exists() and (voc12 / "JPEGImages/c.jpg").exists()
