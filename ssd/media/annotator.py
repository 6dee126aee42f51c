"""Runs a detector over the files of pictures and videos."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar

from PIL import Image
from tqdm import tqdm

from ssd.data.images import load_image
from ssd.detector import BATCH_SIZE, Detections, Prepared
from ssd.errors import InputError
from ssd.media.outputs import record, save_picture
from ssd.media.video import VideoReader, VideoWriter, open_video
from ssd.text import counted, one_line
from ssd.threads import ahead, batched, made_ahead

Source = TypeVar("Source")  # the path of a picture, or the seconds of a frame
Loaded = tuple[Source, Image.Image, Prepared]
Found = tuple[Source, Image.Image, Detections]


class Annotator:
    """Finds objects in pictures and videos and writes annotated copies of them.

    While the network works on a batch, threads read and prepare the next one, and draw and write the one before.

    prepare, find: of a `Detector`, find with its thresholds. output: folder of the copies. names: path -> name of its
    copy; a path without one gets no copy.
    records: what was found, see `ssd.media.outputs`. n_bad: pictures and videos that could not be read to their end;
    each is named on stderr and does not stop the others.
    """

    def __init__(
        self,
        prepare: Callable[[Image.Image], Prepared],
        find: Callable[[list[Prepared]], list[Detections]],
        output: Path,
        names: Mapping[Path, str],
        batch_size: int = BATCH_SIZE,
    ):
        self.prepare, self.find = prepare, find
        self.output, self.names, self.batch_size = output, names, batch_size
        self.records: list[dict] = []
        self.n_bad = 0

    def pictures(self, paths: Sequence[Path]) -> None:
        """Annotate pictures."""
        with tqdm(total=len(paths), desc="detecting", unit="image") as progress:
            loaded = self._readable(ahead(self._load, paths, self.batch_size), progress)
            for entry in ahead(self._annotate, self._find_in(loaded), self.batch_size):
                self.records.append(entry)
                progress.update()

    def _load(self, path: Path) -> Loaded[Path] | InputError:
        try:
            image = load_image(path)
        except InputError as error:
            return error
        return path, image, self.prepare(image)

    def _readable(self, loaded: Iterable[Loaded[Path] | InputError], progress: tqdm) -> Iterator[Loaded[Path]]:
        """Yield what could be loaded, and report the rest."""
        for one in loaded:
            if isinstance(one, InputError):
                self._report(one)
                progress.update()
            else:
                yield one

    def _find_in(self, loaded: Iterable[Loaded[Source]]) -> Iterator[Found[Source]]:
        """Yield each picture with what the detector finds in it."""
        for batch in batched(loaded, self.batch_size):
            found = self.find([prepared for _, _, prepared in batch])
            for (source, image, _), detections in zip(batch, found, strict=True):
                yield source, image, detections

    def _annotate(self, found: Found[Path]) -> dict:
        """Write the annotated copy of a picture, if it gets one. Returns the picture's record."""
        path, image, detections = found
        name = self.names.get(path)
        copy = save_picture(detections.draw(image), self.output / name) if name else None
        return record(path, copy, image, detections)

    def video(self, path: Path) -> None:
        """Annotate a video, frame by frame."""
        name = self.names.get(path)
        try:
            with (
                open_video(path) as video,
                self._film(name, video.rate) as film,
                closing(made_ahead(self._prepared(video), self.batch_size)) as frames,
                closing(ahead(partial(_add_frame, film), self._find_in(frames), self.batch_size, threads=1)) as found,
                tqdm(total=video.n_frames, desc=path.name, unit="frame") as progress,
            ):
                for number, (seconds, image, detections) in enumerate(found):
                    frame = {"frame": number, "time": round(seconds, 6)}
                    self.records.append(record(path, name, image, detections) | frame)
                    progress.update()
                if damage := video.damage():
                    raise InputError(f"{path}: {damage}")
        except InputError as error:
            self._report(error)

    def _film(self, name: str | None, rate: Fraction) -> AbstractContextManager[VideoWriter | None]:
        return VideoWriter(self.output / name, rate) if name else nullcontext()

    def _prepared(self, video: VideoReader) -> Iterator[Loaded[float]]:
        return ((seconds, image, self.prepare(image)) for seconds, image in video.frames())

    def _report(self, error: InputError) -> None:
        tqdm.write(one_line(f"error: {error}"), file=sys.stderr)
        self.n_bad += 1

    def copies(self) -> list[str]:
        """The names of the annotated copies."""
        return sorted({entry["annotated"] for entry in self.records} - {None})

    def summary(self, seconds: float) -> str:
        """What was done in this time, in words."""
        n_found = sum(len(entry["detections"]) for entry in self.records)
        n_frames = sum("frame" in entry for entry in self.records)
        n_pictures = len(self.records) - n_frames
        where = [counted(n_pictures, "picture")] if n_pictures or not n_frames else []
        where += [counted(n_frames, "frame")] if n_frames else []
        bad = f"; {self.n_bad} could not be read, named above" if self.n_bad else ""
        return f"{counted(n_found, 'object')} in {' and '.join(where)}, {len(self.records) / seconds:.1f} a second{bad}"


def _add_frame(film: VideoWriter | None, found: Found[float]) -> Found[float]:
    """Write the annotated copy of a frame, if the video gets one. Returns `found`."""
    _, image, detections = found
    if film:
        film.write(detections.draw(image))
    return found
