"""The numbers of the sections are those of the functions, and every section copes with what is missing."""

from dataclasses import replace

import pytest
import torch

from ssd import SSDConfig, create_prior_boxes
from ssd.explain.page import NO_MODEL, NO_OBJECTS
from ssd.explain.sections import QUESTIONS, answer, boxes, priors
from ssd.model.boxes import decode, encode, paired_iou, xy_to_cxcy


def test_every_section_of_a_picture_with_everything_has_a_figure(html):
    _, *sections = html.partition("<main>")[2].split("<section ")
    assert len(sections) == len(QUESTIONS)
    for section in sections:
        assert "<figure>" in section and 'class="sources"' in section, section[:40]


def test_sections_say_what_they_lack(subject, bare):
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "difficulties": torch.zeros(0).bool()}
    texts = {each.key: answer(each, bare).text for each in QUESTIONS}
    lacking = {key for key, text in texts.items() if text in (NO_MODEL, NO_OBJECTS)}
    assert lacking == {"predictions", "matching", "loss", "heat", "suppression", "precision"}
    assert texts["loss"] == NO_MODEL and texts["matching"] == NO_OBJECTS
    for each in QUESTIONS:
        if each.key in ("matching", "loss", "precision"):
            assert answer(each, replace(subject, **none)).text == NO_OBJECTS


def test_forms_of_the_largest_object(subject):
    box, _ = boxes.example_box(subject)
    assert (box[2:] - box[:2]).prod() == (subject.boxes[:, 2:] - subject.boxes[:, :2]).prod(dim=1).max()
    figure = boxes.forms(subject).figure
    for numbers in (box, xy_to_cxcy(box)):
        assert ", ".join(f"{value:.3f}" for value in numbers.tolist()) in figure
    pixels = box * torch.tensor([*subject.image.size, *subject.image.size])
    assert ", ".join(f"{value:.1f}" for value in pixels.tolist()) in figure


def test_offsets_shown_are_those_of_encode(subject):
    box, _ = boxes.example_box(subject)
    place = boxes.nearest_prior(subject, box)
    prior = subject.priors_cxcy[place]
    section = boxes.offsets(subject)
    for value in encode(box, prior).tolist():
        assert f"<td>{value:+.3f}</td>" in section.figure
    found = decode(subject.locs[place], prior)
    assert f"IoU with the green one is {paired_iou(found, box).item():.2f}" in section.text


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
    assert maps[0]["table"][2] == pytest.approx([2, 30, 30 * 2**0.5, 30 / 2**0.5])  # ratio, s, w and h in pixels


def test_place_of_a_prior():
    config = SSDConfig()
    assert priors.place_of(0, config) == (0, 0, 0)
    assert priors.place_of(5776 + 19 * 6 + 6 + 5, config) == (1, 1, 1)
    assert priors.place_of(8731, config) == (5, 0, 0)
