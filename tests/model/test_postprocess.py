import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.ops import batched_nms

from ssd import SSD300, SSDConfig, create_prior_boxes, detect_objects
from ssd.model import postprocess
from ssd.model.boxes import cxcy_to_xy
from tests.helpers import reference

EVALUATION = {"min_score": 0.01, "max_overlap": 0.45, "top_k": 200}


def random_predictions(n_images=1, n_priors=80, n_classes=5, seed=0):
    torch.manual_seed(seed)
    priors = torch.rand(n_priors, 4) * torch.tensor([1, 1, 0.4, 0.4]) + torch.tensor([0, 0, 0.1, 0.1])
    return torch.randn(n_images, n_priors, 4), 2 * torch.randn(n_images, n_priors, n_classes), priors


def certain(labels, n_classes=3):
    """Logits that give each prior its label with a score near 1, a little less from prior to prior."""
    scores = torch.zeros(1, len(labels), n_classes)
    for prior, label in enumerate(labels):
        scores[0, prior, label] = 20 - 0.1 * prior
    return scores


@pytest.mark.parametrize("settings", [
    EVALUATION, {"min_score": 0.3, "max_overlap": 0.1, "top_k": 7}, {"min_score": 0.0, "max_overlap": 1.0, "top_k": 50},
    {**EVALUATION, "max_per_class": 5},
])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_against_a_loop(settings, seed):
    locs, scores, priors = random_predictions(seed=seed)
    boxes, labels, confidences = detect_objects(locs, scores, priors, **settings)
    expected = reference.detect(locs[0].tolist(), scores[0].tolist(), priors.tolist(), **settings)
    assert labels[0].tolist() == [label for _, label, _ in expected]
    torch.testing.assert_close(confidences[0], torch.tensor([score for score, _, _ in expected]))
    torch.testing.assert_close(boxes[0], torch.tensor([box for _, _, box in expected]), rtol=1e-5, atol=1e-6)


def test_a_score_for_each_label():
    locs, scores, priors = random_predictions(n_images=2)
    least = torch.tensor([0.0, 0.2, 1.0, 0.5, 0.2])
    found = detect_objects(locs, scores, priors, least, 0.45, 200)
    usual = detect_objects(locs, scores, priors, 0.2, 0.45, 200)
    for tensors, all_tensors in zip(found, usual, strict=True):
        for own, every, labels, confidences in zip(tensors, all_tensors, *usual[1:], strict=True):
            assert 0 < len(own) < len(every) and torch.equal(own, every[confidences > least[labels]])


