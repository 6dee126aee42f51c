"""How well priors fit the objects of a data set, and priors that fit them better."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ssd.config import SCALES, Sizes, SSDConfig
from ssd.data.columns import DataList
from ssd.model.boxes import cxcy_to_xy, paired_iou, xy_to_cxcy
from ssd.text import percent, text_table

MOST_OBJECTS = 2000  # that the priors are fitted to, evenly chosen
ROUNDS = 4  # of the search
SMALLEST, GROWTH, N_CANDIDATES = 0.02, 2, 40  # a map's scale lies between SMALLEST and GROWTH times its usual one
RATIOS = ((2, 3), (1.5, 2), (1.5, 2.5), (1.5, 3), (2, 4), (2, 5), (3, 5))  # the paper's, and as many others
WORTHWHILE = 0.01  # share of the objects that other ratios must bring above 0.5, as they cost a detector's weights


def box_fractions(data: DataList) -> Tensor:
    """The boxes of a data list, (n, 4) float32 fractions of their image."""
    sides = np.repeat(np.tile(data.sizes, 2), np.diff(data.offsets), axis=0)  # (n, 4)
    return torch.from_numpy(data.boxes / sides).float()


def evenly_chosen(boxes: Tensor, most: int) -> Tensor:
    """At most so many of the boxes (n, 4), evenly chosen."""
    return boxes[:: max(1, -(-len(boxes) // most))]


def best_prior_ious(boxes: Tensor, config: SSDConfig) -> Tensor:
    """The IoU of each box with the prior that fits it best, (n,). boxes: (n, 4) corner fractions."""
    return torch.cat([_map_ious(boxes, config, k) for k in range(len(config.feature_maps))], dim=1).amax(dim=1)


def _map_ious(boxes: Tensor, config: SSDConfig, k: int, candidates: Sequence[Sizes] = ()) -> Tensor:
    """The IoU of each box with the best prior of map k, for each candidate for its sizes: (n, n_candidates).

    The only candidate by default is what the config has. Of the priors of one size the nearest is the best, because the
    common area falls with the distance in x and in y.
    """
    cells, step = config.feature_maps[k], config.steps[k]
    centres = xy_to_cxcy(boxes)[:, None, None, :2]  # (n, 1, 1, 2)
    nearest = ((centres / step - 0.5).round().clamp(0, cells - 1) + 0.5) * step
    sizes = torch.tensor(candidates or [config.prior_sizes[k]])  # (n_candidates, n_sizes, 2)
    if config.clip != "none":
        sizes = sizes.clamp(max=1)
    priors = torch.cat([nearest.expand(-1, *sizes.shape), sizes.expand(len(boxes), *sizes.shape)], dim=3)
    return paired_iou(boxes[:, None, None], cxcy_to_xy(priors)).amax(dim=2)


def fit_priors(boxes: Tensor, config: SSDConfig) -> SSDConfig:
    """The config with scales, and where it is worthwhile ratios, that fit the boxes better: (n, 4) corner fractions.

    Each map's scale in turn becomes the best one between its neighbours'. It at most doubles, because a cell of the map
    sees only so much of the image. Where no box has an IoU below 0.5 with every prior, the config stays as it is.
    """
    if share_below(boxes, config) == 0:
        return config
    limits = [min(1, GROWTH * scale) for scale in config.scales]
    fitted = _fit_scales(boxes, config, limits)
    reshaped = max((fitted.with_priors(ratios=ratios) for ratios in RATIOS), key=lambda other: _score(boxes, other))
    reshaped = _fit_scales(boxes, reshaped, limits)
    gain = share_below(boxes, fitted) - share_below(boxes, reshaped)
    return reshaped if gain >= WORTHWHILE else fitted


def _fit_scales(boxes, config, limits):
    for _ in range(ROUNDS):
        for k, limit in enumerate(limits):
            config = _fit_scale(boxes, config, k, limit)
    return config


def _fit_scale(boxes, config, k, limit):
    """The config with the best scale for map k. It also decides the extra square of the map before."""
    scales = list(config.scales)
    low, high = (scales[k - 1] if k else 0), min([*scales[k + 1 : k + 2], 1])
    grid = np.geomspace(SMALLEST, limit, N_CANDIDATES).round(3).tolist()
    candidates = [scales[k], *(scale for scale in grid if low < scale < high)]
    configs = [config.with_priors([*scales[:k], scale, *scales[k + 1 :]]) for scale in candidates]
    ious = []
    for j in range(len(scales)):
        changed = [each.prior_sizes[j] for each in configs] if j in (k - 1, k) else ()
        ious.append(_map_ious(boxes, config, j, changed).expand(-1, len(configs)))
    return configs[_figure(torch.stack(ious).amax(dim=0)).argmax()]


def _score(boxes, config):
    return _figure(best_prior_ious(boxes, config))


def _figure(best: Tensor) -> Tensor:
    """How good IoUs (n, ...) are: the share of them from 0.5 and their mean, added up."""
    return (best >= 0.5).float().mean(dim=0) + best.mean(dim=0)


def share_below(boxes: Tensor, config: SSDConfig) -> float:
    """The share of the boxes whose IoU with every prior is below 0.5; 0 without boxes."""
    return (best_prior_ious(boxes, config) < 0.5).sum().item() / max(len(boxes), 1)


def training_arguments(config: SSDConfig) -> str:
    """What makes train.py build a network with the size and the priors of a config."""
    usual = SSDConfig.of_size(config.input_size)
    chosen = {
        "--size": "" if config.input_size == SSDConfig().input_size else str(config.input_size),
        "--scales": _numbers(config.scales, usual.scales),
        "--ratios": _numbers(config.ratios, usual.ratios),
    }
    return " ".join(f"{option} {words}" for option, words in chosen.items() if words)


def _numbers(own, usual):
    own, usual = (" ".join(f"{number:g}" for number in numbers) for numbers in (own, usual))
    return "" if own == usual else own


def suggestion(data: DataList) -> str:
    """How well the published networks' priors fit the objects of a data list, and others that fit them better."""
    boxes = evenly_chosen(box_fractions(data), MOST_OBJECTS)
    rows, words = [("priors", "below 0.5", "mean IoU")], []
    for size in SCALES:
        usual = SSDConfig.of_size(size)
        rows.append(_row(f"SSD{size}", boxes, usual))
        fitted = fit_priors(boxes, usual)
        if share_below(boxes, fitted) < share_below(boxes, usual):
            rows.append(_row("  fitted", boxes, fitted))
            words.append(f"SSD{size} with the fitted priors: train.py {training_arguments(fitted)}")
    title = (
        "The paper's priors, and others fitted to the training objects: the share of the objects whose IoU with every "
        "prior is below 0.5."
    )
    return "\n".join([title, text_table(rows), *(words or ["No other priors are needed."])])


def _row(name, boxes, config):
    best = best_prior_ious(boxes, config)
    return name, percent((best < 0.5).sum().item(), len(best)), f"{best.mean():.2f}" if len(best) else "n/a"
