import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.model.matching import match
from tests.helpers import reference


def matched(overlaps, threshold=0.5):
    return match(torch.tensor([overlaps]), threshold)[0].tolist()


def test_threshold_is_included():
    assert matched([[0.9, 0.5, 0.49]]) == [0, 0, -1]


def test_every_object_gets_its_best_prior_below_the_threshold_too():
    assert matched([[0.1, 0.3, 0.2]]) == [-1, 0, -1]


def test_a_prior_follows_the_object_it_overlaps_most():
    assert matched([[0.9, 0.6, 0.0], [0.0, 0.7, 0.8]]) == [0, 1, 1]


def test_an_object_keeps_its_best_prior_although_another_overlaps_it_more():
    # prior 0 overlaps object 0 more, but object 0 has a better prior and object 1 has no other
    assert matched([[0.6, 0.9, 0.0], [0.3, 0.0, 0.0]]) == [1, 0, -1]


def test_objects_that_share_a_best_prior_get_one_each_the_higher_overlap_first():
    assert matched([[0.7, 0.2, 0.4], [0.8, 0.3, 0.1]]) == [1, -1, 0]


def test_a_loser_displaces_an_object_that_overlaps_less():
    # object 1 loses prior 0 to object 0, and then takes prior 1 before object 2, whose best prior it is
    assert matched([[0.9, 0.0, 0.0], [0.8, 0.5, 0.0], [0.0, 0.4, 0.1]], 0.95) == [0, 1, 2]


def test_equal_overlaps_go_to_the_lower_index():
    assert matched([[0.3, 0.3], [0.3, 0.3]]) == [0, 1]


def test_more_objects_than_priors():
    assert matched([[0.3], [0.9], [0.5]]) == [1]


def test_objects_without_overlap_and_padding_are_not_matched():
    assert matched([[0.0, 0.0], [-1.0, -1.0]]) == [-1, -1]


def test_no_objects():
    assert match(torch.zeros(2, 0, 5)).tolist() == [[-1] * 5] * 2


def test_argument_is_not_changed():
    overlaps = torch.rand(2, 3, 7)
    copy = overlaps.clone()
    match(overlaps)
    assert torch.equal(overlaps, copy)


levels = st.sampled_from([0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0])  # few, so that many are equal


@settings(max_examples=200)
@given(st.data(), st.integers(1, 5), st.integers(1, 8), st.sampled_from([0.3, 0.5, 0.7]))
def test_against_a_loop(data, n_objects, n_priors, threshold):
    row = st.lists(levels, min_size=n_priors, max_size=n_priors)
    overlaps = data.draw(st.lists(row, min_size=n_objects, max_size=n_objects))
    assert matched(overlaps, threshold) == reference.match(overlaps, threshold)


@pytest.mark.parametrize("seed", range(3))
def test_many_objects_of_few_overlaps_against_a_loop(seed):
    torch.manual_seed(seed)
    overlaps = torch.tensor([0.0, 0.3, 0.7, 0.7 + 2**-24, 1.0])[torch.randint(0, 5, (15, 40))]
    overlaps[5:10] = overlaps[0:1]  # six objects want the same priors, and most priors are equally good
    expected = reference.match(overlaps.tolist(), 0.5)
    assert match(overlaps[None])[0].tolist() == expected


@pytest.mark.parametrize("n_padding", [1, 3])
def test_batch_and_padding_change_nothing(n_padding):
    torch.manual_seed(0)
    few, many = torch.rand(2, 50), torch.rand(2 + n_padding, 50)
    padded = torch.cat([few, torch.full((n_padding, 50), -1.0)])
    together = match(torch.stack([padded, many]))
    assert torch.equal(together[0], match(few[None])[0])
    assert torch.equal(together[1], match(many[None])[0])