@pytest.mark.parametrize("top_k, max_overlap", [(1, 0.45), (5, 0.2), (40, 0.3)])
def test_many_candidates_of_which_few_remain(top_k, max_overlap):
    locs, scores, priors = random_predictions(n_priors=300, n_classes=4)
    priors[:, :2] = 0.4 + priors[:, :2] * 0.2  # crowded: thousands of comparisons for a handful of detections
    boxes, labels, _ = detect_objects(0.3 * locs, scores, priors, 0.01, max_overlap, top_k, max_per_class=250)
    found = (0.3 * locs[0]).tolist(), scores[0].tolist(), priors.tolist()
    expected = reference.detect(*found, 0.01, max_overlap, top_k, max_per_class=250)
    assert labels[0].tolist() == [label for _, label, _ in expected]
    torch.testing.assert_close(boxes[0], torch.tensor([box for _, _, box in expected]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("top_k, max_per_class", [(200, 400), (9, 400), (200, 7)])
def test_equal_scores_and_equal_boxes_against_a_loop(top_k, max_per_class):
    locs, scores, priors = (tensor.clone() for tensor in random_predictions(n_priors=90))
    for half in (locs[0], scores[0], priors):
        half[45:] = half[:45].clone()  # every prediction twice
    locs[0, 70:], priors[70:, :2] = 0, torch.rand(20, 2)  # some of them elsewhere
    settings = {"min_score": 0.05, "max_overlap": 0.45, "top_k": top_k, "max_per_class": max_per_class}
    boxes, labels, _ = detect_objects(locs, scores, priors, **settings)
    expected = reference.detect(locs[0].tolist(), scores[0].tolist(), priors.tolist(), **settings)
    assert labels[0].tolist() == [label for _, label, _ in expected]
    torch.testing.assert_close(boxes[0], torch.tensor([box for _, _, box in expected]), rtol=1e-5, atol=1e-6)


def test_equal_scores_lower_label_first_then_lower_prior():
    priors = torch.tensor([[0.1 + 0.013 * k, 0.5, 0.01, 0.01] for k in range(60)])  # side by side
    predictions = torch.zeros(1, 60, 4), torch.zeros(1, 60, 4)
    boxes, labels, _ = detect_objects(*predictions, priors, 0.1, 0.45, 100)
    assert labels[0].tolist() == [1] * 60 + [2] * 40
    places = torch.cat([torch.arange(60), torch.arange(40)])
    torch.testing.assert_close(boxes[0], cxcy_to_xy(priors)[places].clamp(0, 1))
    boxes, labels, _ = detect_objects(*predictions, priors, 0.1, 0.45, 100, max_per_class=7)
    assert labels[0].tolist() == [1] * 7 + [2] * 7 + [3] * 7
    torch.testing.assert_close(boxes[0], cxcy_to_xy(priors)[:7].repeat(3, 1).clamp(0, 1))


def test_an_image_does_not_depend_on_its_batch():
    locs, scores, priors = random_predictions(n_images=5, n_priors=400, n_classes=21)
    together = detect_objects(locs, scores, priors, **EVALUATION)
    for k in range(5):
        alone = detect_objects(locs[k : k + 1], scores[k : k + 1], priors, **EVALUATION)
        assert all(torch.equal(many[k], one[0]) for many, one in zip(together, alone, strict=True))


def test_nothing_found():
    locs, _, priors = random_predictions(n_images=2)
    boxes, labels, scores = detect_objects(locs, certain([0] * 80).expand(2, -1, -1), priors, **EVALUATION)
    assert [b.shape for b in boxes] == [(0, 4)] * 2
    assert [lb.shape for lb in labels] == [s.shape for s in scores] == [(0,)] * 2
    assert labels[0].dtype == torch.int64


def test_empty_batch():
    locs, scores, priors = random_predictions(n_images=0)
    assert detect_objects(locs, scores, priors, **EVALUATION) == ([], [], [])


def test_classes_do_not_suppress_each_other():
    priors = torch.tensor([[0.5, 0.5, 0.4, 0.4]]).repeat(3, 1)
    boxes, labels, _ = detect_objects(torch.zeros(1, 3, 4), certain([1, 2, 1]), priors, 0.5, 0.45, 200)
    assert labels[0].tolist() == [1, 2]
    torch.testing.assert_close(boxes[0], cxcy_to_xy(priors[:2]))


@pytest.mark.parametrize("max_overlap, n_kept", [(0.5, 2), (0.499, 1)])
def test_only_a_larger_overlap_is_suppressed(max_overlap, n_kept):
    priors = torch.tensor([[0.5, 0.5, 1.0, 1.0], [0.5, 0.25, 1.0, 0.5]])  # IoU is 1/2 exactly
    boxes, _, _ = detect_objects(torch.zeros(1, 2, 4), certain([1, 1]), priors, 0.5, max_overlap, 200)
    assert len(boxes[0]) == n_kept


def test_score_must_exceed_the_minimum():
    scores = torch.zeros(1, 1, 2)  # both classes at 1/2 exactly
    args = torch.zeros(1, 1, 4), scores, torch.tensor([[0.5, 0.5, 0.1, 0.1]])
    assert len(detect_objects(*args, 0.5, 0.45, 200)[0][0]) == 0
    assert len(detect_objects(*args, 0.4999, 0.45, 200)[0][0]) == 1


def test_boxes_are_clamped_before_they_are_compared():
    # Beyond the image these two differ; what is left of them inside is the same.
    priors = torch.tensor([[0.9, 0.5, 0.4, 0.4], [1.0, 0.5, 0.6, 0.4]])
    boxes, _, _ = detect_objects(torch.zeros(1, 2, 4), certain([1, 1]), priors, 0.5, 0.9, 200)
    torch.testing.assert_close(boxes[0], torch.tensor([[0.7, 0.3, 1.0, 0.7]]))


def test_nan_predictions_are_not_detections():
    locs, scores, priors = random_predictions()
    found = detect_objects(locs, torch.full_like(scores, torch.nan), priors, **EVALUATION)
    assert len(found[0][0]) == 0


def test_model_uses_its_own_priors_and_variances():
    model = SSD300(SSDConfig.torchvision(class_names=("a", "b"), variances=(0.2, 0.3)))
    locs, scores = torch.randn(1, 8732, 4), 3 * torch.randn(1, 8732, 3)
    expected = detect_objects(locs, scores, model.priors_cxcy, **EVALUATION, variances=(0.2, 0.3))
    found = model.detect_objects(locs, scores, **EVALUATION)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(found, expected, strict=True))


def test_labels_without_a_class_are_never_detected():
    torch.manual_seed(0)
    locs, scores, priors = torch.randn(1, 50, 4), torch.randn(1, 50, 4), create_prior_boxes(SSDConfig())[:50]
    scores[0, :, 2] += 5  # nearly every prior's best
    everything = detect_objects(locs, scores, priors, 0.0, 0.45, 1000)
    assert 2 in everything[1][0]
    boxes, labels, found = detect_objects(locs, scores, priors, 0.0, 0.45, 1000, unused=(2,))
    kept = everything[1][0] != 2  # what else is found stays as it is: scores, boxes and order
    for a, b in zip((boxes, labels, found), everything, strict=True):
        assert torch.equal(a[0], b[0][kept])


def test_the_best_of_a_class_are_counted_over_the_whole_ranking():
    # Twelve candidates in one place fill the first attempt and the class; those that follow stand apart.
    crowd = torch.tensor([[0.5, 0.5, 0.4, 0.4]]).repeat(12, 1)
    apart = torch.tensor([[0.02 + 0.03 * k, 0.02, 0.01, 0.01] for k in range(28)])
    arguments = torch.zeros(1, 40, 4), certain([1] * 40, n_classes=2), torch.cat([crowd, apart])
    boxes, _, _ = detect_objects(*arguments, 0.01, 0.45, 5, max_per_class=12)
    assert len(boxes[0]) == 1
    boxes, _, _ = detect_objects(*arguments, 0.01, 0.45, 5, max_per_class=14)
    assert len(boxes[0]) == 3


@pytest.mark.parametrize("top_k", [1, 10, 200])
def test_few_candidates_are_compared(top_k, monkeypatch):
    locs, scores, priors = random_predictions(n_images=4, n_priors=2000, n_classes=5)
    compared = []

    def counted(boxes, *rest):
        compared.append(len(boxes))
        return batched_nms(boxes, *rest)

    monkeypatch.setattr(postprocess, "batched_nms", counted)
    labels = detect_objects(locs, scores, priors, 0.01, 0.9, top_k)[1]
    assert [len(image) for image in labels] == [top_k] * 4
    assert sum(compared) <= 4 * 15 * top_k


def test_the_whole_ranking_is_tried_where_little_remains():
    locs, scores, priors = random_predictions(n_priors=400, n_classes=3)
    priors[:, :2] = 0.4 + priors[:, :2] * 0.2
    few, many = (detect_objects(0.3 * locs, scores, priors, 0.01, 0.2, top_k) for top_k in (5, 5000))
    assert 5 < len(many[0][0]) < 60  # of 800 candidates
    assert all(torch.equal(a[0], b[0][:5]) for a, b in zip(few, many, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_finds_the_same():
    locs, scores, priors = random_predictions(n_images=3, n_priors=500)
    expected = detect_objects(locs, scores, priors, **EVALUATION)
    found = detect_objects(locs.cuda(), scores.cuda(), priors.cuda(), **EVALUATION)
    for ours, cpu in zip(found, expected, strict=True):
        for a, b in zip(ours, cpu, strict=True):
            torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-5)


class LargestTensor(TorchDispatchMode):
    """Notes how many bytes the largest tensor has that is made inside the block."""

    n_bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in results if isinstance(results, list | tuple) else [results]:
            if isinstance(result, torch.Tensor):
                self.n_bytes = max(self.n_bytes, result.untyped_storage().nbytes())
        return results


@pytest.mark.parametrize("top_k", [200, 5000, 10**9])
def test_memory_is_that_of_the_candidates(top_k):
    """Two numbers of eight bytes for each, and never one for each pair of them."""
    locs, scores, priors = random_predictions(n_priors=8732, n_classes=21)
    with LargestTensor() as largest:
        labels = detect_objects(locs, scores, priors, 0.0, 0.45, top_k)[1][0]
    assert min(top_k, 1000) <= len(labels) <= top_k
    assert largest.n_bytes <= 16 * scores.numel()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("top_k", [200, 5000, 10**9])
def test_memory_on_a_gpu(top_k):
    """torchvision compares pairs there, a bit for each, of at most 25,000 candidates or of one class: 78 MB."""
    locs, scores, priors = (tensor.cuda() for tensor in random_predictions(n_priors=8732, n_classes=301))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    detect_objects(locs, scores, priors, 0.0, 0.45, top_k)
    assert torch.cuda.max_memory_allocated() - before < 500e6  # every pair of 400 in each of 300 classes takes 1.8 GB
