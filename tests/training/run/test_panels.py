import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssd import SSDConfig
from ssd.data import PascalVOCDataset, collate
from ssd.data.images import normalise
from ssd.errors import InputError
from ssd.training.run import panels
from ssd.visualize import CROWD, class_colour
from tests.helpers.runs import NAMES, detections, tracked


def pixels_of(picture, colour):
    """(x, y) extents of the pixels of a colour: x_min, y_min, x_max, y_max; None where there are none."""
    rows, columns = np.nonzero((np.asarray(picture) == colour).all(axis=-1))
    return (columns.min(), rows.min(), columns.max(), rows.max()) if len(rows) else None


@given(st.integers(0, 5000), st.integers(1, 20))
def test_tracked_pictures_lie_evenly(n_images, n):
    places = panels.tracked_pictures(n_images, n)
    assert len(places) == min(n_images, n) == len(set(places))
    assert all(isinstance(place, int) and 0 <= place < n_images for place in places)
    gaps = np.diff(places)
    assert not len(gaps) or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1 and places[-1] == n_images - 1)


def test_tracked_pictures_by_hand():
    assert panels.tracked_pictures(15) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert panels.tracked_pictures(3) == [0, 1, 2]
    assert panels.tracked_pictures(0) == []


def test_a_panel_by_hand(items):
    drawn = panels.draw_panel(items[0], NAMES)
    assert drawn.size == (640, 320)  # twice the picture
    x_min, _, x_max, y_max = pixels_of(drawn, panels.HIT)
    assert (x_min, x_max, y_max) == (400, 599, 239)  # the other is not confident
    x_min, _, x_max, y_max = pixels_of(drawn, panels.TRUTH)
    assert (x_min, x_max, y_max) == (40, 239, 259)
    lower_edge = np.asarray(drawn)[259, 40:240]
    assert 0.3 < (lower_edge == panels.TRUTH).all(axis=-1).mean() < 0.9  # dashed
    assert (np.asarray(drawn)[239, 400:600] == panels.HIT).all()  # solid


def test_a_panel_without_anything_is_the_picture(items):
    drawn = panels.draw_panel(items[1], NAMES)
    assert drawn.size == (320, 640) and len(drawn.getcolors()) == 1


def test_the_tags_of_object_and_detection_do_not_hide_each_other(tmp_path):
    Image.new("RGB", (640, 480), "gray").save(tmp_path / "0.png")
    box = [100.0, 100, 300, 300]
    found = detections((box, 2, 0.9))
    drawn = panels.draw_panel(tracked(tmp_path / "0.png", found, [box], [2]), NAMES)
    alone = panels.draw_panel(tracked(tmp_path / "0.png", found), NAMES)
    inside_tag = [np.asarray(picture)[:96] for picture in (drawn, alone)]  # above the box there are tags only
    areas = [(part == panels.HIT).all(axis=-1).sum() for part in inside_tag]
    assert areas[0] == areas[1] > 300
    assert (inside_tag[0] == panels.TRUTH).all(axis=-1).sum() > 200


def test_a_missing_picture_is_named(items):
    with pytest.raises(InputError, match="gone.png"):
        panels.draw_panel(tracked("gone.png", detections()), NAMES)


def test_the_validation_sheet_has_every_panel(items):
    sheet = panels.draw_validation(items, NAMES, 1200)
    assert sheet.size == (2 * panels.VALIDATION_TILE, panels.HEADER + panels.VALIDATION_TILE)
    header, tiles = sheet.crop((0, 0, sheet.width, panels.HEADER)), sheet.crop((0, panels.HEADER, *sheet.size))
    for colour in (panels.TRUTH, panels.HIT):  # the legend
        assert pixels_of(header, colour)
    assert pixels_of(tiles, panels.HIT)[2] < panels.VALIDATION_TILE  # the first picture has boxes, not the second
    assert pixels_of(tiles.crop((panels.VALIDATION_TILE, 0, *tiles.size)), (128, 128, 128))
    assert panels.draw_validation([], NAMES, 0).size == (panels.VALIDATION_TILE, panels.HEADER + panels.VALIDATION_TILE)


def test_a_batch_by_hand():
    config = SSDConfig.caffe(class_names=NAMES)
    colours = [(10, 20, 30), (200, 150, 100)]
    images = [normalise(Image.new("RGB", (300, 300), colour), config) for colour in colours]
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)
    one = torch.tensor([[0.1, 0.5, 0.4, 0.9]]), torch.tensor([2]), torch.tensor([True])
    sheet = panels.draw_batch(zip(*collate([(images[0], *one), (images[1], *none)]), strict=True), config)
    assert sheet.size == (604, 302)
    first, second = sheet.crop((1, 1, 301, 301)), sheet.crop((303, 1, 603, 301))
    assert second.getcolors() == [(300 * 300, colours[1])]
    assert first.getpixel((299, 299)) == colours[0]
    assert pixels_of(first.crop((0, 160, 300, 300)), class_colour(2)) == (30, 0, 119, 109)  # below the tag
    assert one[0].tolist() == torch.tensor([[0.1, 0.5, 0.4, 0.9]]).tolist()


def test_a_batch_shows_the_first_sixteen(data_folder, tmp_path):
    dataset = PascalVOCDataset(data_folder, "train", augment=True)
    sheet = panels.draw_batch((dataset[0, k % len(dataset)] for k in range(20)), dataset.config)
    assert sheet.size == (4 * 302, 4 * 302)
    panels.write_jpeg(sheet, tmp_path / "train_batch.jpg")
    with Image.open(tmp_path / "train_batch.jpg") as saved:
        assert saved.format == "JPEG" and saved.size == sheet.size


def test_a_batch_shows_its_crowds():
    config = SSDConfig.caffe(class_names=NAMES)
    image = normalise(Image.new("RGB", (300, 300), (10, 20, 30)), config)
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)
    sheet = panels.draw_batch([(image, *none, torch.tensor([[0.1, 0.5, 0.4, 0.9]]))], config)
    edge = np.asarray(sheet.crop((1, 1, 301, 301)))[269, 30:120]
    assert 0.3 < (edge == CROWD).all(axis=-1).mean() < 0.9  # dashed
