import pytest
from PIL import Image

from tests.helpers.runs import detections, tracked


@pytest.fixture
def items(tmp_path):
    """Two tracked pictures: one with an object and two detections, one of which is not confident; one with nothing."""
    Image.new("RGB", (320, 160), "gray").save(tmp_path / "a b.png")
    Image.new("RGB", (30, 60), "gray").save(tmp_path / "empty.png")
    found = detections(([200.0, 40, 300, 120], 2, 0.75), ([0.0, 0, 30, 150], 1, 0.1))
    return [
        tracked(tmp_path / "a b.png", found, [[20.0, 30, 120, 130]], [1]),
        tracked(tmp_path / "empty.png", detections()),
    ]
