"""Writes pictures one after another as a video, which needs PyAV, the extra `video`."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from os.path import abspath
from pathlib import Path

import numpy as np
from PIL import Image

from ssd.errors import InputError
from ssd.files import temporary_for
from ssd.media.video import Moment, import_av

BITS_PER_PIXEL = 0.3  # for an encoder without constant quality
PIXELS = "yuv420p"  # which every player shows
FINEST = 60_000  # most ticks a second that each encoder takes
LONGEST = 24 * 60 * 60  # seconds from a frame to the next; more is an error in the file


class FilmWriter(ABC):
    """Writes pictures one after another to a file, for a `with` block.

    The first picture sets the size of all; without pictures there is no file. The file appears when the block ends,
    also by an error, since the pictures so far are a film. If the process is killed or the film cannot be written,
    which raises OSError, what was at `path` stays.
    """

    errors: tuple[type[Exception], ...] = (OSError,)  # that writing may raise

    def __init__(self, path: Path):
        self.path, self.temporary = path, temporary_for(path)
        self.size: tuple[int, int] | None = None
        self.is_good = False  # begun, and no error so far

    def __enter__(self) -> "FilmWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if self.is_good:
                with self._naming_errors():
                    self._finish()
                os.replace(self.temporary, self.path)
        finally:
            self.temporary.unlink(missing_ok=True)

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """For a block that writes: an error is the system's and names the file."""
        try:
            yield
        except self.errors as error:
            self.is_good = False
            raise OSError(getattr(error, "errno", 0), getattr(error, "strerror", ""), str(self.path)) from None

    def write(self, image: Image.Image, moment: Moment) -> None:
        """Append a picture. Raises InputError if the encoder refuses its size."""
        with self._naming_errors():
            if self.size is None:
                self._start(image.size)
                self.size, self.is_good = image.size, True
            self._add(image if image.size == self.size else image.resize(self.size), moment)

    @abstractmethod
    def _start(self, size: tuple[int, int]) -> None:
        """Begin the file."""

    @abstractmethod
    def _add(self, image: Image.Image, moment: Moment) -> None:
        """Write a picture of the right size."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what belongs at the end."""


class VideoWriter(FilmWriter):
    """Writes an MP4 file without sound. rate: frames a second, roughly; each has its moment."""

    def __init__(self, path: Path, rate: Fraction):
        super().__init__(path)
        self.av, self.rate = import_av(), rate
        self.errors = (OSError, self.av.error.FFmpegError)
        self.n_ticks = rate.numerator * max(1, FINEST // rate.numerator)  # in a second; 1 / rate is a whole number
        self.time = self.elapsed = 0.0  # of the last frame: as it was said, and since the first
        self.pts = -1  # of the last frame, in ticks

    def _start(self, size: tuple[int, int]) -> None:
        codec = "libx264" if "libx264" in self.av.codecs_available else "mpeg4"
        container = self.av.open(abspath(self.temporary), "w", format="mp4")
        stream = container.add_stream(codec, rate=self.rate)
        stream.width, stream.height = (length + length % 2 for length in size)  # colour is stored for 2 x 2 pixels
        stream.codec_context.time_base = Fraction(1, self.n_ticks)
        stream.codec_context.max_b_frames = 0  # with them, a pause at the end would be lost
        stream.pix_fmt = PIXELS
        if codec == "mpeg4":
            stream.bit_rate = int(stream.width * stream.height * self.rate * BITS_PER_PIXEL)
        try:
            stream.codec_context.open()
        except self.av.error.FFmpegError as error:
            container.close()
            raise InputError(f"{self.path}: no video of {size[0]} x {size[1]} pixels ({error.strerror})") from None
        self.container, self.stream = container, stream

    def _add(self, image: Image.Image, moment: Moment) -> None:
        beyond = [(0, image.height % 2), (0, image.width % 2), (0, 0)]
        pixels = np.pad(np.asarray(image.convert("RGB")), beyond, mode="edge")
        frame = self.av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(format=PIXELS)  # left to `encode`, 1 film of 50 has another content
        frame.pts, frame.time_base = self._next_pts(moment.time), self.stream.codec_context.time_base
        self.container.mux(self.stream.encode(frame))

    def _next_pts(self, time: float) -> int:
        """When a frame is shown, in ticks since the first."""
        step = time - self.time
        if self.pts >= 0:
            self.elapsed += step if 0 < step < LONGEST else float(1 / self.rate)
        self.time, self.pts = time, max(self.pts + 1, round(self.elapsed * self.n_ticks))
        return self.pts

    def _finish(self) -> None:
        self.container.mux(self.stream.encode())  # frames that the encoder still holds
        self.container.close()
