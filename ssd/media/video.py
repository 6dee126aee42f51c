"""Reads the frames of videos as pictures, and writes pictures as a video. Needs PyAV, the extra `video`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from os.path import abspath
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from ssd.errors import InputError, optional
from ssd.files import check_content, temporary_for

TURNS = {  # degrees counterclockwise
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    -180: Image.Transpose.ROTATE_180,
    -90: Image.Transpose.ROTATE_270,
}
FASTEST = 1000  # frames a second; a higher rate is an error in the file
USUAL = 25  # frames a second, for a file that does not say
CUT = 1  # second that may be missing at the end, since the sound may be longer
BITS_PER_PIXEL = 0.3  # for an encoder without constant quality


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
    """The frames of a video, from `open_video`.

    container: of PyAV. rate: frames a second. n_frames: roughly how many; None if the file does not say.
    """

    def __init__(self, container: Any):
        self.container, self.stream = container, container.streams.video[0]
        self.stream.thread_type = "AUTO"
        rate = self.stream.average_rate or self.stream.guessed_rate or 0
        self.rate = Fraction(rate if 0 < rate <= FASTEST else USUAL).limit_denominator(1001)
        self.seconds = (container.duration or 0) / 1_000_000
        self.n_frames: int | None = self.stream.frames or round(self.seconds * self.rate) or None
        self.n_decoded = self.n_damaged = 0
        self.last = float(-1 / self.rate)  # the time of the last frame

    def frames(self) -> Iterator[tuple[float, Image.Image]]:
        """Yield (seconds, upright PIL RGB image). Damaged parts are skipped; `damage` reports them."""
        for frame in self._decoded():
            self.n_decoded += 1
            self.last = float(self.last + 1 / self.rate if frame.time is None else frame.time)
            image = frame.to_image()
            yield self.last, image.transpose(TURNS[frame.rotation]) if frame.rotation in TURNS else image

    def damage(self) -> str | None:
        """What `frames` has missed, in words, or None if it reached the end of an intact video."""
        if not self.n_decoded:
            return "no frame can be decoded"
        if self.n_damaged:
            return f"damaged in {self.n_damaged} places, {self.n_decoded} frames could be decoded"
        if self.n_decoded < self.stream.frames and self.last + CUT < self.seconds:  # some files count hidden frames
            return f"ends after {self.last:.1f} of its {self.seconds:.1f} seconds"
        return None

    def _decoded(self) -> Iterator[Any]:
        damaged = import_av().error.FFmpegError
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except damaged:
                self.n_damaged += 1
                continue  # after an error of its own, the generator `packets` has ended
            yield from frames


class VideoWriter:
    """Writes pictures as an MP4 file without sound, for a `with` block.

    rate: frames a second. The first picture sets the size of all; without pictures there is no file. The file appears
    when the block ends, also by an error, since the pictures so far are a film. If the process is killed or the film
    cannot be written, which raises OSError, what was at `path` stays.
    """

    def __init__(self, path: Path, rate: Fraction):
        self.av, self.path, self.rate = import_av(), path, rate
        self.temporary = temporary_for(path)
        self.container: Any = None
        self.is_good = False  # no error so far

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if self.is_good:
                with self._naming_errors():
                    self.container.mux(self.stream.encode())  # frames that the encoder still holds
                    self.container.close()
                os.replace(self.temporary, self.path)
        finally:
            self.temporary.unlink(missing_ok=True)

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """For a block that writes: an error is the system's and names the file."""
        try:
            yield
        except self.av.error.FFmpegError as error:
            self.is_good = False
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def write(self, image: Image.Image) -> None:
        """Append a picture. Raises InputError if the encoder refuses its size."""
        if not self.container:
            self._start(image.size)
        if image.size != self.size:
            image = image.resize(self.size)
        beyond = [(0, image.height % 2), (0, image.width % 2), (0, 0)]
        pixels = np.pad(np.asarray(image.convert("RGB")), beyond, mode="edge")
        frame = self.av.VideoFrame.from_ndarray(pixels, format="rgb24")
        with self._naming_errors():
            self.container.mux(self.stream.encode(frame))

    def _start(self, size: tuple[int, int]) -> None:
        codec = "libx264" if "libx264" in self.av.codecs_available else "mpeg4"
        with self._naming_errors():
            container = self.av.open(abspath(self.temporary), "w", format="mp4")
        stream = container.add_stream(codec, rate=self.rate)
        stream.width, stream.height = (length + length % 2 for length in size)  # colour is stored for 2 x 2 pixels
        stream.pix_fmt = "yuv420p"  # which every player shows
        if codec == "mpeg4":
            stream.bit_rate = int(stream.width * stream.height * self.rate * BITS_PER_PIXEL)
        try:
            stream.codec_context.open()
        except self.av.error.FFmpegError as error:
            container.close()
            raise InputError(f"{self.path}: no video of {size[0]} x {size[1]} pixels ({error.strerror})") from None
        self.container, self.stream, self.size, self.is_good = container, stream, size, True
