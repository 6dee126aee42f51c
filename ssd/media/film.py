"""Writes pictures as a video. Needs PyAV, the extra `video`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from os.path import abspath
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssd.errors import InputError
from ssd.files import temporary_for
from ssd.media.video import Moment, import_av

BITS_PER_PIXEL = 0.3  # for an encoder without constant quality
FINEST = 60_000  # most ticks a second that each encoder takes
LONGEST = 24 * 60 * 60  # seconds from a frame to the next; more is an error in the file


class VideoWriter:
    """Writes pictures as an MP4 file without sound, for a `with` block.

    rate: frames a second, where a picture comes without its moment. The first picture sets the size of all; without
    pictures there is no file. The file appears when the block ends, also by an error, since the pictures so far are a
    film. If the process is killed or the film cannot be written, which raises OSError, what was at `path` stays.
    """

    def __init__(self, path: Path, rate: Fraction):
        self.av, self.path, self.rate = import_av(), path, rate
        self.temporary = temporary_for(path)
        self.container: Any = None
        self.is_good = False  # no error so far
        self.n_ticks = rate.numerator * max(1, FINEST // rate.numerator)  # in a second; 1 / rate is a whole number
        self.time = self.elapsed = 0.0  # of the last frame: as it was said, and since the first
        self.pts = -1  # of the last frame, in ticks

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

    def write(self, image: Image.Image, moment: Moment | None = None) -> None:
        """Append a picture. moment: when it is shown; by default 1 / rate after the one before.

        Raises InputError if the encoder refuses the picture's size.
        """
        if not self.container:
            self._start(image.size)
        if image.size != self.size:
            image = image.resize(self.size)
        beyond = [(0, image.height % 2), (0, image.width % 2), (0, 0)]
        pixels = np.pad(np.asarray(image.convert("RGB")), beyond, mode="edge")
        frame = self.av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = self._next_pts(moment), self.stream.codec_context.time_base
        with self._naming_errors():
            self.container.mux(self.stream.encode(frame))

    def _next_pts(self, moment: Moment | None) -> int:
        """When a frame is shown, in ticks since the first."""
        time = moment.time if moment else self.time + float(1 / self.rate)
        step = time - self.time
        if self.pts >= 0:
            self.elapsed += step if 0 < step < LONGEST else float(1 / self.rate)
        self.time, self.pts = time, max(self.pts + 1, round(self.elapsed * self.n_ticks))
        return self.pts

    def _start(self, size: tuple[int, int]) -> None:
        codec = "libx264" if "libx264" in self.av.codecs_available else "mpeg4"
        with self._naming_errors():
            container = self.av.open(abspath(self.temporary), "w", format="mp4")
        stream = container.add_stream(codec, rate=self.rate)
        stream.width, stream.height = (length + length % 2 for length in size)  # colour is stored for 2 x 2 pixels
        stream.codec_context.time_base = Fraction(1, self.n_ticks)
        stream.codec_context.max_b_frames = 0  # with them, a pause at the end would be lost
        stream.pix_fmt = "yuv420p"  # which every player shows
        if codec == "mpeg4":
            stream.bit_rate = int(stream.width * stream.height * self.rate * BITS_PER_PIXEL)
        try:
            stream.codec_context.open()
        except self.av.error.FFmpegError as error:
            container.close()
            raise InputError(f"{self.path}: no video of {size[0]} x {size[1]} pixels ({error.strerror})") from None
        self.container, self.stream, self.size, self.is_good = container, stream, size, True
