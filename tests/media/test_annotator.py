"""The annotator over pictures."""

from pathlib import Path

from ssd.media.annotator import Annotator
from ssd.media.outputs import output_names
from ssd.media.sources import find_sources
from tests.helpers.fixed_detector import FixedDetector, run


def test_interrupted(fixed, photos, tmp_path, capsys, monkeypatch):
    find = FixedDetector.__call__

    def interrupt(self, images, **options):
        if self.batches:
            raise KeyboardInterrupt
        return find(self, images, **options)

    monkeypatch.setattr(FixedDetector, "__call__", interrupt)
    status, records, copies = run(tmp_path / "out", photos, "--recursive", "--batch-size", 3)
    assert status == 130
    assert len(records) == len(copies) == 3  # what was done is kept


def test_annotator_counts_across_calls(photos, tmp_path):
    fixed = FixedDetector()
    pictures = find_sources([photos])[0]
    annotator = Annotator(lambda images: [fixed.find(image) for image in images], tmp_path, output_names(pictures))
    annotator.pictures(pictures[:1])
    annotator.pictures([photos / "lost.jpg", *pictures[1:]])
    assert [Path(entry["image"]).name for entry in annotator.records] == ["a.PNG", "b.jpg"]
    assert annotator.n_bad == 1
    assert annotator.summary(0.5) == "2 objects in 2 pictures, 4.0 a second; 1 could not be read, named above"
