import pytest
import torch

from ssd import MultiBoxLoss, SSDConfig, create_prior_boxes
from ssd.config import VARIANCES
from ssd.model.boxes import cxcy_to_xy
from ssd.model.loss import Figures, padded, prior_targets
from tests.helpers import reference

N_CLASSES = 4


def random_boxes(n):
    centre_size = torch.rand(n, 4) * torch.tensor([0.6, 0.6, 0.5, 0.5]) + torch.tensor([0.2, 0.2, 0.03, 0.03])
    return cxcy_to_xy(centre_size).clamp(0, 1)


def random_batch(n_objects, n_priors=60, seed=0):
    torch.manual_seed(seed)
    priors = torch.rand(n_priors, 4) * torch.tensor([1, 1, 0.5, 0.5]) + torch.tensor([0, 0, 0.05, 0.05])
    locs = torch.randn(len(n_objects), n_priors, 4)
    scores = 3 * torch.randn(len(n_objects), n_priors, N_CLASSES)
    boxes = [random_boxes(n) for n in n_objects]
    labels = [torch.randint(1, N_CLASSES, (n,)) for n in n_objects]
    return priors, locs.requires_grad_(), scores.requires_grad_(), boxes, labels


def targets(boxes, labels, priors):
    return prior_targets(boxes, labels, priors, 0.5, VARIANCES)


