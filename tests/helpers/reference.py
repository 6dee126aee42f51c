"""Slow, obvious versions of the detector's parts, in plain Python, to test the fast ones against."""

import math


def iou(a, b):
    """IoU of two corner boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (area_a + area_b - width * height)


def match(overlaps, threshold):
    """Object of each prior, -1 for the background. overlaps: a list of rows, one an object."""
    n_objects, n_priors = len(overlaps), len(overlaps[0]) if overlaps else 0
    matched = []
    for p in range(n_priors):
        best = max(range(n_objects), key=lambda o: (overlaps[o][p], -o))
        matched.append(best if overlaps[best][p] >= threshold else -1)
    free_objects, free_priors = set(range(n_objects)), set(range(n_priors))
    while free_objects and free_priors:
        pairs = [(o, p) for o in sorted(free_objects) for p in sorted(free_priors)]
        o, p = max(pairs, key=lambda pair: (overlaps[pair[0]][pair[1]], -pair[0], -pair[1]))
        if overlaps[o][p] <= 0:
            break
        matched[p] = o
        free_objects.remove(o)
        free_priors.remove(p)
    return matched


def encode(box, prior, variances=(0.1, 0.2)):
    """Offsets of a corner box from a centre-size prior."""
    cx, cy, w, h = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
    return [
        (cx - prior[0]) / (prior[2] * variances[0]),
        (cy - prior[1]) / (prior[3] * variances[0]),
        math.log(w / prior[2]) / variances[1],
        math.log(h / prior[3]) / variances[1],
    ]


def to_corners(prior):
    cx, cy, w, h = prior
    return [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def share_inside(box, region):
    """The share of a corner box's area that lies in a region."""
    width = max(0.0, min(box[2], region[2]) - max(box[0], region[0]))
    height = max(0.0, min(box[3], region[3]) - max(box[1], region[1]))
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]))


def multibox_loss(locs, scores, boxes, labels, priors, threshold=0.5, neg_pos_ratio=3, alpha=1.0, ignored=None):
    """The loss of a batch given as nested lists, prior by prior."""
    loc_sum = conf_sum = 0.0
    n_positives = 0
    ignored = ignored or [[] for _ in locs]
    images = zip(locs, scores, boxes, labels, ignored, strict=True)
    for image_locs, image_scores, image_boxes, image_labels, image_ignored in images:
        overlaps = [[iou(box, to_corners(prior)) for prior in priors] for box in image_boxes]
        matched = match(overlaps, threshold) if image_boxes else [-1] * len(priors)
        negatives, n_image = [], 0
        for p, prior in enumerate(priors):
            label = image_labels[matched[p]] if matched[p] >= 0 else 0
            highest = max(image_scores[p])
            total = math.log(sum(math.exp(s - highest) for s in image_scores[p])) + highest
            cross_entropy = total - image_scores[p][label]
            if label == 0:
                if all(share_inside(to_corners(prior), region) < 0.5 for region in image_ignored):
                    negatives.append(cross_entropy)
                continue
            n_image += 1
            conf_sum += cross_entropy
            for predicted, true in zip(image_locs[p], encode(image_boxes[matched[p]], prior), strict=True):
                distance = abs(predicted - true)
                loc_sum += 0.5 * distance**2 if distance < 1 else distance - 0.5
        n_positives += n_image
        conf_sum += sum(sorted(negatives, reverse=True)[: neg_pos_ratio * n_image])
    return (conf_sum + alpha * loc_sum) / max(n_positives, 1)


def detect(locs, scores, priors, min_score, max_overlap, top_k, max_per_class=400, variances=(0.1, 0.2)):
    """Detections (score, label, box) of one image, best first."""
    found = []
    for label in range(1, len(scores[0])):
        candidates = []
        for offsets, row, prior in zip(locs, scores, priors, strict=True):
            score = math.exp(row[label] - max(row)) / sum(math.exp(s - max(row)) for s in row)
            if score > min_score:
                centre = [prior[k] + offsets[k] * variances[0] * prior[2 + k] for k in (0, 1)]
                size = [prior[2 + k] * math.exp(offsets[2 + k] * variances[1]) for k in (0, 1)]
                box = [min(max(v, 0.0), 1.0) for v in to_corners([*centre, *size])]
                candidates.append((score, label, box))
        kept = []
        for candidate in sorted(candidates, key=lambda c: -c[0])[:max_per_class]:
            if all(iou(candidate[2], other[2]) <= max_overlap for other in kept):
                kept.append(candidate)
        found += kept
    return sorted(found, key=lambda c: -c[0])[:top_k]
