"""Runs a detector over the files of pictures and videos."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from tqdm import tqdm

from ssd.errors import InputError
from ssd.media.outputs import fresh, record, save_picture
from ssd.media.sources import ahead, batched, load_batches
from ssd.media.video import VideoWriter, open_video
from ssd.text import one_line


class Annotator:
    """Finds objects in pictures and videos and writes annotated copies of them.

    find: list of PIL images -> list of `Detections`. output: folder of the copies. names: path -> name of its copy.
    batch_size: pictures at a time.
    records: what was found, see `ssd.media.outputs`. n_bad: pictures and videos that could not be read to their end;
    each is named on stderr, and does not stop the others.
    """

    def __init__(self, find, output, names, batch_size=8):
        self.find, self.output, self.names, self.batch_size = find, output, names, batch_size
        self.records, self.n_bad = [], 0

    def pictures(self, paths):
        """Annotate pictures, which are decoded while the network works on those before."""
        with (
            tqdm(total=len(paths), desc="detecting", unit="image") as progress,
            closing(ahead(load_batches(paths, self.batch_size))) as batches,
            ThreadPoolExecutor() as threads,
        ):
            for batch in batches:
                images = {path: image for path, image in batch if not isinstance(image, InputError)}
                self._report(image for _, image in batch if isinstance(image, InputError))
                found = self.find(list(images.values()))
                self.records += threads.map(self._annotate, images, images.values(), found)
                progress.update(len(batch))

    def _annotate(self, path, image, detections):
        name = save_picture(detections.draw(image), self.output / self.names[path])
        return record(path, name, image, detections)

    def video(self, path):
        """Annotate a video, frame by frame."""
        name = self.names[path]
        try:
            with open_video(path) as video, VideoWriter(fresh(self.output / name), video.rate) as copy:
                for number, (seconds, image, detections) in enumerate(self._find_in(video, path.name)):
                    copy.write(detections.draw(image))
                    frame = {"frame": number, "time": round(seconds, 6)}
                    self.records.append(record(path, name, image, detections) | frame)
                if damage := video.damage():
                    raise InputError(f"{path}: {damage}")
        except InputError as error:
            self._report([error])

    def _find_in(self, video, name):
        """Generator of (seconds, PIL image, `Detections`) of each frame, with a progress bar."""
        with (
            tqdm(total=video.n_frames, desc=name, unit="frame") as progress,
            closing(ahead(batched(video.frames(), self.batch_size))) as batches,
        ):
            for batch in batches:
                found = self.find([image for _, image in batch])
                for (seconds, image), detections in zip(batch, found, strict=True):
                    yield seconds, image, detections
                progress.update(len(batch))

    def _report(self, errors):
        for error in errors:
            tqdm.write(one_line(f"error: {error}"), file=sys.stderr)
            self.n_bad += 1

    def summary(self, seconds):
        """In words, what was done in this time."""
        n_found = sum(len(entry["detections"]) for entry in self.records)
        n_frames = sum("frame" in entry for entry in self.records)
        n_pictures = len(self.records) - n_frames
        where = [f"{n_pictures} pictures"] if n_pictures or not n_frames else []
        where += [f"{n_frames} frames"] if n_frames else []
        bad = f"; {self.n_bad} could not be read, named above" if self.n_bad else ""
        return f"{n_found} objects in {' and '.join(where)}, {len(self.records) / seconds:.1f} a second{bad}"
