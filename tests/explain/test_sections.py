"""The numbers of the sections are those of the functions, and every section copes with what is missing."""

import torch

from ssd import SSDConfig, create_prior_boxes
from ssd.explain.sections import SECTIONS, boxes, priors
from ssd.model.boxes import decode, encode, paired_iou, xy_to_cxcy


def test_every_section_of_a_picture_with_everything_has_a_figure(html):
    _, *sections = html.partition("<main>")[2].split("<section ")
    assert len(sections) == len(SECTIONS)
    for section in sections:
        assert "<figure>" in section and 'class="sources"' in section, section[:40]


def test_every_section_of_a_bare_picture_says_something(bare):
    sections = [make(bare) for make in SECTIONS]
    assert all(section.text for section in sections)
    assert len({section.key for section in sections}) == len(sections)


def test_forms_of_the_largest_object(subject):
    box, _ = boxes.example_box(subject)
    assert (box[2:] - box[:2]).prod() == (subject.boxes[:, 2:] - subject.boxes[:, :2]).prod(dim=1).max()
    figure = boxes.forms(subject).figure
    for numbers in (box, xy_to_cxcy(box)):
        assert ", ".join(f"{value:.3f}" for value in numbers.tolist()) in figure
    pixels = box * torch.tensor([*subject.image.size, *subject.image.size])
    assert ", ".join(f"{value:.1f}" for value in pixels.tolist()) in figure


def test_overlap_shown_is_that_of_the_boxes_given_to_the_script(subject):
    section = boxes.overlap(subject)
    pair = torch.tensor(section.data["boxes"])
    assert f"IoU <output>{paired_iou(*pair).item():.3f}</output>" in section.figure


def test_offsets_shown_are_those_of_encode(subject):
    box, _ = boxes.example_box(subject)
    place = boxes.nearest_prior(subject, box)
    prior = subject.priors_cxcy[place]
    section = boxes.offsets(subject)
    for value in encode(box, prior).tolist():
        assert f"<td>{value:+.3f}</td>" in section.figure
    found = decode(subject.locs[place], prior)
    assert f"IoU with the green one is {paired_iou(found, box).item():.2f}" in section.text[-1]


def test_priors_given_to_the_script_are_the_table(subject):
    maps = priors.of_a_cell(subject).data["maps"]
    rows = [
        (x, y, *size)
        for each in maps
        for y in each["y"]
        for x in each["x"]
        for size in each["sizes"]
    ]  # fmt: skip
    assert torch.allclose(torch.tensor(rows), create_prior_boxes(SSDConfig()), atol=1e-5)


def test_place_of_a_prior():
    config = SSDConfig()
    assert priors.place_of(0, config) == (0, 0, 0, 0)
    assert priors.place_of(5776 + 19 * 6 + 6 + 5, config) == (1, 1, 1, 5)
    assert priors.place_of(8731, config) == (5, 0, 0, 3)
