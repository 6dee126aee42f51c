"""Reads the frames of videos as pictures. Needs PyAV, the extra `video`."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from os.path import abspath
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from PIL import Image

from ssd.errors import InputError, optional
from ssd.files import check_content

TURNS = {  # degrees counterclockwise
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    -180: Image.Transpose.ROTATE_180,
    -90: Image.Transpose.ROTATE_270,
}
FASTEST = 1000  # frames a second; a higher rate is an error in the file
USUAL = 25  # frames a second, for a file that does not say
CUT = 1  # second that may be missing at the end, since the sound may be longer
TIMEOUT = 8  # seconds without an answer of a camera or server
NO_ANSWER = f"no answer within {TIMEOUT} seconds"


class Moment(NamedTuple):
    """When a frame is shown, in seconds: from `time` on, for `duration`."""

    time: float
    duration: float


def import_av() -> ModuleType:
    """PyAV. Raises InputError if it is not installed."""
    return optional("av", extra="video", what="videos")


@contextmanager
def open_video(path: Path) -> Iterator["VideoReader"]:
    """A `VideoReader` of a file's first video stream, for a `with` block. Takes whatever PyAV opens.

    Nothing is fetched from a network, whatever a playlist names.
    Raises InputError, naming the file, where it is missing or no video.
    """
    av = import_av()
    check_content(path, "video")
    try:
        container = av.open(abspath(path), options={"protocol_whitelist": "file"})
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: not a video, or a damaged one ({error.strerror})") from None
    with container:
        if not container.streams.video:
            raise InputError(f"{path}: contains no video stream")
        yield VideoReader(container)


class VideoReader:
    """The frames of a video, from `open_video` or `open_stream`.

    container: of PyAV. rate: frames a second. n_frames: roughly how many; None if the file does not say.
    """

    is_live = False  # whether frames are lost that nobody takes in time

    def __init__(self, container: Any):
        self.container, self.stream = container, container.streams.video[0]
        self.stream.thread_type = "AUTO"
        rate = self.stream.average_rate or self.stream.guessed_rate or 0
        self.rate = Fraction(rate if 0 < rate <= FASTEST else USUAL).limit_denominator(1001)
        self.seconds = (container.duration or 0) / 1_000_000
        self.n_frames: int | None = self.stream.frames or round(self.seconds * self.rate) or None
        self.n_decoded = self.n_damaged = 0
        self.broken = ""  # why the end cannot be reached, in words
        self.last = float(-1 / self.rate)  # the time of the last frame

    def frames(self) -> Iterator[tuple[Moment, Image.Image]]:
        """Yield when a frame is shown, and its upright PIL RGB image. Damage is skipped; `damage` reports it."""
        for frame in self._decoded():
            self.n_decoded += 1
            self.last = float(self.last + 1 / self.rate if frame.time is None else frame.time)
            yield Moment(self.last, float(1 / self.rate)), upright(frame)

    def damage(self) -> str | None:
        """What `frames` has missed, in words, or None if it reached the end of an intact video."""
        if not self.n_decoded:
            return f"no frame can be decoded{self.broken}"
        if self.n_damaged:
            return f"damaged in {self.n_damaged} places, {self.n_decoded} frames could be decoded"
        if self.broken:
            return f"breaks off after {self.last:.1f} seconds{self.broken}"
        if self.n_decoded < self.stream.frames and self.last + CUT < self.seconds:  # some files count hidden frames
            return f"ends after {self.last:.1f} of its {self.seconds:.1f} seconds"
        return None

    def _decoded(self) -> Iterator[Any]:
        """Yield the frames as PyAV's."""
        for packet in self._packets():
            try:
                frames = self.stream.decode(packet)
            except import_av().error.FFmpegError:
                self.n_damaged += 1
                continue
            yield from frames

    def _packets(self) -> Iterator[Any]:
        """Yield the packets of PyAV. The last is empty, so that the decoder gives all that it holds."""
        try:
            yield from self.container.demux(self.stream)
        except import_av().error.FFmpegError as error:
            self.broken = f" ({reason(error)})"
            yield None


def reason(error: Any) -> str:
    """What an error of PyAV says, without the address, which may hold a password."""
    return NO_ANSWER if isinstance(error, import_av().error.ExitError) else getattr(error, "strerror", str(error))


def upright(frame: Any) -> Image.Image:
    """A frame of PyAV as an upright PIL RGB image."""
    image = frame.to_image()
    return image.transpose(TURNS[frame.rotation]) if frame.rotation in TURNS else image
