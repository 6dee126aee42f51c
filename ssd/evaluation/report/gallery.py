"""Pictures that show what a detector does: confident false positives, missed objects, best detections."""

from dataclasses import dataclass
from itertools import count

import numpy as np
from PIL import Image

from ssd.data.images import load_image
from ssd.evaluation.matches import Matches
from ssd.evaluation.overlaps import paired_iou
from ssd.evaluation.report import SHOWN_SCORE
from ssd.evaluation.report.mistakes import KINDS, Errors
from ssd.visualize import HIT, MISS, MISTAKE, OTHER, SHOWN_SIDE, TRUTH, draw_boxes, fit_to_side

CASES = 12  # pictures of each kind


@dataclass(frozen=True)
class Case:
    """One picture of the gallery, and what it points at: a detection or an object, by its index in the matches."""

    image: int
    box: np.ndarray  # (4,) pixels
    tag: str
    caption: str
    colour: tuple[int, int, int]
    detection: int = -1
    truth: int = -1


def confident_false_positives(matches: Matches, errors: Errors) -> list[Case]:
    """The CASES false positives of the highest scores, at most one of each picture."""
    false = matches.best_first(np.flatnonzero(matches.false))
    return [_false_positive(matches, errors, k) for k in _first_of_each(matches.det_images[false], false)[:CASES]]


def missed_objects(matches: Matches, min_score: float = SHOWN_SCORE) -> list[Case]:
    """The CASES largest easy objects that no detection found, at most one of each picture.

    After them, those that only detections of a score up to min_score found, the lowest first.
    """
    scores = np.append(matches.det_scores, -np.inf)[matches.true_found]
    missed = np.flatnonzero(~matches.true_difficult & (scores <= min_score))
    area = (matches.true_boxes[:, 2:] - matches.true_boxes[:, :2]).prod(axis=1)
    missed = missed[np.lexsort((-area[missed], scores[missed]))]
    cases = []
    for k in _first_of_each(matches.true_images[missed], missed)[:CASES]:
        name = matches.names[matches.true_classes[k]]
        caption = "not found" if matches.true_found[k] < 0 else f"found with a score of {scores[k]:.2f} only"
        cases.append(Case(matches.true_images[k], matches.true_boxes[k], name, f"{name}: {caption}", MISS, truth=k))
    return cases


def best_detections(matches: Matches) -> list[Case]:
    """CASES true positives of high score times IoU: the best of each class, then the second best of each, ..."""
    right = np.flatnonzero(matches.correct)
    right = right[np.argsort(-matches.det_scores[right] * matches.det_ious[right], kind="stable")]
    right = _first_of_each(matches.det_images[right], right)
    right = right[np.argsort(_ranks(matches.det_classes[right].tolist()), kind="stable")]
    cases = []
    for k in right[:CASES]:
        tag = _tag(matches, k)
        caption = f"{tag}, IoU {matches.det_ious[k]:.2f}"
        cases.append(Case(matches.det_images[k], matches.det_boxes[k], tag, caption, HIT, detection=k))
    return cases


def draw_case(case: Case, matches: Matches, path: str) -> Image.Image:
    """The picture of a case: what it points at, ground truth dashed, other detections above SHOWN_SCORE thin.

    Raises InputError if the picture at `path` is missing or cannot be read.
    """
    picture, scale = fit_to_side(load_image(path), SHOWN_SIDE)
    truth = np.flatnonzero(matches.true_images == case.image)
    truth = truth[truth != case.truth]
    others = np.flatnonzero((matches.det_images == case.image) & (matches.det_scores > SHOWN_SCORE))
    others = others[others != case.detection]
    picture = draw_boxes(picture, scale * matches.det_boxes[others], colours=[OTHER] * len(others), width=2)
    tags = [_name(matches, k) for k in truth]
    picture = draw_boxes(
        picture, scale * matches.true_boxes[truth], tags, colours=[TRUTH] * len(truth), dashed=True, width=3
    )
    dashed = case.colour == MISS
    return draw_boxes(picture, scale * case.box[None], [case.tag], colours=[case.colour], dashed=dashed, width=4)


def _false_positive(matches: Matches, errors: Errors, k: int) -> Case:
    tag = _tag(matches, k)
    caption = f"{tag}: {KINDS[errors.det_kinds[k]]}"
    if errors.det_targets[k] >= 0:
        objects, least = errors.det_targets[[k]], 0.0
    else:  # difficult objects take no blame for an error, but they are in the picture
        objects = np.flatnonzero(matches.true_difficult & (matches.true_images == matches.det_images[k]))
        least = matches.iou_threshold
    ious = paired_iou(np.repeat(matches.det_boxes[[k]], len(objects), axis=0), matches.true_boxes[objects])
    if len(ious) and ious.max() >= least:
        caption += f", IoU {ious.max():.2f} with {_name(matches, objects[ious.argmax()])}"
    return Case(matches.det_images[k], matches.det_boxes[k], tag, caption, MISTAKE, detection=k)


def _tag(matches: Matches, k: int) -> str:
    return f"{matches.names[matches.det_classes[k]]} {matches.det_scores[k]:.2f}"


def _name(matches: Matches, k: int) -> str:
    return matches.names[matches.true_classes[k]] + (" (difficult)" if matches.true_difficult[k] else "")


def _first_of_each(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The first row of each image, in the order given."""
    return rows[np.sort(np.unique(images, return_index=True)[1])]


def _ranks(classes: list[int]) -> list[int]:
    """For each element, how many equal ones come before it."""
    counts = {each: count() for each in set(classes)}
    return [next(counts[each]) for each in classes]
