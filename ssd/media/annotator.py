"""Runs a detector over the files of pictures and videos."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from fractions import Fraction
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from ssd.detector import Detections
from ssd.errors import InputError
from ssd.media.outputs import record, save_picture
from ssd.media.sources import ahead, batched, load_batches
from ssd.media.video import VideoReader, VideoWriter, open_video
from ssd.text import counted, one_line


class Annotator:
    """Finds objects in pictures and videos and writes annotated copies of them.

    find: list of pictures -> their `Detections`. output: folder of the copies. names: path -> name of its copy; a path
    without one gets no copy.
    records: what was found, see `ssd.media.outputs`. n_bad: pictures and videos that could not be read to their end;
    each is named on stderr and does not stop the others.
    """

    def __init__(
        self,
        find: Callable[[list[Image.Image]], list[Detections]],
        output: Path,
        names: Mapping[Path, str],
        batch_size: int = 8,
    ):
        self.find, self.output, self.names, self.batch_size = find, output, names, batch_size
        self.records: list[dict] = []
        self.n_bad = 0

    def pictures(self, paths: Sequence[Path]) -> None:
        """Annotate pictures. The next batch is decoded while the network works on this one."""
        with (
            tqdm(total=len(paths), desc="detecting", unit="image") as progress,
            closing(ahead(load_batches(paths, self.batch_size))) as batches,
            ThreadPoolExecutor() as threads,
        ):
            for batch in batches:
                images = {path: image for path, image in batch if isinstance(image, Image.Image)}
                self._report(error for _, error in batch if isinstance(error, InputError))
                found = self.find(list(images.values()))
                self.records += threads.map(self._annotate, images, images.values(), found)
                progress.update(len(batch))

    def _annotate(self, path: Path, image: Image.Image, detections: Detections) -> dict:
        name = self.names.get(path)
        copy = save_picture(detections.draw(image), self.output / name) if name else None
        return record(path, copy, image, detections)

    def video(self, path: Path) -> None:
        """Annotate a video, frame by frame."""
        name = self.names.get(path)
        try:
            with open_video(path) as video, self._film(name, video.rate) as copy:
                for number, (seconds, image, detections) in enumerate(self._find_in(video, path.name)):
                    if copy:
                        copy.write(detections.draw(image))
                    frame = {"frame": number, "time": round(seconds, 6)}
                    self.records.append(record(path, name, image, detections) | frame)
                if damage := video.damage():
                    raise InputError(f"{path}: {damage}")
        except InputError as error:
            self._report([error])

    def _film(self, name: str | None, rate: Fraction) -> AbstractContextManager[VideoWriter | None]:
        return VideoWriter(self.output / name, rate) if name else nullcontext()

    def _find_in(self, video: VideoReader, name: str) -> Iterator[tuple[float, Image.Image, Detections]]:
        """Yield (seconds, picture, what is in it) for each frame, with a progress bar."""
        with (
            tqdm(total=video.n_frames, desc=name, unit="frame") as progress,
            closing(ahead(batched(video.frames(), self.batch_size))) as batches,
        ):
            for batch in batches:
                found = self.find([image for _, image in batch])
                for (seconds, image), detections in zip(batch, found, strict=True):
                    yield seconds, image, detections
                progress.update(len(batch))

    def _report(self, errors: Iterable[InputError]) -> None:
        for error in errors:
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
