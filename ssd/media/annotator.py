"""Runs a detector over the files of pictures and videos."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

from PIL import Image
from tqdm import tqdm

from ssd.detector import BATCH_SIZE, Detections, Prepared
from ssd.distributed import n_processes, rank
from ssd.errors import InputError
from ssd.media.film import FilmWriter
from ssd.media.frames import Reader, load_picture, open_film, open_frames
from ssd.media.outputs import record, save_picture
from ssd.media.sources import Source
from ssd.media.video import Moment
from ssd.text import counted, one_line
from ssd.threads import ahead, batched, made_ahead

Origin = TypeVar("Origin")  # the path of a picture, or the moment of a frame
Loaded = tuple[Origin, Image.Image, Prepared]
Found = tuple[Origin, Image.Image, Detections]


def print_error(error: InputError) -> None:
    """Print an error on stderr, above a progress bar."""
    tqdm.write(one_line(f"error: {error}"), file=sys.stderr)


class Annotator:
    """Finds objects in pictures and videos and writes annotated copies of them.

    While the network works on a batch, threads read and prepare the next one, and draw and write the one before.

    prepare, find: of a `Detector`, find with its thresholds. output: folder of the copies. names: path -> name of its
    copy; a path without one gets no copy. write: is called with each line of the journal, see `ssd.media.journal`.
    counts: of "objects" that were found, of "pictures" and "frames" that they are in, and of "bad" pictures and videos,
    which could not be read to their end. report: is called with the error of each of these, which does not stop the
    others; by default it is printed on stderr. show: is called with each annotated picture and its name, in the thread
    that called; what it raises ends the work.
    """

    def __init__(
        self,
        prepare: Callable[[Image.Image], Prepared],
        find: Callable[[list[Prepared]], list[Detections]],
        output: Path,
        names: Mapping[Source, str],
        write: Callable[[dict], object],
        batch_size: int = BATCH_SIZE,
        report: Callable[[InputError], object] = print_error,
        show: Callable[[Image.Image, str], object] | None = None,
    ):
        self.prepare, self.find, self.report, self.show = prepare, find, report, show
        self.output, self.names, self.write, self.batch_size = output, names, write, batch_size
        self.counts: Counter[str] = Counter()

    def pictures(self, paths: Sequence[Source]) -> None:
        """Annotate pictures."""
        if not paths:
            return
        all_at_once = n_processes() > 1 and n_processes()  # of which each has about as many
        with tqdm(
            total=len(paths), desc="detecting", unit="image", unit_scale=all_at_once, disable=rank() > 0
        ) as progress:
            loaded = self._readable(ahead(self._load, paths, self.batch_size), progress)
            for entry, drawn in ahead(self._annotate, self._find_in(loaded, self.batch_size), self.batch_size):
                self._add(entry, "pictures", drawn)
                progress.update()

    def _load(self, path: Source) -> Loaded[Source] | InputError:
        try:
            image = load_picture(path)
        except InputError as error:
            return error
        return path, image, self.prepare(image)

    def _readable(self, loaded: Iterable[Loaded[Source] | InputError], progress: tqdm) -> Iterator[Loaded[Source]]:
        """Yield what could be loaded, and report the rest."""
        for one in loaded:
            if isinstance(one, InputError):
                self._report(one)
                progress.update()
            else:
                yield one

    def _find_in(self, loaded: Iterable[Loaded[Origin]], size: int) -> Iterator[Found[Origin]]:
        """Yield each picture with what the detector finds in it. size: of a batch."""
        for batch in batched(loaded, size):
            found = self.find([prepared for _, _, prepared in batch])
            for (source, image, _), detections in zip(batch, found, strict=True):
                yield source, image, detections

    def _annotate(self, found: Found[Source]) -> tuple[dict, Image.Image]:
        """Write the annotated copy of a picture, if it gets one. Returns the picture's record, and what to show."""
        path, image, detections = found
        name = self.names.get(path)
        drawn = detections.draw(image) if name or self.show else image
        return record(path, save_picture(drawn, self.output / name) if name else None, image.size, detections), drawn

    def video(self, path: Source) -> None:
        """Annotate a video, frame by frame."""
        name = self.names.get(path)
        try:
            with open_frames(path) as video, self._film(name, video) as film:
                try:
                    self._frames(path, name, video, film)
                except KeyboardInterrupt:
                    if video.is_live:  # this is how it ends
                        self.write({"image": str(path), "end": True})
                    raise
                if damage := video.damage():
                    raise InputError(f"{path}: {damage}")
            self.write({"image": str(path), "end": True})
        except InputError as error:
            self._report(error)

    def _frames(self, path: Source, name: str | None, video: Reader, film: FilmWriter | None) -> None:
        """Annotate the frames of an opened video. Those of a camera do not wait for each other."""
        size = 1 if video.is_live else self.batch_size
        loaded = ((moment, image, self.prepare(image)) for moment, image in video.frames())
        annotate = partial(self._annotate_frame, film)
        with (
            closing(made_ahead(loaded, size)) as frames,
            closing(ahead(annotate, self._find_in(frames, size), size, threads=1)) as found,
            tqdm(total=video.n_frames, desc=path.name, unit="frame", disable=rank() > 0) as progress,
        ):
            for number, ((moment, image, detections), drawn) in enumerate(found):
                frame = {"frame": number, "time": round(moment.time, 6)}
                self._add(record(path, name, image.size, detections) | frame, "frames", drawn)
                progress.update()

    def _annotate_frame(self, film: FilmWriter | None, found: Found[Moment]) -> tuple[Found[Moment], Image.Image]:
        """Write the annotated copy of a frame, if the video gets one. Returns `found`, and what to show."""
        moment, image, detections = found
        drawn = detections.draw(image) if film or self.show else image
        if film:
            film.write(drawn, moment)
        return found, drawn

    def _film(self, name: str | None, video: Reader) -> AbstractContextManager[FilmWriter | None]:
        return open_film(self.output / name, video) if name else nullcontext()

    def _add(self, entry: dict, kind: str, drawn: Image.Image) -> None:
        self.write(entry)
        self.counts[kind] += 1
        self.counts["objects"] += len(entry["detections"])
        if self.show:
            self.show(drawn, entry["image"])

    def _report(self, error: InputError) -> None:
        self.report(error)
        self.counts["bad"] += 1


def summary(counts: Mapping[str, int], seconds: float) -> str:
    """What was done in this time, in words. counts: of an `Annotator`, or of several together."""
    n_pictures, n_frames = counts["pictures"], counts["frames"]
    where = [counted(n_pictures, "picture")] if n_pictures or not n_frames else []
    where += [counted(n_frames, "frame")] if n_frames else []
    speed = (n_pictures + n_frames) / seconds
    bad = f"; {counts['bad']} could not be read, named above" if counts["bad"] else ""
    return f"{counted(counts['objects'], 'object')} in {' and '.join(where)}, {speed:.1f} a second{bad}"
