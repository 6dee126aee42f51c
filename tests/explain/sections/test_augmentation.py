"""The steps and the results are those of the sampler that training uses."""

from dataclasses import replace

import numpy as np
import torch
from torchvision.ops import box_iou

from ssd.data.augmentation import augment, sample_augmentation
from ssd.explain.sections.augmentation import RESULTS, SETS, pixel_boxes, results, section, steps


def test_every_step_changes_the_input_and_the_last_has_everything(subject):
    drawn = [augmentation for augmentation, _ in steps(subject)]
    inputs = [augment(subject.image, pixel_boxes(subject), each, subject.config)[0] for each in drawn]
    assert len(drawn) == 8
    assert all(not torch.equal(a, b) for a, b in zip(inputs, inputs[1:], strict=False))
    colours = drawn[-1].colours
    assert drawn[-1].flip and drawn[4].colours == drawn[5].colours == colours
    assert 0 not in (colours.brightness, colours.hue) and 1 not in (colours.contrast, colours.saturation)
    assert drawn[-1] == replace(drawn[6], flip=True)


def test_the_crop_lies_in_the_canvas_and_its_iou_is_said(subject):
    canvas, crop = (augmentation.window for augmentation, _ in steps(subject)[5:7])
    assert canvas[0] <= crop[0] < crop[2] <= canvas[2] and canvas[1] <= crop[1] < crop[3] <= canvas[3]
    overlap = box_iou(torch.tensor([crop]).double(), torch.from_numpy(pixel_boxes(subject))).max().item()
    assert steps(subject)[6][1] == f"cropped; IoU with an object {overlap:.2f}"


def test_results_are_draws_of_the_sampler(subject):
    drawn = results(subject, seed=2)
    assert len(drawn) == len(set(drawn)) == RESULTS
    rng = np.random.default_rng((2, 5))
    assert drawn[5] == sample_augmentation(rng, subject.image.size, pixel_boxes(subject))


def test_without_objects_everything_is_drawn(bare):
    assert section(bare).figure.count("<svg") == 8 + SETS * RESULTS
    assert steps(bare)[6][1].startswith("cropped; IoU with the picture ")
