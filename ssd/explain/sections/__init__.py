"""The sections of the page: one module for each topic, whose functions make a `Section` of a `Subject`."""

from collections.abc import Callable
from html import escape

from ssd.explain import svg
from ssd.explain.page import Section, render
from ssd.explain.sections import (
    augmentation,
    average_precision,
    boxes,
    loss,
    matching,
    network,
    picture,
    predictions,
    priors,
    questions,
    suppression,
)  # fmt: skip
from ssd.explain.subject import Subject

SECTIONS: tuple[Callable[[Subject], Section], ...] = (  # in the order of the page
    picture.network_input,
    boxes.forms,
    boxes.overlap,
    network.layers,
    priors.of_a_cell,
    predictions.channels,
    boxes.offsets,
    matching.section,
    loss.section,
    predictions.heat,
    suppression.section,
    augmentation.section,
    average_precision.section,
    questions.section,
)


def explain(subject: Subject) -> str:
    """The page on a subject, as HTML."""
    return render(
        [make(subject) for make in SECTIONS],
        title=f"SSD, step by step: {subject.name}",
        introduction=[
            "How the Single Shot MultiBox Detector works, drawn on one picture. Every number comes from the functions "
            "that training and detection use; each section names them.",
            escape(subject.introduction),
        ],
        photo=svg.photo_definition(subject.shown),
    )
