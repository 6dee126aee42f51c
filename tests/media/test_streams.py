"""Cameras and addresses, from a virtual camera and a server in this process."""

import io
import socket
import sys
import threading
from base64 import b64encode
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssd.commands import detect
from ssd.errors import InputError
from ssd.media import streams, video
from ssd.media.film import VideoWriter
from ssd.media.sources import find_sources
from ssd.media.streams import Stream, camera_input, open_stream
from ssd.media.video import Moment, open_video
from tests.helpers.fixed_detector import CHECKPOINT, FixedDetector, is_drawn, run
from tests.helpers.scripts import refused

RED = Image.new("RGB", (64, 48), "red")


@pytest.fixture(autouse=True)
def av(monkeypatch):
    monkeypatch.setattr(streams, "TIMEOUT", 1)
    return pytest.importorskip("av")


@pytest.fixture
def camera(monkeypatch):
    """Makes cameras of FFmpeg's test pictures: camera(seconds)."""

    def plug(seconds):
        source = f"testsrc=size=64x48:rate=20:duration={seconds}"
        monkeypatch.setattr(streams, "camera_input", lambda number: (source, "lavfi", {}))

    return plug


def jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers with `files` (path -> bytes or a function that writes the answer)."""

    files: dict = {}

    def do_GET(self):
        content = self.files.get(self.path.partition("?")[0])
        if callable(content):
            content(self)
        elif content is None:
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    pytest.importorskip("av")
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    with VideoWriter(path, Fraction(25)) as film:
        for k in range(10):
            film.write(Image.new("RGB", (64, 48), (25 * k, 0, 0)), Moment(k / 25, 1 / 25))
    return path


@pytest.fixture
def server(monkeypatch, film):
    """The address of a server that has a film, a camera, and what should not be opened."""
    monkeypatch.setattr(Handler, "files", {
        "/film.mp4": film.read_bytes(),
        "/camera": send_pictures,
        "/list.m3u8": playlist("film.mp4"),
        "/here.m3u8": playlist(f"file:{film}"),
        "/path.m3u8": playlist(film),
        "/here.txt": f"ffconcat version 1.0\nfile file:{film}\n".encode(),
        "/page.html": b"<html></html>" * 99,
        "/bus.JPG": jpeg(RED),
        "/a%20b.gif": moving(),
        "/late.png": lambda handler: threading.Event().wait(1.5),
        "/snapshot.jpg": send_to_friends,
    })  # fmt: skip
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def send_pictures(handler):
    """Five JPEGs, as many cameras send them."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    for _ in range(5):
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg(RED))
        handler.wfile.write(head + jpeg(RED) + b"\r\n")


def send_to_friends(handler):
    """A picture for who has the right password."""
    is_friend = handler.headers.get("Authorization") == "Basic " + b64encode(b"me:p@ss").decode()
    handler.send_response(200 if is_friend else 401)
    handler.end_headers()
    handler.wfile.write(jpeg(RED))


def moving():
    file = io.BytesIO()
    RED.save(file, "GIF", save_all=True, append_images=[Image.new("RGB", RED.size)], duration=100)
    return file.getvalue()


def playlist(name):
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n".encode()


def test_camera(fixed, camera, tmp_path, capsys):
    camera(seconds=0.5)
    status, records, copies = run(tmp_path / "out", "0")
    assert status == 2 and copies == ["camera_0.mp4"]
    assert {(entry["image"], entry["annotated"], entry["width"]) for entry in records} == {
        ("camera 0", "camera_0.mp4", 64)
    }
    assert [entry["frame"] for entry in records] == list(range(len(records))) and 0 < len(records) <= 10
    said = capsys.readouterr()
    assert "; 1 camera or address\n" in said.out
    assert "error: camera 0: ended after " in said.err
    with open_video(tmp_path / "out/camera_0.mp4") as film:
        times = [moment.time for moment, _ in film.frames()]
    np.testing.assert_allclose(times, [entry["time"] for entry in records], atol=2e-3)  # so it plays at true speed


def test_the_newest_frame_is_taken(camera):
    camera(seconds=5)
    with open_stream(Stream("0")) as reader:
        reader.thread.join()  # all came while nobody looked
        ((moment, image),) = reader.frames()
        assert moment.time == 0 and reader.n_frames is None
        assert reader.damage() == "ended after 0.0 seconds"
    av = video.import_av()
    with av.open("testsrc=size=64x48:rate=20:duration=5", format="lavfi") as source:
        *_, last = source.decode(video=0)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(last.to_image()))


def test_ctrl_c_ends_a_camera_in_good_order(fixed, camera, tmp_path, capsys, monkeypatch):
    find = FixedDetector.find

    def interrupt(self, images, **options):
        if len(self.batches) == 3:
            raise KeyboardInterrupt
        return find(self, images, **options)

    monkeypatch.setattr(FixedDetector, "find", interrupt)
    camera(seconds=10**9)
    status, records, copies = run(tmp_path / "out", "0", "--batch-size", 4)
    assert status == 130 and fixed.batches == [1, 1, 1]  # a camera's frames do not wait for others
    with open_video(tmp_path / "out/camera_0.mp4") as film:
        assert len(list(film.frames())) == len(records) == 3


