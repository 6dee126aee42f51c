"""Animated GIF and WebP files, frame by frame: read with Pillow, and written without keeping more than a frame."""

import io
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import GifImagePlugin, Image, ImageChops

from ssd.data.images import open_image, to_rgb
from ssd.errors import InputError, first_line
from ssd.files import check_content
from ssd.media.film import FilmWriter
from ssd.media.streams import Stream, fetch
from ssd.media.video import Moment

ENDINGS = (".gif", ".webp")
FORMATS = ("GIF", "WEBP")
QUALITY = 90  # of a WebP, of 100
ANIMATED = 2  # a bit of the header of a WebP


def is_animation(path: Path) -> bool:
    """Whether a file with one of ENDINGS holds several frames."""
    if path.suffix.lower() not in ENDINGS:
        return False
    with suppress(InputError, OSError):
        check_content(path, "picture")
        with open(path, "rb") as file:
            header = file.read(21)
        if header[8:12] == b"WEBP":  # of which Pillow would read the whole file
            return header[12:16] == b"VP8X" and bool(int.from_bytes(header[20:], "little") & ANIMATED)
        with open_image(path) as image:
            return getattr(image, "is_animated", False)
    return False


@contextmanager
def open_animation(source: Path | Stream) -> Iterator["AnimationReader"]:
    """The reader of an animation's frames, for a `with` block. An address may be that of any picture.

    Raises InputError as `load_image` and `fetch` do.
    """
    file = fetch(source) if isinstance(source, Stream) else source
    with open_image(str(source), None if isinstance(file, Path) else file) as image:  # which names what is wrong
        n_frames = getattr(image, "n_frames", 1) if image.format in FORMATS else 1
    with Image.open(file) as image:
        yield AnimationReader(image, n_frames)


class AnimationReader:
    """The frames of an animation, from `open_animation`. Pillow puts each together as viewers show it.

    n_frames: how many; 1 of another picture. loop: how often it is repeated; 0 is without end, None not at all.
    """

    is_live = False

    def __init__(self, image: Image.Image, n_frames: int):
        self.image, self.n_frames = image, n_frames
        self.loop: int | None = image.info.get("loop")
        self.n_decoded = 0
        self.broken: str | None = None

    def frames(self) -> Iterator[tuple[Moment, Image.Image]]:
        """Yield when a frame is shown, and its upright PIL RGB image, until the first that is damaged."""
        time = 0.0
        for number in range(self.n_frames):
            try:
                self.image.seek(number)
                image = to_rgb(self.image.copy())
            except Exception as error:  # Pillow's readers raise almost anything on a damaged file
                self.broken = first_line(error)
                return
            self.n_decoded += 1
            duration = self.image.info.get("duration", 0) / 1000
            yield Moment(time, duration), image
            time += duration

    def damage(self) -> str | None:
        """What `frames` has missed, in words, or None if it reached the end."""
        return self.broken and f"damaged after {self.n_decoded} of {self.n_frames} frames ({self.broken})"


class AnimationWriter(FilmWriter):
    """Writes an animation. loop: of an `AnimationReader`."""

    def __init__(self, path: Path, loop: int | None):
        super().__init__(path)
        self.loop = loop

    def _start(self, size: tuple[int, int]) -> None:
        self.temporary.write_bytes(self._header(size))

    def _append(self, content: bytes) -> None:
        with open(self.temporary, "ab") as file:
            file.write(content)

    @abstractmethod
    def _header(self, size: tuple[int, int]) -> bytes:
        """The beginning of the file."""


class GifWriter(AnimationWriter):
    """Writes an animated GIF. Each frame has 256 colours of its own, and only the part that differs from the last."""

    def _header(self, size: tuple[int, int]) -> bytes:
        self.before: Image.Image | None = None
        again = b"" if self.loop is None else b"!\xff\x0bNETSCAPE2.0\x03\x01" + _little(self.loop, 2) + b"\0"
        return b"GIF89a" + _little(size[0], 2) + _little(size[1], 2) + bytes(3) + again

    def _add(self, image: Image.Image, moment: Moment) -> None:
        whole = (0, 0, *image.size)
        changed = ImageChops.difference(image, self.before).getbbox() or (0, 0, 1, 1) if self.before else whole
        part = image.crop(changed).quantize()
        timing = {"duration": min(round(1000 * moment.duration), 655_350)}  # milliseconds; the format's longest
        self._append(b"".join(GifImagePlugin.getdata(part, changed[:2], include_color_table=True, **timing)))
        self.before = image

    def _finish(self) -> None:
        self._append(b";")


class WebPWriter(AnimationWriter):
    """Writes an animated WebP: the files of single pictures, as chunks of one file."""

    def _header(self, size: tuple[int, int]) -> bytes:
        extended = _little(ANIMATED, 4) + _little(size[0] - 1, 3) + _little(size[1] - 1, 3)
        background, loop = b"\xff" * 4, _little(1 if self.loop is None else self.loop, 2)
        return b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", extended) + _chunk(b"ANIM", background + loop)

    def _add(self, image: Image.Image, moment: Moment) -> None:
        still = io.BytesIO()
        image.save(still, "WEBP", quality=QUALITY)
        place = bytes(6) + _little(image.width - 1, 3) + _little(image.height - 1, 3)
        timing = _little(round(1000 * moment.duration), 3) + b"\x02"  # 2: replaces what was there
        self._append(_chunk(b"ANMF", place + timing + still.getvalue()[12:]))

    def _finish(self) -> None:
        with open(self.temporary, "r+b") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(4)
            file.write(_little(size - 8, 4))


def _little(number: int, n_bytes: int) -> bytes:
    return number.to_bytes(n_bytes, "little")


def _chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a RIFF file."""
    return name + _little(len(content), 4) + content + bytes(len(content) % 2)
