"""The drawn pictures: boxes against pixels."""

from collections import Counter

import numpy as np
import pytest

from ssd.data import scenes as drawing
from ssd.data.formats.records import AnnotatedObject
from ssd.data.scenes import CLASSES, STYLES, draw_background, draw_scene


def draw_scenes(style):
    """A few hundred small pictures with their objects."""
    return [draw_scene(np.random.default_rng([7, i]), (120, 90), STYLES[style]) for i in range(300)]


@pytest.fixture(scope="module")
def scenes():
    return draw_scenes("busy")


def test_the_same_generator_draws_the_same_picture():
    (first, objects), (second, same) = (draw_scene(np.random.default_rng([3, 4])) for _ in range(2))
    assert first == second and objects == same
    assert first != draw_scene(np.random.default_rng([3, 5]))[0] != draw_scene(np.random.default_rng([4, 4]))[0]


def test_sizes_and_modes():
    sizes = [draw_scene(np.random.default_rng([1, i]))[0].size for i in range(20)]
    assert all(240 <= side <= 640 for size in sizes for side in size)
    assert len(set(sizes)) > 10 and any(w > h for w, h in sizes) and any(w < h for w, h in sizes)
    assert draw_scene(np.random.default_rng(0), size=(50, 70))[0].size == (50, 70)


def test_boxes_are_whole_pixels_inside_the_picture(scenes):
    for image, objects in scenes:
        for item in objects:
            x_min, y_min, x_max, y_max = item.box
            assert 0 <= x_min < x_max <= image.width and 0 <= y_min < y_max <= image.height
            assert all(isinstance(number, int) for number in item.box)


def test_a_box_is_as_large_as_what_was_painted(monkeypatch):
    """On pictures with one object: what differs from the same background, but for the faint rim of smooth edges."""
    monkeypatch.setattr(drawing, "_add_grain", lambda rng, image: image)
    compared = Counter()
    for i in range(400):
        image, objects = draw_scene(np.random.default_rng([12, i]), size=(200, 160))
        if len(objects) != 1:
            continue
        background = draw_background(np.random.default_rng([12, i]), (200, 160))
        painted = np.abs(np.asarray(image).astype(int) - np.asarray(background)).max(axis=-1) > 0
        rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
        extent = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(np.subtract(extent, objects[0].box)).max() <= 1
        compared[objects[0].name] += 1
        compared["truncated"] += objects[0].truncated
    assert set(compared) == {*CLASSES, "truncated"} and min(compared.values()) > 5


def test_the_mix_of_busy_pictures(scenes):
    objects = [item for _, scene in scenes for item in scene]
    names = Counter(item.name for item in objects)
    assert set(names) == set(CLASSES) and min(names.values()) > 0.7 * max(names.values())
    assert 0.02 < np.mean([not scene for _, scene in scenes]) < 0.12
    assert 0.02 < np.mean([item.difficult for item in objects]) < 0.2
    assert 0.05 < np.mean([item.truncated for item in objects]) < 0.3
    sides = [max(x1 - x0, y1 - y0) / 90 for x0, y0, x1, y1 in (item.box for item in objects)]
    assert np.mean([0.12 < side < 0.65 for side in sides]) > 0.8
    assert min(sides) < 0.15 and max(sides) > 0.6


def roughness(scenes):
    """The mean difference of neighbouring pixels."""
    return np.mean([np.abs(np.diff(np.asarray(image.convert("L"), dtype=int))).mean() for image, _ in scenes])


def test_plain_pictures_are_easier(scenes):
    plain = draw_scenes("plain")
    objects = [item for _, scene in plain for item in scene]
    assert set(item.name for item in objects) == set(CLASSES)
    assert 0.02 < np.mean([not scene for _, scene in plain]) < 0.12
    assert max(len(scene) for _, scene in plain) == 3 < max(len(scene) for _, scene in scenes)
    assert 0 < np.mean([item.difficult for item in objects]) < 0.03
    assert roughness(plain) < 0.8 * roughness(scenes)  # backgrounds and patterns


def test_truncated_objects_touch_the_border(scenes):
    for image, objects in scenes:
        for item in objects:
            x_min, y_min, x_max, y_max = item.box
            touches = x_min == 0 or y_min == 0 or x_max == image.width or y_max == image.height
            assert touches or not item.truncated


def shape(left, top, width, height, name="square"):
    return drawing._Shape(name, np.ones((height, width), dtype=bool), left, top)


def owner_of(shapes, width=20, height=10):
    """Which of some full rectangles is seen at each pixel, pixel by pixel."""
    owner = np.full((height, width), -1)
    for i, item in enumerate(shapes):
        for y in range(height):
            for x in range(width):
                if 0 <= x - item.left < item.mask.shape[1] and 0 <= y - item.top < item.mask.shape[0]:
                    owner[y, x] = i
    return owner


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([], []),
        ([shape(2, 3, 4, 5)], [((2, 3, 6, 8), False, False)]),
        ([shape(0, 0, 20, 10)], [((0, 0, 20, 10), False, False)]),
        ([shape(-2, 0, 4, 4)], [((0, 0, 2, 4), False, True)]),  # just half is seen
        ([shape(-3, 0, 4, 4)], [((0, 0, 1, 4), True, True)]),
        ([shape(18, 8, 4, 4)], [((18, 8, 20, 10), True, True)]),
        ([shape(2, 2, 4, 4), shape(3, 2, 4, 4)], [((2, 2, 6, 6), True, False), ((3, 2, 7, 6), False, False)]),
        ([shape(2, 2, 4, 4), shape(4, 2, 4, 4)], [((2, 2, 6, 6), False, False), ((4, 2, 8, 6), False, False)]),
        ([shape(2, 2, 4, 4), shape(1, 1, 6, 6)], [((1, 1, 7, 7), False, False)]),  # the first is wholly hidden
        ([shape(25, 2, 4, 4)], []),
    ],
)
def test_what_is_annotated(shapes, expected):
    objects = drawing.scene_objects(owner_of(shapes), shapes)
    assert [(item.box, item.difficult, item.truncated) for item in objects] == expected


def test_the_box_of_a_truncated_shape_is_tight_around_the_part_inside():
    """A diagonal of five pixels, of which the first three are inside the picture."""
    diagonal = drawing._Shape("star", np.eye(5, dtype=bool), 17, 2)
    owner = np.full((10, 20), -1)
    owner[[2, 3, 4], [17, 18, 19]] = 0
    assert drawing.scene_objects(owner, [diagonal]) == [AnnotatedObject("star", (17, 2, 20, 5), truncated=True)]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("diameter", [10, 57, 300])
def test_masks_are_the_shapes(name, diameter):
    """The area by the shoelace formula, and a frame that cuts nothing off."""
    corners = drawing.shape_corners(np.random.default_rng(2), name)
    mask = np.asarray(drawing._polygon_mask(corners, diameter)) / 255
    x, y = corners.T * diameter
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert mask.sum() == pytest.approx(area, rel=0.03 + 1 / diameter)
    width, height = np.ptp(corners, axis=0) * diameter
    seen = mask >= 0.5
    assert abs(seen.any(axis=0).sum() - width) <= 2.5 and abs(seen.any(axis=1).sum() - height) <= 2.5


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match="hexagon"):
        drawing.shape_corners(np.random.default_rng(0), "hexagon")
