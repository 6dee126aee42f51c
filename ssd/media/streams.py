"""Cameras and addresses: what they are called, and their frames. Needs PyAV, the extra `video`."""

import glob
import io
import os
import re
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import PurePosixPath
from threading import Condition, Thread
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from PIL import Image

from ssd.errors import InputError
from ssd.media.video import NO_ANSWER, TIMEOUT, Moment, VideoReader, import_av, reason, upright

CAMERA = "[0-9]+"
ADDRESS = "[a-z][a-z0-9+.-]+://.*"
LARGEST = 100 << 20  # bytes of a picture
SCHEMES = ("http", "https", "rtsp", "rtsps")
NETWORK = {
    "protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto,udp,rtp,srtp",  # without "file": no address leads here
    "rtsp_flags": "prefer_tcp",  # UDP is often blocked, which shows only after a while
}


@dataclass(frozen=True, eq=False)
class Stream:
    """A camera, by its number, or an address. `str` names it without a user's name and password.

    Two are equal if they have the same name: whose password opens an address makes no difference.
    Raises InputError on an address that cannot be one.
    """

    source: str

    def __post_init__(self) -> None:
        if self.is_camera:
            return
        try:
            parts = urlsplit(self.source)
            is_good = parts.hostname is not None and parts.port != 0  # reading a port that is no number raises
        except ValueError:
            is_good = False
        if not is_good:  # it may hold a password in pieces, so it is not shown
            raise InputError("an address has no host or a wrong port; in a password, write / as %2F and @ as %40")
        if parts.scheme not in SCHEMES:
            raise InputError(f"{self}: addresses begin with {', '.join(f'{scheme}://' for scheme in SCHEMES)}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def is_camera(self) -> bool:
        return re.fullmatch(CAMERA, self.source) is not None

    def __str__(self) -> str:
        if self.is_camera:
            return f"camera {self.source}"
        scheme, _, rest = self.source.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"

    @property
    def name(self) -> str:
        """What a file about it may be called: the last part of an address, or its host."""
        if self.is_camera:
            return f"camera_{self.source}"
        parts = urlsplit(self.source)
        return re.sub(r"[^\w.-]", "_", PurePosixPath(parts.path).name or str(parts.hostname))

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending of a file's name; "" where there is no file."""
        parts = urlsplit(self.source)
        return PurePosixPath(parts.path).suffix if parts.scheme in ("http", "https") else ""


def is_stream(source: str) -> bool:
    """Whether this is the number of a camera or an address. A file of this name comes first."""
    return re.fullmatch(f"{CAMERA}|{ADDRESS}", source, flags=re.IGNORECASE) is not None and not os.path.lexists(source)


@contextmanager
def open_stream(stream: Stream) -> Iterator[VideoReader]:
    """A reader of the frames of a camera or an address, for a `with` block: of a file, all of them; else the newest.

    Raises InputError, naming the stream, where it cannot be opened, and where nothing answers within TIMEOUT seconds.
    """
    with _open(stream) as container:
        if not container.streams.video:
            raise InputError(f"{stream}: contains no video stream")
        if container.duration or container.size > 0:
            yield VideoReader(container)
        else:
            with LiveReader(container) as reader:
                yield reader


def fetch(stream: Stream) -> io.BytesIO:
    """The content of a file at an http or https address. Raises InputError where there is none, or a large one."""
    parts = urlsplit(stream.source)
    request = Request(quote(str(stream), safe="%/:=&?~#+!$,;'@()*[]"), headers={"User-Agent": "ssd300"})
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_unredirected_header("Authorization", f"Basic {b64encode(secret).decode()}")
    try:
        with urlopen(request, timeout=TIMEOUT) as response:
            content = response.read(LARGEST + 1)
    except (OSError, HTTPException) as error:
        said = str(getattr(error, "reason", error))
        raise InputError(f"{stream}: cannot be fetched ({NO_ANSWER if 'timed out' in said else said})") from None
    if len(content) > LARGEST:
        raise InputError(f"{stream}: has more than {LARGEST >> 20} MiB; save it to a file first")
    return io.BytesIO(content)


def _open(stream: Stream) -> Any:
    """The container of PyAV."""
    av = import_av()
    address = urlsplit(stream.source).geturl()  # its scheme in lower case, as FFmpeg needs it
    file, format, options = camera_input(stream.source) if stream.is_camera else (address, None, NETWORK)
    start = time.monotonic()
    try:
        return av.open(file, format=format, options=options, timeout=TIMEOUT)
    except (av.error.FFmpegError, ValueError) as error:
        took = time.monotonic() - start
        raise InputError(f"{stream}: cannot be opened ({NO_ANSWER if took >= TIMEOUT else reason(error)})") from None


def camera_input(number: str) -> tuple[str, str, dict[str, str]]:
    """What PyAV opens for a camera: file, format and options. Raises InputError where there is no such camera."""
    if sys.platform == "darwin":
        return number, "avfoundation", {"framerate": "30"}
    if sys.platform == "win32":
        return f"video={_windows_camera(int(number))}", "dshow", {}
    device = f"/dev/video{number}"
    if not os.path.exists(device):
        others = ", ".join(sorted(glob.glob("/dev/video*")))
        raise InputError(f"no camera {number}; {device} does not exist" + (f", there is {others}" if others else ""))
    return device, "v4l2", {}


def _windows_camera(number: int) -> str:
    """The name by which Windows knows a camera."""
    av = import_av()
    if not hasattr(av, "enumerate_input_devices"):
        raise InputError("this PyAV cannot find cameras on Windows; pip install --upgrade av")
    cameras = [device.name for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    if number >= len(cameras):
        raise InputError(f"no camera {number}; Windows knows {len(cameras)}, counted from 0")
    return cameras[number]


class LiveReader(VideoReader):
    """The newest frames of a camera or stream, for a `with` block. Those that come while nobody asks are left out.

    Times are those of the frames' arrival, since not every stream says when its frames were taken; the first is 0.
    """

    is_live = True

    def __init__(self, container: Any):
        super().__init__(container)
        self.n_frames = None
        self.stream.thread_type = "SLICE"  # threads for a frame each would hold some back
        self.newest: tuple[float, Any] | None = None
        self.is_ended = self.is_closed = False
        self.changed = Condition()
        self.thread = Thread(target=self._follow)

    def __enter__(self) -> "LiveReader":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.is_closed = True
        self.thread.join()

    def _follow(self) -> None:
        """Keep the newest frame until the stream ends or this is closed."""
        try:
            for frame in self._decoded():
                with self.changed:
                    self.newest = time.monotonic(), frame
                    self.changed.notify()
                if self.is_closed:
                    return
        finally:
            with self.changed:
                self.is_ended = True
                self.changed.notify()

    def _take(self) -> tuple[float, Any] | None:
        """Wait for a frame that was not taken before; None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.newest or self.is_ended)
            taken, self.newest = self.newest, None
            return taken

    def frames(self) -> Iterator[tuple[Moment, Image.Image]]:
        """As of a `VideoReader`."""
        start = None
        for arrival, frame in iter(self._take, None):
            self.n_decoded += 1
            start = start or arrival
            self.last = arrival - start
            yield Moment(self.last, float(1 / self.rate)), upright(frame)

    def damage(self) -> str:
        """That the stream has ended, in words."""
        if not self.n_decoded:
            return f"no picture came{self.broken}"
        return f"ended after {self.last:.1f} seconds{self.broken}"
