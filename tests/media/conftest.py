"""A detector that is quick and predictable, and pictures for it."""

import pytest
from PIL import Image

from ssd.commands import detect
from tests.helpers.fixed_detector import FixedDetector


@pytest.fixture
def fixed(monkeypatch):
    detector = FixedDetector()
    monkeypatch.setattr(detect, "load_trained", lambda *args, **options: None)
    monkeypatch.setattr(detect, "Detector", lambda *args: detector)
    return detector


@pytest.fixture
def photos(tmp_path):
    """A tree of pictures: two in the folder, two below it, and what is none."""
    folder = tmp_path / "my photos"
    for name in ("b.jpg", "a.PNG", "inside/c.jpg", "inside/deeper/a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "blue").save(folder / name)
    (folder / "album.jpg").mkdir()
    (folder / "notes.md").write_text("no picture")
    (folder / ".hidden.jpg").write_text("no picture")
    return folder