def test_cameras_of_systems(monkeypatch):
    for system, expected in {
        "darwin": ("1", "avfoundation", {"framerate": "30"}),
        "win32": ("video=Logitech", "dshow", {}),
    }.items():
        devices = [("Mic", ["audio"]), ("Built-in", ["video"]), ("Logitech", ["audio", "video"])]
        known = [type("Device", (), {"name": name, "media_types": types}) for name, types in devices]
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(video.import_av(), "enumerate_input_devices", lambda kind, known=known: known, False)
        assert camera_input("1") == expected
    with pytest.raises(InputError, match="no camera 2; Windows knows 2, counted from 0"):
        camera_input("2")
    monkeypatch.delattr(video.import_av(), "enumerate_input_devices")
    with pytest.raises(InputError, match="pip install --upgrade av"):
        camera_input("0")


@pytest.mark.skipif(sys.platform != "linux", reason="devices of Linux")
def test_no_such_camera(fixed, tmp_path, capsys):
    args = ["977", "--checkpoint", CHECKPOINT, "--output", tmp_path]
    refused(capsys, detect, args, "no camera 977; /dev/video977 does not exist")
    assert not list(tmp_path.iterdir())  # it is told before the work


def test_film_at_an_address(fixed, server, film, tmp_path):
    address = f"{server}/film.mp4?a=1".replace("http", "HTTP")
    status, records, copies = run(tmp_path / "out", address, f"{server}/list.m3u8", film)
    assert status == 0 and copies == ["film.mp4", "film_2.mp4", "list.mp4"]
    assert [entry["time"] for entry in records] == [round(k / 25, 6) for k in range(10)] * 3  # every frame
    assert records[0]["image"] == address
    with open_video(tmp_path / "out/film.mp4") as copy, open_video(film) as original:
        for (_, annotated), (_, image) in zip(copy.frames(), original.frames(), strict=True):
            assert is_drawn(annotated, image, fixed)


def test_pictures_at_addresses(fixed, server, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)  # which is not needed
    friend = server.replace("http://", "http://me:p%40ss@")
    status, records, copies = run(tmp_path / "out", *(f"{server}/{name}" for name in ("bus.JPG?x=1", "a b.gif")))
    assert status == 0 and copies == ["a_b.gif", "bus.jpg"]
    assert [(entry["image"], entry.get("frame"), entry.get("time")) for entry in records] == [
        (f"{server}/bus.JPG?x=1", None, None), (f"{server}/a b.gif", 0, 0), (f"{server}/a b.gif", 1, 0.1)
    ]  # fmt: skip
    with Image.open(tmp_path / "out/bus.jpg") as annotated:
        assert is_drawn(annotated, RED, fixed)
    status, records, copies = run(tmp_path / "mine", f"{friend}/snapshot.jpg")
    assert status == 0 and copies == ["snapshot.jpg"] and records[0]["image"] == f"{server}/snapshot.jpg"
    for name, words in (
        ("snapshot.jpg", "cannot be fetched (Unauthorized)"),
        ("nothing.png", "cannot be fetched (Not Found)"),
        ("late.png", "cannot be fetched (no answer within"),
    ):
        args = [f"{server}/{name}", "--checkpoint", CHECKPOINT, "--output", tmp_path / name]
        refused(capsys, detect, args, f"{server}/{name}: {words}")
        refused(capsys, detect, [*args, "--save", "voc"], "--save voc is for files of pictures", name)


def test_pictures_without_an_end(fixed, server, tmp_path, capsys):
    status, records, copies = run(tmp_path / "out", f"{server}/camera")
    assert status == 2 and copies == ["camera.mp4"] and 0 < len(records) <= 5
    assert f"error: {server}/camera: ended after 0" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["here.m3u8", "path.m3u8", "here.txt", "page.html", "nothing"])
def test_an_address_never_leads_to_files_here(fixed, server, tmp_path, capsys, name):
    args = [f"{server}/{name}", "--checkpoint", CHECKPOINT, "--output", tmp_path]
    refused(capsys, detect, args, f"{server}/{name}: cannot be opened (")


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
@pytest.mark.parametrize("is_there, words", [(True, "no answer within"), (False, "Connection refused")])
def test_nobody_answers(fixed, tmp_path, capsys, scheme, is_there, words):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not is_there:
            silent.close()
        args = [f"{scheme}://me:secret@127.0.0.1:{port}/a", "--checkpoint", CHECKPOINT, "--output", tmp_path]
        refused(capsys, detect, args, f"error: {scheme}://127.0.0.1:{port}/a: cannot be opened ({words}")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert written and b"secret" not in written


def test_names_hold_no_password():
    for source, text, name in (
        ("rtsp://me:p@ss@10.0.0.1:554/live/ch1?x=1", "rtsp://10.0.0.1:554/live/ch1?x=1", "ch1"),
        ("https://example.org", "https://example.org", "example.org"),
        ("http://h/a%2Fb/a b.avi", "http://h/a%2Fb/a b.avi", "a_b.avi"),
        ("12", "camera 12", "camera_12"),
    ):
        assert (str(Stream(source)), Stream(source).name) == (text, name)
    for source in ("rtsp://me:se/cret@host/a", "http://", "http://host:99999/"):
        with pytest.raises(InputError, match="an address has no host or a wrong port") as error:
            Stream(source)
        assert "cret" not in str(error.value)
    with pytest.raises(InputError, match="ftp://h/a: addresses begin with http://, https://, rtsp://, rtsps://"):
        Stream("ftp://me:secret@h/a")


def test_sources(camera, tmp_path, monkeypatch):
    camera(seconds=1)
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("rtsp://me:old@host/a\n0\n")
    found = find_sources(["list.txt", "0", "rtsp://host/a"])
    assert [video.source for video in found.videos] == ["rtsp://me:old@host/a", "0"] and found.pictures == []
    Path("0").touch()
    assert find_sources(["0"]).pictures == [Path("0")]  # a file of that name comes first
