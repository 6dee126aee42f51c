import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssd.model.boxes import cxcy_to_xy, decode, encode, paired_iou, share_inside, xy_to_cxcy
from tests.helpers import reference

coordinates = st.floats(0.01, 0.99)
centre_size = st.tuples(coordinates, coordinates, coordinates, coordinates)


def test_literals():
    xy = torch.tensor([[0.1, 0.2, 0.5, 0.8]])
    torch.testing.assert_close(xy_to_cxcy(xy), torch.tensor([[0.3, 0.5, 0.4, 0.6]]))
    torch.testing.assert_close(cxcy_to_xy(torch.tensor([[0.3, 0.5, 0.4, 0.6]])), xy)


def test_a_prior_encodes_itself_as_zero():
    prior = torch.tensor([[0.3, 0.5, 0.4, 0.6]])
    torch.testing.assert_close(encode(cxcy_to_xy(prior), prior), torch.zeros(1, 4), rtol=0, atol=1e-6)


def test_paired_iou_by_hand():
    box, empty, reversed_ = [0.0, 0, 4, 4], [2.0, 2, 2, 2], [3.0, 3, 1, 1]
    a = torch.tensor([box, box, box, box, empty, box, reversed_])
    b = torch.tensor([box, [2.0, 0, 6, 4], [4.0, 0, 8, 4], [0.0, 0, 4, 1], empty, reversed_, reversed_])
    assert paired_iou(a, b).tolist() == pytest.approx([1, 1 / 3, 0, 1 / 4, 0, 0, 0])
    assert paired_iou(a[:, None], b).equal(paired_iou(b, a[:, None])) and paired_iou(a[:0], b[:0]).shape == (0,)


def test_share_inside_by_hand():
    box = torch.tensor([0.0, 0, 4, 2])
    regions = torch.tensor(
        [[0.0, 0, 4, 2], [-9.0, -9, 9, 9], [2.0, 0, 9, 2], [3.0, 1, 4, 2], [4.0, 0, 8, 2], [1.0, 1, 1, 1]]
    )
    assert share_inside(box, regions).tolist() == [1, 1, 0.5, 0.125, 0, 0]
    assert share_inside(regions[-1], box).item() == 0  # without area
    assert share_inside(regions, regions[:, None]).shape == (6, 6)


@pytest.mark.parametrize("shape", [(0, 4), (5, 0, 4)])
def test_no_boxes(shape):
    empty = torch.zeros(shape)
    assert encode(empty, empty).shape == decode(empty, empty).shape == shape


@given(st.lists(st.tuples(centre_size, centre_size), min_size=1, max_size=8))
def test_decode_undoes_encode(pairs):
    boxes, priors = (torch.tensor(side, dtype=torch.float64) for side in zip(*pairs, strict=True))
    xy = cxcy_to_xy(boxes)
    torch.testing.assert_close(decode(encode(xy, priors), priors), xy)
    torch.testing.assert_close(xy_to_cxcy(xy), boxes)


@given(centre_size, centre_size, st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)))
def test_encode_follows_the_formula(box, prior, variances):
    corners = reference.to_corners(box)
    ours = encode(torch.tensor(corners, dtype=torch.float64), torch.tensor(prior, dtype=torch.float64), variances)
    torch.testing.assert_close(ours.tolist(), reference.encode(corners, prior, variances))
