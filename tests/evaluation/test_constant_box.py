"""What the same boxes in every picture reach, counted by hand."""

import pytest
import torch

from ssd.data import write_data_lists
from ssd.evaluation.constant_box import constant_box_map, constant_boxes
from tests.helpers.voc_folders import data_list

MIDDLE, CORNER = [25, 25, 75, 75], [0, 0, 10, 10]  # of a picture of 100 x 100


def one_each(*objects, names=("cat", "dog")):
    """A data list with one object, (label, box) or (label, box, 1) for a difficult one, in each picture."""
    entries = [
        {"size": [100, 100], "boxes": [box], "labels": [label], "difficulties": list(difficult) or [0]}
        for label, box, *difficult in objects
    ]
    return data_list([f"{k}.jpg" for k in range(len(objects))], entries, names)


def floor(folder, train, data):
    write_data_lists(folder, train=train, test=data)
    return constant_box_map(folder, data)


def test_the_box_that_fits_most_objects():
    """As fractions of pictures of any size, and not a mean, which may fit none."""
    data = one_each((1, MIDDLE), (1, [26, 25, 75, 75]), (1, [25, 25, 74, 75]), (1, CORNER), (1, CORNER), (2, CORNER))
    data.sizes[5] = 200, 50
    boxes = constant_boxes(data)
    torch.testing.assert_close(boxes, {1: torch.tensor([0.25, 0.25, 0.75, 0.75]), 2: torch.tensor([0, 0, 0.05, 0.2])})


def test_the_floor_of_one_class(tmp_path):
    train = one_each((1, MIDDLE), (1, MIDDLE), (1, CORNER))
    assert floor(tmp_path, train, one_each(*[(1, MIDDLE)] * 5)) == pytest.approx(1)
    assert floor(tmp_path, train, one_each(*[(1, CORNER)] * 5)) == 0
    mixed = floor(tmp_path, train, one_each(*[(1, MIDDLE), (1, CORNER)] * 500))
    assert mixed == pytest.approx(0.5 * 6 / 11, abs=0.03)  # precision 0.5 at the recalls 0, 0.1, ..., 0.5


def test_a_list_sorted_by_class_is_no_easier(tmp_path):
    data = one_each(*[(1, MIDDLE)] * 500, *[(2, MIDDLE)] * 500)
    assert floor(tmp_path, data, data) == pytest.approx(0.5, abs=0.05)


def test_no_floor(tmp_path):
    one, none = one_each((1, MIDDLE)), one_each(names=("cat", "dog"))
    two = {"size": [100, 100], "boxes": [MIDDLE, CORNER], "labels": [1, 1], "difficulties": [0, 0]}
    several, empty = data_list(["a.jpg"], [two], ("cat", "dog")), data_list([], [], ("cat", "dog"))
    for train, data in ((one, several), (one, one_each((1, MIDDLE, 1))), (one, empty), (none, one)):
        assert floor(tmp_path, train, data) is None
    assert floor(tmp_path, one, one) == pytest.approx(1)
    (tmp_path / "TRAIN_images.json").unlink()
    assert constant_box_map(tmp_path, one) is None
