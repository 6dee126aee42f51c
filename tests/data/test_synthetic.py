"""The drawn data set: boxes against pixels, annotations against the reader, and what the command refuses."""

from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssd.commands.synthetic import main
from ssd.data import synthetic
from ssd.data.formats.records import check_objects
from ssd.data.formats.voc import annotated_objects, read_voc, voc_annotation
from ssd.data.synthetic import CLASSES, SceneObject, draw_background, draw_scene, to_entry, write_dataset
from ssd.errors import InputError


@pytest.fixture(scope="module")
def scenes():
    """A few hundred small pictures with their objects."""
    return [draw_scene(np.random.default_rng([7, i]), size=(120, 90)) for i in range(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "shapes"
    write_dataset(folder, images=10, test_fraction=0.3, seed=5)
    return folder


# Pictures


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
    monkeypatch.setattr(synthetic, "_add_grain", lambda rng, image: image)
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


def test_the_mix_of_pictures(scenes):
    objects = [item for _, scene in scenes for item in scene]
    names = Counter(item.name for item in objects)
    assert set(names) == set(CLASSES) and min(names.values()) > 0.7 * max(names.values())
    assert 0.02 < np.mean([not scene for _, scene in scenes]) < 0.12
    assert 0.02 < np.mean([item.difficult for item in objects]) < 0.2
    assert 0.05 < np.mean([item.truncated for item in objects]) < 0.3
    sides = [max(x1 - x0, y1 - y0) / 90 for x0, y0, x1, y1 in (item.box for item in objects)]
    assert np.mean([0.12 < side < 0.65 for side in sides]) > 0.8
    assert min(sides) < 0.15 and max(sides) > 0.6


def test_truncated_objects_touch_the_border(scenes):
    for image, objects in scenes:
        for item in objects:
            x_min, y_min, x_max, y_max = item.box
            touches = x_min == 0 or y_min == 0 or x_max == image.width or y_max == image.height
            assert touches or not item.truncated


def shape(left, top, width, height, name="square"):
    return synthetic._Shape(name, np.ones((height, width), dtype=bool), left, top)


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
    objects = synthetic.scene_objects(owner_of(shapes), shapes)
    assert [(item.box, item.difficult, item.truncated) for item in objects] == expected


def test_the_box_of_a_truncated_shape_is_tight_around_the_part_inside():
    """A diagonal of five pixels, of which the first three are inside the picture."""
    diagonal = synthetic._Shape("star", np.eye(5, dtype=bool), 17, 2)
    owner = np.full((10, 20), -1)
    owner[[2, 3, 4], [17, 18, 19]] = 0
    assert synthetic.scene_objects(owner, [diagonal]) == [SceneObject("star", (17, 2, 20, 5), False, True)]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("diameter", [10, 57, 300])
def test_masks_are_the_shapes(name, diameter):
    """The area by the shoelace formula, and a frame that cuts nothing off."""
    corners = synthetic.shape_corners(np.random.default_rng(2), name)
    mask = np.asarray(synthetic._polygon_mask(corners, diameter)) / 255
    x, y = corners.T * diameter
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert mask.sum() == pytest.approx(area, rel=0.03 + 1 / diameter)
    width, height = np.ptp(corners, axis=0) * diameter
    seen = mask >= 0.5
    assert abs(seen.any(axis=0).sum() - width) <= 2.5 and abs(seen.any(axis=1).sum() - height) <= 2.5


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match="hexagon"):
        synthetic.shape_corners(np.random.default_rng(0), "hexagon")


# Annotations


def test_annotation_counts_from_one_and_includes_the_last_pixel():
    objects = [SceneObject("star", (0, 0, 100, 50)), SceneObject("circle", (9.6, 20.4, 11.7, 40.2), True, True)]
    root = voc_annotation("a.jpg", to_entry((100, 50), objects), [item.truncated for item in objects]).getroot()
    assert [root.findtext(path) for path in ("filename", "size/width", "size/height", "size/depth")] == [
        *("a.jpg", "100", "50", "3"),
    ]
    rows = [[element.findtext(f"bndbox/{c}") for c in ("xmin", "ymin", "xmax", "ymax")] for element in root[2:]]
    assert rows == [["1", "1", "100", "50"], ["10.6", "21.4", "11.7", "40.2"]]
    flags = [[element.findtext(tag) for tag in ("name", "truncated", "difficult")] for element in root[2:]]
    assert flags == [["star", "0", "0"], ["circle", "1", "1"]]


@st.composite
def boxes_in(draw, width, height):
    x_min, y_min = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
    return x_min, y_min, draw(st.integers(x_min + 2, width)), draw(st.integers(y_min + 2, height))


@given(objects=st.lists(st.builds(SceneObject, st.sampled_from(CLASSES), boxes_in(70, 40), st.booleans()), max_size=5))
@settings(deadline=None)
def test_the_reader_gives_back_what_was_written(objects):
    text = ElementTree.tostring(voc_annotation("a.jpg", to_entry((70, 40), objects)).getroot())
    entry, notes = check_objects((70, 40), annotated_objects(ElementTree.fromstring(text)))
    assert notes == []
    assert entry["names"] == [item.name for item in objects]
    assert entry["boxes"] == [list(item.box) for item in objects]
    assert entry["difficulties"] == [int(item.difficult) for item in objects]


@pytest.mark.parametrize("box", [(5, 5, 6, 9), (5, 5, 9, 5), (-3, 0, 9, 9), (0, 0, 11, 9), (6, 6, 5, 9)])
def test_a_box_that_the_file_cannot_hold_is_refused(box):
    with pytest.raises(InputError, match=r"a\.jpg: the box .* of star"):
        voc_annotation("a.jpg", to_entry((10, 10), [SceneObject("star", box)]))


# The data set


def test_the_folder_reads_back_as_drawn(folder):
    names = [f"shapes_{i:06d}" for i in range(10)]
    assert (folder / "ImageSets/Main/trainval.txt").read_text().split() == names[:7]
    assert (folder / "ImageSets/Main/test.txt").read_text().split() == names[7:]
    start = 0
    for split, n in (("trainval", 7), ("test", 3)):
        images, entries, notes = read_voc(folder, split)
        assert len(images) == n and notes == []
        for i, (path, entry) in enumerate(zip(images, entries, strict=True), start=start):
            drawn, objects = draw_scene(np.random.default_rng([5, i]))
            with Image.open(path) as image:
                assert image.format == "JPEG" and image.size == drawn.size == tuple(entry["size"])
                assert np.abs(np.asarray(image).astype(int) - np.asarray(drawn)).mean() < 10
            assert entry["boxes"] == [list(item.box) for item in objects]
            assert entry["names"] == [item.name for item in objects]
        start += n


def test_a_picture_depends_on_the_seed_and_its_number_alone(folder, tmp_path):
    write_dataset(tmp_path / "fewer", images=3, seed=5)
    write_dataset(tmp_path / "other", images=3, seed=6)
    for i in range(3):
        for file in (f"JPEGImages/shapes_{i:06d}.jpg", f"Annotations/shapes_{i:06d}.xml"):
            assert (tmp_path / "fewer" / file).read_bytes() == (folder / file).read_bytes()
            assert (tmp_path / "other" / file).read_bytes() != (folder / file).read_bytes()


@pytest.mark.parametrize(("fraction", "n_test"), [(0, 0), (0.2, 1), (0.5, 2), (1, 4)])
def test_the_split(tmp_path, fraction, n_test):
    write_dataset(tmp_path, images=4, test_fraction=fraction)
    splits = [(tmp_path / "ImageSets/Main" / f"{split}.txt").read_text().split() for split in ("trainval", "test")]
    assert [len(names) for names in splits] == [4 - n_test, n_test]


# The command


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_command(tmp_path, capsys):
    folder = tmp_path / "new" / "shapes"
    assert main([str(folder), "--images", "4", "--test-fraction", "0.25", "--seed", "2"]) == 0
    assert len(files_of(folder)) == 4 + 4 + 2
    assert capsys.readouterr().out.startswith(f"{folder}: 4 pictures, ")


def test_command_refuses_a_folder_with_something_in_it(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main([str(tmp_path), "--images", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path) in error and "--force" in error
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


def test_force_replaces_a_drawn_data_set(tmp_path):
    assert main([str(tmp_path), "--images", "3"]) == 0
    assert main([str(tmp_path), "--images", "2", "--seed", "1"]) == 2
    assert main([str(tmp_path), "--images", "2", "--seed", "1", "--force"]) == 0
    assert len(files_of(tmp_path)) == 2 + 2 + 2


@pytest.mark.parametrize("part", ["JPEGImages", "Annotations"])
def test_force_leaves_other_data_sets_alone(tmp_path, capsys, part):
    main([str(tmp_path), "--images", "1"])
    (tmp_path / part / "000001.jpg").write_text("a picture of someone's own")
    before = files_of(tmp_path)
    capsys.readouterr()
    assert main([str(tmp_path), "--images", "2", "--force"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "000001.jpg" in error
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    "arguments", [["--images", "0"], ["--images", "many"], ["--test-fraction", "1.5"], ["--seed", "-1"]]
)
def test_command_refuses_bad_arguments(tmp_path, arguments):
    assert main([str(tmp_path / "shapes"), *arguments]) == 2
    assert not (tmp_path / "shapes").exists()


def test_command_refuses_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