@pytest.mark.parametrize("n_objects", [[1], [3, 0, 1], [2, 7], [0, 0, 30]])
@pytest.mark.parametrize("options", [{}, {"threshold": 0.3, "neg_pos_ratio": 1, "alpha": 2.5}])
def test_against_a_loop(n_objects, options):
    priors, locs, scores, boxes, labels = random_batch(n_objects)
    loss = MultiBoxLoss(priors, **options)(locs, scores, boxes, labels)
    plain = [locs.tolist(), scores.tolist(), [b.tolist() for b in boxes], [lb.tolist() for lb in labels]]
    expected = reference.multibox_loss(*plain, priors.tolist(), **options)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_full_prior_table_against_a_loop():
    torch.manual_seed(1)
    priors = create_prior_boxes(SSDConfig())
    locs, scores = torch.randn(2, 8732, 4), torch.randn(2, 8732, N_CLASSES)
    boxes, labels = [random_boxes(3), random_boxes(1)], [torch.tensor([1, 3, 2]), torch.tensor([2])]
    plain = [locs.tolist(), scores.tolist(), [b.tolist() for b in boxes], [lb.tolist() for lb in labels]]
    expected = reference.multibox_loss(*plain, priors.tolist())
    assert MultiBoxLoss(priors)(locs, scores, boxes, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_objects", [[1], [3, 0, 1]])
@pytest.mark.parametrize("n_ignored", [3, 6])
def test_ignored_regions_against_a_loop(n_objects, n_ignored):
    priors, locs, scores, boxes, labels = random_batch(n_objects)
    ignored = [random_boxes(n_ignored if k != 1 else 0) for k in range(len(n_objects))]
    criterion = MultiBoxLoss(priors)
    loss = criterion(locs, scores, boxes, labels, ignored)
    plain = [locs.tolist(), scores.tolist(), [b.tolist() for b in boxes], [lb.tolist() for lb in labels]]
    expected = reference.multibox_loss(*plain, priors.tolist(), ignored=[b.tolist() for b in ignored])
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert criterion(locs, scores, boxes, labels, padded(ignored)) == loss < criterion(locs, scores, boxes, labels)


def test_a_prior_with_half_its_area_in_a_region_is_no_negative_and_positives_stay():
    square = [0.5, 0.5, 0.25, 0.25]
    priors = torch.tensor([square, [0.0, 0.5, 0.5, 0.5], [0.0, 0.5, 0.5, 0.5], [0.875, 0.875, 0.25, 0.25]])
    locs, scores = torch.zeros(1, 4, 4), torch.tensor([[[0.0, 0], [0, 2], [0, 3], [0, 1]]], requires_grad=True)
    boxes, labels = [cxcy_to_xy(torch.tensor([square]))], [torch.tensor([1])]
    loss = MultiBoxLoss(priors)(locs, scores, boxes, labels, [torch.tensor([[0.0, 0.0, 0.75, 1.0]])])
    loss.backward()
    assert (scores.grad[0] != 0).any(dim=1).tolist() == [True, False, False, True]
    for right, counts in ((0.0, False), (-0.01, True)):  # half of the second and third is outside the picture
        region = torch.tensor([[right - 1, 0.0, right, 1.0]])
        assert (MultiBoxLoss(priors)(locs, scores, boxes, labels, [region]) > loss + 1).item() is counts


@pytest.mark.parametrize("ignored", [torch.zeros(2, 1, 4), torch.zeros(2, 0, 4), [torch.zeros(0, 4)] * 2])
def test_without_regions_everything_stays_as_it_is(ignored):
    priors, locs, scores, boxes, labels = random_batch([3, 1])
    criterion = MultiBoxLoss(priors)
    expected = criterion(locs, scores, boxes, labels)
    gradient = torch.autograd.grad(expected, scores)[0]
    loss = criterion(locs, scores, boxes, labels, ignored)
    assert loss == expected and torch.equal(torch.autograd.grad(loss, scores)[0], gradient)
    assert criterion.measure(locs, scores, boxes, labels, ignored) == criterion.measure(locs, scores, boxes, labels)


def test_hard_negatives_are_those_of_the_largest_losses():
    priors, locs, scores, boxes, labels = random_batch([2, 0, 9])
    losses = MultiBoxLoss(priors).per_prior(locs, scores, boxes, labels)
    for conf, positive, hard in zip(losses.conf, losses.positive, losses.hard_negative, strict=True):
        n_hard = min(3 * positive.sum().item(), (~positive).sum().item())
        assert not (hard & positive).any() and hard.sum().item() == n_hard
        assert conf[hard].sort(descending=True).values.equal(conf[~positive].sort(descending=True).values[:n_hard])


def test_ignored_priors_are_never_hard_negatives():
    priors, locs, scores, boxes, labels = random_batch([9])
    whole = [torch.tensor([[0.0, 0, 1, 1]])]
    losses = MultiBoxLoss(priors, neg_pos_ratio=len(priors)).per_prior(locs, scores, boxes, labels, whole)
    assert (losses.conf == 0).any()  # those that are ignored
    assert not (losses.hard_negative & (losses.conf == 0)).any()


@pytest.mark.parametrize("n_objects", [[0], [0, 0, 0]])
def test_no_objects_at_all(n_objects):
    priors, locs, scores, boxes, labels = random_batch(n_objects)
    loss = MultiBoxLoss(priors)(locs, scores, boxes, labels)
    loss.backward()
    assert loss.item() == 0
    assert locs.grad.count_nonzero() == scores.grad.count_nonzero() == 0


def test_an_image_without_objects_changes_nothing():
    priors, locs, scores, boxes, labels = random_batch([2, 0])
    criterion = MultiBoxLoss(priors)
    alone = criterion(locs[:1], scores[:1], boxes[:1], labels[:1])
    torch.testing.assert_close(criterion(locs, scores, boxes, labels), alone)


def test_perfect_predictions_cost_nothing():
    priors, _, _, boxes, labels = random_batch([3, 2])
    criterion = MultiBoxLoss(priors)
    true_locs, true_classes = targets(boxes, labels, priors)
    scores = 100 * torch.nn.functional.one_hot(true_classes, N_CLASSES).float()
    assert criterion(true_locs, scores, boxes, labels).item() == pytest.approx(0, abs=1e-6)


def test_sums_add_up_over_parts_of_a_batch():
    priors, locs, scores, boxes, labels = random_batch([3, 1, 0, 2])
    criterion = MultiBoxLoss(priors, alpha=2.0)
    whole = criterion(locs, scores, boxes, labels)
    halves = [criterion.sums(locs[h], scores[h], boxes[h], labels[h]) for h in (slice(0, 2), slice(2, 4))]
    loc_sum, conf_sum, n_positives = (sum(part) for part in zip(*halves, strict=True))
    torch.testing.assert_close((conf_sum + 2 * loc_sum) / n_positives, whole)


def test_gradients_reach_positives_and_hard_negatives_only():
    priors, locs, scores, boxes, labels = random_batch([2])
    criterion = MultiBoxLoss(priors)
    criterion(locs, scores, boxes, labels).backward()
    _, true_classes = targets(boxes, labels, priors)
    n_positives = (true_classes > 0).sum().item()
    assert ((locs.grad != 0).any(dim=2) == (true_classes > 0)).all()
    assert (scores.grad != 0).any(dim=2).sum().item() == 4 * n_positives


def test_a_box_without_area_is_finite():
    priors, locs, scores, _, _ = random_batch([1])
    loss = MultiBoxLoss(priors)(locs, scores, [torch.tensor([[0.5, 0.5, 0.5, 0.5]])], [torch.tensor([1])])
    loss.backward()
    assert loss.isfinite()
    assert locs.grad.isfinite().all()


def test_low_precision_predictions_give_a_float32_loss():
    priors, locs, scores, boxes, labels = random_batch([2, 1])
    loss = MultiBoxLoss(priors)(locs.bfloat16(), scores.bfloat16(), boxes, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, MultiBoxLoss(priors)(locs, scores, boxes, labels), rtol=0.02, atol=0)


def test_boxes_and_labels_must_fit():
    priors, locs, scores, boxes, labels = random_batch([2, 1])
    with pytest.raises(ValueError, match=r"\[2, 1\] boxes but \[1, 2\] labels per image"):
        MultiBoxLoss(priors)(locs, scores, boxes, labels[::-1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_gives_the_same_loss():
    priors, locs, scores, boxes, labels = random_batch([3, 0, 5])
    expected = MultiBoxLoss(priors)(locs, scores, boxes, labels)
    gpu = MultiBoxLoss(priors.cuda())(locs.cuda(), scores.cuda(), [b.cuda() for b in boxes], [x.cuda() for x in labels])
    torch.testing.assert_close(gpu.cpu(), expected)


def test_figures_of_perfect_predictions():
    priors, _, _, boxes, labels = random_batch([3, 0, 2])
    true_locs, true_classes = targets(boxes, labels, priors)
    scores = 100 * torch.nn.functional.one_hot(true_classes, N_CLASSES).float()
    figures = MultiBoxLoss(priors).measure(true_locs, scores, boxes, labels)
    n_positives = (true_classes > 0).sum().item()
    assert figures.n_positives.item() == figures.n_correct.item() == n_positives > 0
    assert figures.iou_sum.item() == pytest.approx(n_positives, rel=1e-5)
    assert figures.loc_sum.item() == 0


def test_figures_include_the_sums_and_survive_packing():
    priors, locs, scores, boxes, labels = random_batch([2, 0, 5])
    criterion = MultiBoxLoss(priors)
    figures = criterion.measure(locs, scores, boxes, labels)
    assert figures[:3] == criterion.sums(locs, scores, boxes, labels)
    assert Figures(*figures.pack()) == figures
    assert criterion.measure(locs, scores, padded(boxes), padded(labels)) == figures
