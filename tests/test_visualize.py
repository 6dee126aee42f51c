"""Boxes land on their pixels, tags stay readable and inside, and nothing crashes at any picture size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from ssd.errors import InputError
from ssd.visualize import N_COLOURS, class_colour, draw_boxes, mosaic, thin_out

GREY = (128, 128, 128)
RED = (255, 0, 0)


def grey(width, height):
    return Image.new("RGB", (width, height), GREY)


def pixels_of(image, colour):
    """Rows and columns of the pixels with exactly this colour."""
    return np.nonzero((np.asarray(image) == colour).all(axis=-1))


def extent(image, colour):
    """x_min, y_min, x_max, y_max of the pixels with exactly this colour, continuous."""
    rows, columns = pixels_of(image, colour)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("dashed", [False, True])
@pytest.mark.parametrize("box", [(20, 30, 80, 90), (0, 0, 100, 120), (99, 119, 100, 120), (40, 50, 41, 51)])
def test_the_lines_reach_to_the_box_and_no_further(box, dashed):
    assert extent(draw_boxes(grey(100, 120), [box], colours=[RED], dashed=dashed), RED) == box


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, lambda b: torch.tensor(b, dtype=torch.bfloat16)])
def test_boxes_may_be_a_list_an_array_or_a_tensor(kind):
    assert extent(draw_boxes(grey(100, 100), kind([[20, 30, 80, 90]]), colours=[RED]), RED) == (20, 30, 80, 90)


def test_the_picture_and_the_boxes_are_left_as_they_are():
    image, boxes = grey(60, 60), torch.tensor([[-5.0, 5.0, 70.0, 30.0]])
    annotated = draw_boxes(image, boxes, ["dog"])
    assert annotated.size == image.size and annotated != grey(60, 60)
    assert image == grey(60, 60)
    assert boxes.tolist() == [[-5.0, 5.0, 70.0, 30.0]]


def test_no_boxes_no_change():
    for none in ([], np.zeros((0, 4)), torch.zeros(0, 4)):
        assert draw_boxes(grey(9, 9), none, []) == grey(9, 9)


@pytest.mark.parametrize("box", [(100, 0, 120, 50), (-50, 0, -1, 50), (0, -20, 50, 0), (0, 100, 50, float("inf"))])
def test_a_box_wholly_outside_is_not_drawn(box):
    assert draw_boxes(grey(100, 100), [box], ["dog"]) == grey(100, 100)


def test_a_box_that_reaches_outside_is_closed_at_the_border():
    annotated = draw_boxes(grey(100, 100), [[-float("inf"), -20, 50, 1e12]], colours=[RED])
    assert extent(annotated, RED) == (0, 0, 50, 100)
    assert annotated.getpixel((25, 0)) == RED and annotated.getpixel((25, 99)) == RED


def test_dashed_lines_have_gaps_and_corners():
    annotated = draw_boxes(grey(200, 200), [[20, 20, 180, 180]], colours=[RED], dashed=True)
    top = [annotated.getpixel((x, 20)) == RED for x in range(20, 180)]
    assert top[0] and top[-1] and 0.3 < np.mean(top) < 0.7


def test_the_first_box_lies_on_top():
    blue = (0, 0, 255)
    annotated = draw_boxes(grey(100, 100), [[20, 20, 80, 80]] * 2, colours=[RED, blue])
    assert len(pixels_of(annotated, RED)[0]) and not len(pixels_of(annotated, blue)[0])


def test_a_given_width_is_used():
    annotated = draw_boxes(grey(100, 100), [[20, 20, 80, 80]], colours=[RED], width=7)
    assert [annotated.getpixel((x, 50)) == RED for x in range(19, 29)] == [False] + [True] * 7 + [False] * 2


@given(
    size=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    boxes=st.lists(st.tuples(*[st.floats(-900, 900)] * 2, *[st.floats(0, 900)] * 2), max_size=8),
    label=st.text(max_size=30),
    dashed=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_any_picture_boxes_and_label(size, boxes, label, dashed):
    boxes = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    annotated = draw_boxes(grey(*size), boxes, [label] * len(boxes), dashed=dashed)
    assert annotated.size == size and annotated.mode == "RGB"


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (20, 5000), (5000, 20)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_odd_pictures(size, mode):
    annotated = draw_boxes(Image.new(mode, size), [[0, 0, *size]], ["dog 0.87"], width=50)
    assert annotated.size == size and annotated.mode == "RGB"


@pytest.mark.parametrize("label", ["façade 0.50", "猫", "собака", "عربى", "🐶", "two\nlines", "\udcff\x00", "", None])
def test_labels_beyond_ascii(label):
    assert draw_boxes(grey(200, 100), [[50, 50, 90, 90]], [label]).size == (200, 100)


def test_accents_fall_away():
    draw = [draw_boxes(grey(200, 100), [[50, 50, 90, 90]], [label]) for label in ("façade", "facade", "f?ade")]
    assert draw[0] == draw[1] != draw[2]


def tag_of(box, label, colour, side):
    """The pixels of a tag, (height, width, 3), and its place: what a label changes in the picture."""
    bare, labelled = (draw_boxes(grey(side, side), [box], [text], [colour]) for text in (None, label))
    place = ImageChops.difference(bare, labelled).getbbox()
    return np.asarray(labelled.crop(place)).astype(int), place


@pytest.mark.parametrize(("colour", "text"), [((255, 255, 0), 0), ((90, 0, 140), 255)])
@pytest.mark.parametrize("side", [40, 120, 300, 1000, 3000])
def test_the_text_is_black_or_white_on_a_tag_of_the_boxes_colour(colour, text, side):
    tag, _ = tag_of((0, side // 2, side // 2, side), "dog 0.87", colour, side)
    assert (abs(tag - text).max(axis=-1) < 80).mean() > 0.05  # letters
    assert (tag == colour).all(axis=-1).mean() > 0.3  # on their ground
    assert 8 < len(tag) < 120


def test_text_and_lines_grow_with_the_picture():
    sides = (60, 300, 1000, 3000)
    heights = [len(tag_of((0, side // 2, side // 2, side), "dog", RED, side)[0]) for side in sides]
    assert heights == sorted(set(heights))
    drawn = [draw_boxes(grey(side, side), [(side // 4, 0, side // 2, side)], colours=[RED]) for side in sides]
    widths = [(np.asarray(picture)[picture.height // 2] == RED).all(axis=-1).sum() for picture in drawn]
    assert widths == sorted(widths) and widths[0] < widths[-1]


@pytest.mark.parametrize("box", [(0, 0, 60, 60), (240, 0, 300, 60), (0, 240, 60, 300), (290, 290, 300, 300)])
def test_tags_stay_inside(box):
    _, (x0, y0, x1, y1) = tag_of(box, "tag inside", RED, 300)
    _, (a0, b0, a1, b1) = tag_of((120, 120, 180, 180), "tag inside", RED, 300)
    assert x1 - x0 >= a1 - a0 - 3 and y1 - y0 >= b1 - b0 - 3  # as large as in the middle, but for what covers lines


def test_a_tag_touches_its_box():
    """The place above is taken; the next must not float below a low box."""
    boxes, colours = [[20, 100, 80, 104]] * 2, [RED, (0, 0, 255)]
    first, both = (draw_boxes(grey(300, 300), boxes, labels, colours) for labels in (["dog", ""], ["dog", "dog"]))
    place = ImageChops.difference(first, both).getbbox()
    assert place[1] <= 104 + 1 and place[3] >= 100 and place[0] <= 80 and place[2] >= 20


def test_tags_of_the_same_box_do_not_hide_each_other():
    colours = [class_colour(i) for i in range(6)]
    annotated = draw_boxes(grey(500, 400), [[100, 100, 400, 300]] * 6, ["dog 0.87"] * 6, colours)
    alone = draw_boxes(grey(500, 400), [[100, 100, 400, 300]], ["dog 0.87"], colours[:1])
    tag = len(pixels_of(alone.crop((0, 0, 500, 98)), colours[0])[0])
    assert tag > 300
    for colour in colours:
        assert len(pixels_of(annotated, colour)[0]) >= 0.95 * tag


def test_dashes_of_each_box():
    boxes, colours = [[10, 10, 90, 90], [110, 10, 190, 90]], [RED, (0, 0, 255)]
    mixed, dashed, solid = (
        np.asarray(draw_boxes(grey(200, 100), boxes, colours=colours, dashed=d)) for d in ([True, False], True, False)
    )
    assert (mixed[:, :100] == dashed[:, :100]).all() and (mixed[:, 100:] == solid[:, 100:]).all()
    assert (dashed[:, 100:] != solid[:, 100:]).any()
    with pytest.raises(InputError, match="1 dashes for 2 boxes"):
        draw_boxes(grey(200, 100), boxes, dashed=[True])


@pytest.mark.parametrize(
    ("boxes", "labels", "colours", "message"),
    [
        ([[1, 2, 3]], None, None, r"shape \(1, 3\)"),
        ([1, 2, 3, 4], None, None, r"shape \(4,\)"),
        ([[0, 0, 1, 1], [5, 0, 1, 1]], None, None, r"box 1 is \[5.0, 0.0, 1.0, 1.0\]"),
        ([[0, 0, float("nan"), 1]], None, None, "box 0 is"),
        ([[0, 0, 1, 1]], ["a", "b"], None, "2 labels for 1 boxes"),
        ([[0, 0, 1, 1]], None, [], "0 colours for 1 boxes"),
    ],
)
def test_bad_boxes_are_refused(boxes, labels, colours, message):
    with pytest.raises(InputError, match=message):
        draw_boxes(grey(10, 10), boxes, labels, colours)


def test_class_colours_are_distinct_and_lasting():
    colours = [class_colour(i) for i in range(N_COLOURS)]
    assert N_COLOURS >= 90
    assert all(isinstance(channel, int) and 0 <= channel <= 255 for colour in colours for channel in colour)
    table = np.array(colours)
    distance = np.abs(table[:, None] - table[None]).sum(axis=-1) + 1000 * np.eye(N_COLOURS, dtype=int)
    assert distance[:21, :21].min() >= 60 and distance.min() >= 15
    assert class_colour(N_COLOURS + 3) == class_colour(3)
    assert colours[0] == (255, 60, 60)


def test_mosaic_keeps_order_and_aspect():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]
    sheet = mosaic([Image.new("RGB", (40, 20), colour) for colour in colours], columns=2, tile=100)
    assert sheet.size == (200, 300)
    for i, colour in enumerate(colours):
        row, column = divmod(i, 2)
        x0, y0, x1, y1 = extent(sheet, colour)
        assert 100 * column <= x0 < x1 <= 100 * (column + 1) and 100 * row <= y0 < y1 <= 100 * (row + 1)
        assert x1 - x0 >= 96 and abs((x1 - x0) - 2 * (y1 - y0)) <= 2


@pytest.mark.parametrize(("n", "size"), [(0, (50, 50)), (1, (50, 50)), (3, (150, 50)), (9, (200, 150))])
def test_mosaic_sizes(n, size):
    assert mosaic([Image.new("L", (3, 400))] * n, tile=50).size == size


def test_thinning_keeps_the_extremes():
    y = np.random.default_rng(0).normal(size=10_001)
    y[[137, 9000]] = 50, -50
    x = np.arange(10_001.0)
    few_x, few_y = thin_out(x, y, most=100)
    assert 50 <= len(few_x) <= 100 and (np.diff(few_x) > 0).all()
    assert {137, 9000} <= set(few_x) and (y[few_x.astype(int)] == few_y).all()
    np.testing.assert_array_equal(thin_out(x[:100], y[:100], most=100), (x[:100], y[:100]))
