from math import ceil

import numpy as np
import pytest
import torch
from PIL import Image

from ssd import SSDConfig
from ssd.data import load_image, preprocess
from ssd.data.augmentation import Augmentation, Colours, augment, distort, needed_size, sample_augmentation
from ssd.data.images import load_reduced
from tests.helpers import reference

CONFIG = SSDConfig()
SIZE = (500, 375)
BOXES = np.array([[50.0, 40, 200, 300], [300, 100, 420, 180], [10, 10, 40, 30]])
WHOLE = (0.0, 0.0, 500.0, 375.0)


def noise(size=SIZE, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def marked(boxes, size=SIZE):
    """A black picture with a white rectangle for each box."""
    image = Image.new("RGB", size)
    for box in boxes:
        image.paste("white", tuple(int(v) for v in box))
    return image


def bright_box(tensor):
    """Corners, in fractions, of what is bright in a normalised picture."""
    levels = tensor * torch.tensor(CONFIG.std).view(3, 1, 1) + torch.tensor(CONFIG.mean).view(3, 1, 1)
    rows, columns = (levels.mean(dim=0) > 0.75).nonzero(as_tuple=True)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 300


def test_whole_window_without_distortion_is_preprocessing():
    tensor, boxes, kept = augment(noise(), BOXES, Augmentation(WHOLE), CONFIG)
    torch.testing.assert_close(tensor, preprocess(noise(), CONFIG))
    np.testing.assert_allclose(boxes, BOXES / [500, 375, 500, 375])
    assert kept.all()


@pytest.mark.parametrize("window", [
    WHOLE, (-200.0, -100.0, 900.0, 800.0), (-1300.5, -3.25, 700.0, 1400.0), (20.5, 10.25, 260.75, 330.5),
])  # fmt: skip
@pytest.mark.parametrize("flip", [False, True])
def test_boxes_follow_the_pixels(window, flip):
    box = BOXES[:1]
    tensor, boxes, _ = augment(marked(box), box, Augmentation(window, flip), CONFIG)
    if window[0] < 0:
        tensor = torch.where(tensor == 0, -1.0, tensor)  # the mean around the picture is not black
    np.testing.assert_allclose(boxes[0], bright_box(tensor), atol=1.5 / 300)


@pytest.mark.parametrize("size", [(1000, 752), (1001, 747)])
@pytest.mark.parametrize("window, scale", [
    ((-500.0, -300.0, 2500.0, 1700.0), 0.25), ((-90.0, -20.0, 960.0, 700.0), 0.5), ((200.0, 100.0, 800.0, 600.0), 1.0),
])  # fmt: skip
def test_a_jpeg_is_decoded_no_larger_than_the_window_needs(size, window, scale, tmp_path):
    image = marked([(0, 0, *size), (410, 230, 630, 500)], size)
    image.paste((60, 90, 30), (0, 0, 400, 747))
    image.save(tmp_path / "a.jpg", quality=95)
    boxes, augmentation = np.array([[410.0, 230, 630, 500]]), Augmentation(window)
    reduced, _, found = load_reduced(tmp_path / "a.jpg", needed_size(augmentation, size, 300))
    assert found == scale
    assert reduced.size == (ceil(size[0] * scale), ceil(size[1] * scale))
    small, small_boxes, _ = augment(reduced, boxes, augmentation, CONFIG, found)
    whole, whole_boxes, _ = augment(load_image(tmp_path / "a.jpg"), boxes, augmentation, CONFIG)
    assert (small_boxes == whole_boxes).all()
    assert (small - whole).abs().mean() < 0.03  # deviations, of which an edge that is a pixel off costs more


def test_a_picture_that_must_be_turned_is_decoded_whole(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise((900, 600)).save(tmp_path / "a.jpg", exif=exif)
    image, _, scale = load_reduced(tmp_path / "a.jpg", (10, 10))
    assert (image.size, scale) == ((600, 900), 1)


def test_boxes_are_kept_by_their_centre_and_clipped():
    _, boxes, kept = augment(noise(), BOXES, Augmentation((100.0, 100.0, 400.0, 300.0)), CONFIG)
    assert kept.tolist() == [True, True, False]
    np.testing.assert_allclose(boxes, [[0, 0, 1 / 3, 1], [2 / 3, 0, 1, 0.4]])


def test_the_fill_is_exactly_the_mean_whatever_the_colours():
    colours = Colours(brightness=30, contrast=1.4, saturation=0.6, hue=10)
    tensor, _, _ = augment(noise(), BOXES, Augmentation((-500.0, -375.0, 1000.0, 750.0), colours=colours), CONFIG)
    inside = torch.zeros(300, 300, dtype=torch.bool)
    inside[100:200, 100:200] = True
    assert (tensor[:, ~inside] == 0).all()
    assert (tensor[:, inside] != 0).float().mean() > 0.99


def test_arguments_are_not_changed():
    image, boxes = noise(), BOXES.copy()
    before = np.asarray(image).copy()
    augmentation = sample_augmentation(np.random.default_rng(5), SIZE, boxes)
    augment(image, boxes, augmentation, CONFIG)
    assert (np.asarray(image) == before).all()
    assert (boxes == BOXES).all()


def test_same_generator_same_augmentation():
    first, second = (sample_augmentation(np.random.default_rng((1, 2)), SIZE, BOXES) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("size, boxes", [
    ((1, 1), [[0, 0, 1, 1]]), ((20000, 10), [[5, 2, 19000, 8]]), ((10, 2000), np.zeros((0, 4))),
    ((7, 5), [[6, 4, 7, 5]]),
])  # fmt: skip
def test_odd_pictures(size, boxes):
    boxes, image = np.array(boxes, dtype=float), noise(size)
    for seed in range(60):
        augmentation = sample_augmentation(np.random.default_rng(seed), size, boxes)
        tensor, kept_boxes, kept = augment(image, boxes, augmentation, CONFIG)
        assert tensor.shape == (3, 300, 300)
        assert tensor.isfinite().all()
        assert tensor.count_nonzero() > 0  # something of the picture is seen
        assert kept.sum() == len(kept_boxes) >= min(len(boxes), 1)
        assert ((kept_boxes >= 0) & (kept_boxes <= 1)).all()
        assert (kept_boxes[:, 2:] > kept_boxes[:, :2]).all()


# -- distortion


def plain_distort(pixel, colours):
    """One pixel by the release's formulas, in floating point."""
    import colorsys

    value = np.clip(np.array(pixel, float) + colours.brightness, 0, 255)
    value = value if colours.contrast_last else np.clip(value * colours.contrast, 0, 255)
    h, s, v = colorsys.rgb_to_hsv(*(value / 255))
    value = np.array(colorsys.hsv_to_rgb((h + colours.hue / 360) % 1, min(s * colours.saturation, 1), v)) * 255
    return np.clip(value * colours.contrast, 0, 255) if colours.contrast_last else value


@pytest.mark.parametrize("colours", [
    Colours(), Colours(brightness=-20.0), Colours(contrast=1.5), Colours(contrast=0.6, contrast_last=True),
    Colours(saturation=0.5), Colours(saturation=1.5), Colours(hue=18.0), Colours(hue=-18.0),
    Colours(20.0, 0.7, 1.3, -9.0), Colours(-31.0, 1.4, 0.6, 15.0, contrast_last=True),
])  # fmt: skip
def test_distortion_against_the_formulas(colours):
    image = noise((20, 15), seed=1)
    image.paste((90, 90, 90), (0, 0, 4, 4))  # grey has no hue
    image.paste((200, 200, 40), (4, 0, 8, 4))  # two channels are the largest
    expected = np.array([[plain_distort(pixel, colours) for pixel in row] for row in np.asarray(image)])
    difference = np.abs(np.asarray(distort(image, colours)).astype(float) - expected)
    assert difference.max() < 2.2  # levels; they are rounded between the steps
    assert difference.mean() < 0.6


def test_no_distortion_leaves_every_level():
    assert distort(noise(), Colours()).tobytes() == noise().tobytes()


def test_kinds_of_augmentation():
    samples = {
        kind: [sample_augmentation(np.random.default_rng(k), SIZE, BOXES, kind) for k in range(100)]
        for kind in ("paper", "no-expand", "flip")
    }
    beyond = {kind: any(s.window[0] < 0 or s.window[2] > 500 for s in some) for kind, some in samples.items()}
    assert beyond == {"paper": True, "no-expand": False, "flip": False}
    assert {s.window for s in samples["flip"]} == {(0.0, 0.0, 500, 375)}
    assert {s.colours for s in samples["flip"]} == {Colours()}
    assert len({s.window for s in samples["no-expand"]}) > 50
    assert all({s.flip for s in some} == {True, False} for some in samples.values())
    with pytest.raises(ValueError, match="augmentation is 'best'"):
        sample_augmentation(np.random.default_rng(0), SIZE, BOXES, "best")


# -- the distribution


def plain_sample(rng, size, boxes):
    """Expand, then crop, one decision after the other, as the paper and its release describe them; the window."""
    left, top, width, height = 0.0, 0.0, *map(float, size)
    if rng.random() < 0.5:
        ratio = rng.uniform(1, 4)
        left, top = -rng.uniform(0, width * ratio - width), -rng.uniform(0, height * ratio - height)
        width, height = width * ratio, height * ratio
    while True:
        minimum = [0, 0.1, 0.3, 0.5, 0.7, 0.9, None][rng.integers(7)]
        if minimum is None:
            return left, top, left + width, top + height
        for _ in range(50):
            w, h = width * rng.uniform(0.3, 1), height * rng.uniform(0.3, 1)
            if not 0.5 < w / h < 2:
                continue
            x, y = left + rng.uniform(0, width - w), top + rng.uniform(0, height - h)
            window = (x, y, x + w, y + h)
            centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
            seen = any(x < cx < x + w and y < cy < y + h for cx, cy in centres)
            if seen and max(reference.iou(window, b) for b in boxes) >= minimum:
                return window


def statistics(windows):
    windows = np.array(windows)
    width, height = (windows[:, 2:] - windows[:, :2]).T
    centres = (BOXES[:, :2] + BOXES[:, 2:]) / 2
    kept = ((centres > windows[:, None, :2]) & (centres < windows[:, None, 2:])).all(axis=2)
    covered = np.array([reference.iou(w, WHOLE) for w in windows])
    columns = [width / 500, height / 375, np.log(width / height), windows[:, 0] / 500, windows[:, 1] / 375, covered]
    return np.stack([*columns, *kept.T.astype(float)], axis=1)


def test_windows_are_distributed_as_in_the_paper():
    n = 3000
    rng = np.random.default_rng(0)
    samples = [sample_augmentation(rng, SIZE, BOXES) for _ in range(n)]
    ours = statistics([sample.window for sample in samples])
    plain = statistics([plain_sample(rng, SIZE, BOXES) for _ in range(n)])
    for a, b in zip(ours.T, plain.T, strict=True):
        error = np.sqrt((a.var() + b.var()) / n)
        assert abs(a.mean() - b.mean()) < 4.5 * error
        gap = np.abs(np.searchsorted(np.sort(a), b) / n - np.searchsorted(np.sort(b), b) / n).max()
        assert gap < 1.95 * np.sqrt(2 / n) + 0.002  # Kolmogorov and Smirnov, at one in a thousand
    assert np.mean([sample.flip for sample in samples]) == pytest.approx(0.5, abs=0.04)
    untouched = Colours()
    for name in ("brightness", "contrast", "saturation", "hue"):
        values = np.array([getattr(sample.colours, name) for sample in samples])
        assert (values != getattr(untouched, name)).mean() == pytest.approx(0.5, abs=0.04)


def test_the_hue_turns_by_36_degrees():
    """The release's 18 are OpenCV's, whose circle has 180 steps."""
    rng = np.random.default_rng(0)
    hues = np.array([sample_augmentation(rng, SIZE, BOXES).colours.hue for _ in range(2000)])
    assert 35 < hues.max() <= 36 and -36 <= hues.min() < -35
    assert np.abs(hues[hues != 0]).mean() == pytest.approx(18, abs=1)
