"""Annotations in the format of COCO: one JSON file with images, annotations and categories."""

import json
from pathlib import Path

from ssd.data.folders import relative_names, write_text


def write_coco(path, images, objects, class_names, scores=None):
    """Write a JSON file of COCO's format (https://cocodataset.org/#format-data).

    images, objects, scores, and the notes returned (none: the format holds everything): see `ssd.data.annotations`.
    Categories count from 1 in the order of class_names, so that ids are labels. Images count from 1. A difficult object
    is a crowd, which COCO's evaluation too neither rewards nor punishes. A score becomes the "score" that results have.
    """
    ids = {name: number for number, name in enumerate(class_names, start=1)}
    scores = scores or [None] * len(images)
    annotations = []
    for image_id, (entry, image_scores) in enumerate(zip(objects, scores, strict=True), start=1):
        for k, (name, box) in enumerate(zip(entry["names"], entry["boxes"], strict=True)):
            annotation = _annotation(len(annotations) + 1, image_id, ids[name], box, entry["difficulties"][k])
            annotations.append(annotation | ({"score": image_scores[k]} if image_scores else {}))
    content = {
        "images": [
            {"id": number, "file_name": name, "width": entry["size"][0], "height": entry["size"][1]}
            for number, (name, entry) in enumerate(zip(relative_names(images), objects, strict=True), start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    write_text(Path(path), json.dumps(content) + "\n")
    return []


def _annotation(number, image_id, category_id, box, difficult):
    x_min, y_min, x_max, y_max = box
    bbox = [x_min, y_min, x_max - x_min, y_max - y_min]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": bbox,
        "area": bbox[2] * bbox[3],
        "iscrowd": int(difficult),
    }
