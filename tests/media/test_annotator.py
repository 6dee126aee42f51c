"""The annotator over pictures."""

import threading
from functools import partial
from pathlib import Path

from PIL import Image

from ssd.media.annotator import Annotator, summary
from ssd.media.outputs import output_names
from ssd.media.sources import find_sources
from tests.helpers.fixed_detector import FixedDetector, run


def test_interrupted(fixed, photos, tmp_path, capsys, monkeypatch):
    find = FixedDetector.find

    def interrupt(self, images, **options):
        if self.batches:
            raise KeyboardInterrupt
        return find(self, images, **options)

    monkeypatch.setattr(FixedDetector, "find", interrupt)
    status, records, copies = run(tmp_path / "out", photos, "--recursive", "--batch-size", 3)
    assert status == 130
    assert len(records) == len(copies) == 3  # what was done is kept


def annotator_of(fixed, tmp_path, pictures, batch_size=8):
    """An annotator, and the list that it writes its journal to."""
    find, lines = partial(fixed.find, min_score=0.2, max_overlap=0.45, top_k=200), []
    return Annotator(fixed.prepare, find, tmp_path, output_names(pictures), lines.append, batch_size), lines


def test_annotator_counts_across_calls(photos, tmp_path):
    pictures = find_sources([photos])[0]
    annotator, lines = annotator_of(FixedDetector(), tmp_path, pictures)
    annotator.pictures(pictures[:1])
    annotator.pictures([photos / "lost.jpg", *pictures[1:]])
    assert [Path(entry["image"]).name for entry in lines] == ["a.PNG", "b.jpg"]
    assert annotator.counts["bad"] == 1
    assert summary(annotator.counts, 0.5) == "2 objects in 2 pictures, 4.0 a second; 1 could not be read, named above"


class Watched(FixedDetector):
    """Looks at a batch only when the pictures after it are prepared and copies of those before it are written."""

    def __init__(self, copies, n_pictures):
        super().__init__()
        self.copies, self.n_pictures, self.n_prepared, self.n_found = copies, n_pictures, 0, 0
        self.changed = threading.Condition()
        self.most_held = 0

    def prepare(self, image):
        with self.changed:
            self.n_prepared += 1
            self.most_held = max(self.most_held, self.n_prepared - len(list(self.copies.glob("*.jpg"))))
            self.changed.notify()
        return image

    def find(self, images, **thresholds):
        following = min(self.n_found + 2 * len(images), self.n_pictures)
        with self.changed:
            assert self.changed.wait_for(lambda: self.n_prepared >= following, timeout=60)
        while len(list(self.copies.glob("*.jpg"))) < self.n_found:
            threading.Event().wait(0.01)
        self.n_found += len(images)
        return super().find(images, **thresholds)


def test_reading_finding_and_writing_at_the_same_time(tmp_path):
    copies = tmp_path / "copies"
    copies.mkdir()
    pictures = [tmp_path / f"{k}.png" for k in range(20)]
    for path in pictures:
        Image.new("RGB", (8, 8)).save(path)
    watched = Watched(copies, len(pictures))
    annotator, lines = annotator_of(watched, copies, pictures, batch_size=2)
    annotator.pictures(pictures)
    assert [entry["image"] for entry in lines] == list(map(str, pictures))
    assert watched.batches == [2] * 10
    assert watched.most_held <= 8  # however many there are
