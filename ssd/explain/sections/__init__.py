"""The sections of the page: one module for each topic, whose functions make a `Section` of a `Subject`."""

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from ssd.explain.page import NO_MODEL, NO_OBJECTS, Section, render
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


class Question(NamedTuple):
    """A section to make. key: see `render`. needs: what it cannot do without, as the sentences that say so."""

    key: str
    title: str
    answer: Callable[[Subject], Section]
    needs: Sequence[str] = ()


QUESTIONS = (  # in the order of the page
    Question("input", "What does the network see?", picture.network_input),
    Question("forms", "How is a box written down?", boxes.forms),
    Question("overlap", "How well do two boxes agree?", boxes.overlap),
    Question("network", "What is the network made of?", network.layers),
    Question("priors", "Which boxes does the network start from?", priors.of_a_cell),
    Question("predictions", "How do channels become predictions?", predictions.channels, [NO_MODEL]),
    Question("offsets", "What does a prior predict?", boxes.offsets),
    Question("matching", "Which priors learn which object?", matching.section, [NO_OBJECTS]),
    Question("loss", "What is the loss of this picture made of?", loss.section, [NO_MODEL, NO_OBJECTS]),
    Question("heat", "Where does the network see which class?", predictions.heat, [NO_MODEL]),
    Question("suppression", "How do {} predictions become a few detections?", suppression.section, [NO_MODEL]),
    Question("augmentation", "What does training make of one picture?", augmentation.section),
    Question("precision", "How is average precision counted?", average_precision.section),
    Question("questions", "What do people ask?", questions.section),
)


def explain(subject: Subject) -> str:
    """The page on a subject, as HTML."""
    n_priors = len(subject.priors_cxcy)
    return render(
        [(each.key, each.title.format(n_priors), answer(each, subject)) for each in QUESTIONS],
        title=f"SSD, step by step: {subject.name}",
        introduction="How the Single Shot MultiBox Detector works, drawn on one picture. Every number comes from the "
        "functions that training and detection use; each section names them.\n\n" + escape(subject.introduction),
        photo=subject.photo(),
    )


def answer(question: Question, subject: Subject) -> Section:
    """The section that answers a question; one that says what is missing, if the subject lacks what it needs."""
    has = {NO_MODEL: subject.model is not None, NO_OBJECTS: len(subject.boxes) > 0}
    missing = [sentence for sentence in question.needs if not has[sentence]]
    return Section(missing[0]) if missing else question.answer(subject)
