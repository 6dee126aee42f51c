"""The layouts in which other projects store an SSD with VGG16: tensor names, and the config that goes with them.

All of them order a convolution's channels as we do: prior by prior, in the order of their prior table. So conversion is
renaming, and the order of the priors is in the `SSDConfig`. Only two things differ in some of them: the order of the
input's colours, and the place of the background among the scores.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torchvision.models.detection import SSD300_VGG16_Weights

from ssd.config import CAFFE_PIXELS, TORCHVISION_PIXELS, VOC_CLASSES, SSDConfig
from ssd.model.network import MAP_CHANNELS

NO_CLASS = "N/A"  # torchvision's name for the labels between COCO's ids that have no class

SSD300_MAPS = tuple(MAP_CHANNELS)[:6]
# Our convolutions from the picture to the last map; those of SSD300 end with conv11_2.
CONVOLUTIONS = (
    *(f"base.conv{stage}_{k}" for stage, length in enumerate((2, 2, 3, 3, 3), start=1) for k in range(1, length + 1)),
    "base.conv6", "base.conv7",
    *(f"aux_convs.conv{block}_{k}" for block in range(8, 13) for k in (1, 2)),
)  # fmt: skip
FIRST_WEIGHT = f"{CONVOLUTIONS[0]}.weight"
# The places of conv1_1 to conv7 in one `nn.Sequential` of VGG16, between its ReLUs and poolings.
SEQUENTIAL = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33)
FEATURES = tuple(f"backbone.features.{place}" for place in SEQUENTIAL)


@dataclass(frozen=True)
class Layout:
    """A project's names for our tensors, in a network of as many maps as it has prediction convolutions.

    convolutions: in the order of CONVOLUTIONS. scale: the scales of the L2 normalisation. loc, cl: the prediction
    convolutions of each map. config: number of outputs and, where a file stores them, class names -> the `SSDConfig`
    of a network that the project trained.
    bgr: its input is blue, green, red. background_last: its labels count from 0, and the background comes last.
    """

    project: str
    convolutions: tuple[str, ...]
    scale: str
    loc: tuple[str, ...]
    cl: tuple[str, ...]
    config: Callable[..., SSDConfig]
    bgr: bool = False
    background_last: bool = False

    @property
    def names(self) -> dict[str, str]:
        """Our tensor names -> theirs."""
        maps = tuple(MAP_CHANNELS)[: len(self.loc)]
        predictions = (f"pred_convs.{kind}_{name}" for kind in ("loc", "cl") for name in maps)
        ours = (*CONVOLUTIONS[: len(self.convolutions)], *predictions)
        theirs = (*self.convolutions, *self.loc, *self.cl)
        pairs = [(a, b) for pair in zip(ours, theirs, strict=True) for a, b in _parameters(*pair)]
        return {"rescale_factors": self.scale} | dict(pairs)


def _parameters(ours: str, theirs: str) -> list[tuple[str, str]]:
    return [(f"{ours}.{kind}", f"{theirs}.{kind}") for kind in ("weight", "bias")]


def _numbered(pattern: str, n: int = 6) -> tuple[str, ...]:
    return tuple(pattern.format(k) for k in range(n))


def known_names(n_outputs: int, *known: tuple[str, ...]) -> tuple[str, ...]:
    """The names of `n_outputs` - 1 classes: the first known list of that length, else class_1, class_2, ..."""
    for names in known:
        if len(names) + 1 == n_outputs:
            return names
    return tuple(f"class_{label}" for label in range(1, n_outputs))


def without_gaps(names: Iterable[str]) -> tuple[str, ...]:
    """Class names as `SSDConfig` has them, from names where `NO_CLASS` is a label without a class."""
    return tuple("" if name == NO_CLASS else name for name in names)


COCO_IDS = without_gaps(SSD300_VGG16_Weights.COCO_V1.meta["categories"][1:])  # label: category id, with gaps
COCO_CLASSES = tuple(filter(None, COCO_IDS))  # the eighty classes, label: place in the order of the ids


# Prior sizes in pixels by the number of maps. Caffe and mmdetection cut them to whole pixels, lufficc does not.
VOC_PIXELS = {6: CAFFE_PIXELS[300], 7: CAFFE_PIXELS[512]}
COCO_PIXELS = {6: TORCHVISION_PIXELS, 7: (20, 51, 133, 215, 296, 378, 460, 542)}
LUFFICC_VOC_PIXELS = VOC_PIXELS | {7: (35.84, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8, 537.65)}
LUFFICC_COCO_PIXELS = COCO_PIXELS | {7: (20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8, 542.72)}
MMDETECTION_MEAN = (123.675 / 255, 116.28 / 255, 103.53 / 255)


def _caffe_style(
    voc: Sequence[float],
    coco: Sequence[float],
    others: Sequence[float] | None = None,
    coco_outputs: int = len(COCO_CLASSES) + 1,
    **changes: Any,
) -> Callable[..., SSDConfig]:
    """Configs of the Caffe release, or of a project that follows it except for some changes.

    voc, coco: prior sizes in pixels of their classes, as for `SSDConfig.caffe`. others: those for other classes, by
    default VOC's.
    coco_outputs: outputs of their COCO networks; those beyond 81 were never trained.
    """
    coco_names = COCO_CLASSES + ("",) * (coco_outputs - len(COCO_CLASSES) - 1)
    pixels = {VOC_CLASSES: voc, coco_names: coco}

    def config(n_outputs: int, *stored: tuple[str, ...]) -> SSDConfig:
        class_names = known_names(n_outputs, *stored, VOC_CLASSES, coco_names)
        return SSDConfig.caffe(pixels.get(class_names, others or voc), class_names=class_names, **changes)

    return config


def _torchvision(n_outputs: int, *stored: tuple[str, ...]) -> SSDConfig:
    return SSDConfig.torchvision(class_names=known_names(n_outputs, *stored, COCO_IDS))


def _tutorial(n_outputs: int, *stored: tuple[str, ...]) -> SSDConfig:
    return SSDConfig.tutorial(class_names=known_names(n_outputs, *stored, VOC_CLASSES))


def _lufficc(n_maps: int) -> Layout:
    return Layout(
        "lufficc/SSD",
        (*(f"backbone.vgg.{place}" for place in SEQUENTIAL), *_numbered("backbone.extras.{}", 2 * n_maps - 4)),
        "backbone.l2_norm.weight",
        _numbered("box_head.predictor.reg_headers.{}", n_maps),
        _numbered("box_head.predictor.cls_headers.{}", n_maps),
        _caffe_style(LUFFICC_VOC_PIXELS[n_maps], LUFFICC_COCO_PIXELS[n_maps], clip="all"),
    )


def _caffe(n_maps: int) -> Layout:
    maps = ("conv4_3_norm", "fc7", *(f"conv{block}_2" for block in range(6, n_maps + 4)))
    return Layout(
        "the Caffe release",
        (
            *(name.removeprefix("base.") for name in CONVOLUTIONS[:13]), "fc6", "fc7",
            *(f"conv{block}_{k}" for block in range(6, n_maps + 4) for k in (1, 2)),
        ),
        "conv4_3_norm.weight",
        tuple(f"{name}_mbox_loc" for name in maps),
        tuple(f"{name}_mbox_conf" for name in maps),
        _caffe_style(VOC_PIXELS[n_maps], COCO_PIXELS[n_maps]),
        bgr=True,
    )  # fmt: skip


def _mmdetection(n_maps: int) -> Layout:
    return Layout(
        "mmdetection",
        (*FEATURES, *(f"neck.extra_layers.{block}.{k}.conv" for block in range(n_maps - 2) for k in (0, 1))),
        "neck.l2_norm.weight",
        _numbered("bbox_head.reg_convs.{}.0", n_maps),
        _numbered("bbox_head.cls_convs.{}.0", n_maps),
        _caffe_style(VOC_PIXELS[n_maps], coco := COCO_PIXELS[n_maps], others=coco, mean=MMDETECTION_MEAN),
        background_last=True,
    )


def _old_mmdetection(new: Layout) -> Layout:
    n_maps = len(new.loc)
    return replace(
        new,
        project="mmdetection before 2.14",
        convolutions=(*FEATURES, *_numbered("backbone.extra.{}", 2 * n_maps - 4)),
        scale="backbone.l2_norm.weight",
        loc=_numbered("bbox_head.reg_convs.{}", n_maps),
        cl=_numbered("bbox_head.cls_convs.{}", n_maps),
    )


AMDEGROOT = Layout(
    "amdegroot/ssd.pytorch",
    (*(f"vgg.{place}" for place in SEQUENTIAL), *_numbered("extras.{}", 8)),
    "L2Norm.weight", _numbered("loc.{}"), _numbered("conf.{}"),
    _caffe_style(VOC_PIXELS[6], COCO_PIXELS[6], coco_outputs=201, clip="all"),
)  # fmt: skip
SGRVINOD = Layout(
    "sgrvinod's object detection tutorial",
    CONVOLUTIONS[:23], "rescale_factors",
    tuple(f"pred_convs.loc_{name}" for name in SSD300_MAPS), tuple(f"pred_convs.cl_{name}" for name in SSD300_MAPS),
    _tutorial,
)  # fmt: skip
TORCHVISION = Layout(
    "torchvision's ssd300_vgg16",
    (
        *FEATURES[:10],
        *(f"backbone.extra.0.{place}" for place in ("1", "3", "5", "7.1", "7.3")),
        *(f"backbone.extra.{block}.{k}" for block in (1, 2, 3, 4) for k in (0, 2)),
    ),
    "backbone.scale_weight",
    _numbered("head.regression_head.module_list.{}"), _numbered("head.classification_head.module_list.{}"),
    _torchvision,
)  # fmt: skip
LUFFICC, LUFFICC_512 = _lufficc(6), _lufficc(7)
CAFFE, CAFFE_512 = _caffe(6), _caffe(7)
MMDETECTION, MMDETECTION_512 = _mmdetection(6), _mmdetection(7)
LAYOUTS = (
    AMDEGROOT, LUFFICC, LUFFICC_512, SGRVINOD, TORCHVISION, CAFFE, CAFFE_512, MMDETECTION, MMDETECTION_512,
    _old_mmdetection(MMDETECTION), _old_mmdetection(MMDETECTION_512),
)  # fmt: skip


def as_reducedfc(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The Caffe release's VGG16, from which its SSDs started, as a state dict of `vgg16_reducedfc`; others unchanged.

    It has the release's names, and fc6 and fc7 are convolutions. Its input becomes RGB.
    """
    pairs = zip(map(str, SEQUENTIAL), CAFFE.convolutions, strict=False)  # conv1_1 to fc7
    names = dict(parameter for pair in pairs for parameter in _parameters(*pair))
    if CAFFE.scale in state or not state.keys() >= set(names.values()):
        return state
    renamed = {ours: state[theirs] for ours, theirs in names.items()}
    return renamed | {"0.weight": renamed["0.weight"].flip(1)}  # (64, 3, 3, 3)


def find_layout(state: dict[str, Tensor]) -> Layout | None:
    """The layout whose names are most like a state dict's, among those whose first convolution it has; or None."""
    possible = [layout for layout in LAYOUTS if f"{layout.convolutions[0]}.weight" in state]
    return min(possible, key=lambda layout: len(set(layout.names.values()) ^ set(state)), default=None)


def guessed_priors(layout: Layout, config: SSDConfig, *stored: tuple[str, ...]) -> str:
    """Whose priors a config from `convert` has by a guess: "VOC" or "COCO"; "" where there is no guess.

    These two have other priors in all layouts but two. Only class names stored in the file tell which.
    """
    names = config.class_names
    if layout in (TORCHVISION, SGRVINOD) or (names in stored and names in (VOC_CLASSES, COCO_CLASSES)):
        return ""
    return "VOC" if config.prior_sizes == layout.config(len(VOC_CLASSES) + 1).prior_sizes else "COCO"


def convert(layout: Layout, state: dict[str, Tensor], *stored: tuple[str, ...]) -> tuple[SSDConfig, dict[str, Tensor]]:
    """The `SSDConfig` and our state dict, in float32, of a state dict in a layout.

    stored: class names in the same file; those of the right number are taken.
    Raises ValueError on missing or additional tensors, and on outputs that no number of classes gives.
    """
    names = layout.names
    wanted = set(names.values())
    if missing := [name for name in names.values() if name not in state]:
        raise ValueError(f"lacks {missing[0]}{_more(missing)}")
    if extra := [name for name in state if name not in wanted]:
        raise ValueError(f"also has {extra[0]}{_more(extra)}, so it is not an SSD with VGG16")
    n_outputs = _count_outputs(layout, state)
    ours = {name: state[theirs].float() for name, theirs in names.items()}
    ours["rescale_factors"] = ours["rescale_factors"].reshape(1, -1, 1, 1)
    if layout.bgr:
        ours[FIRST_WEIGHT] = ours[FIRST_WEIGHT].flip(1)  # (64, 3, 3, 3)
    if layout.background_last:
        for name in (name for name in ours if name.startswith("pred_convs.cl_")):
            by_class = ours[name].unflatten(0, (-1, n_outputs))  # (n_priors, n_outputs, ...)
            ours[name] = by_class.roll(1, dims=1).flatten(0, 1)
    return layout.config(n_outputs, *stored), ours


def _count_outputs(layout: Layout, state: dict[str, Tensor]) -> int:
    """Scores for each prior of the first map; four offsets for each tell how many priors a cell has."""
    loc, cl = (len(state[f"{names[0]}.bias"]) for names in (layout.loc, layout.cl))
    n_priors = max(loc // 4, 1)
    if loc % 4 or cl % n_priors or cl // n_priors < 2:
        raise ValueError(f"has {loc} offsets and {cl} scores a cell in {layout.loc[0]} and {layout.cl[0]}")
    return cl // n_priors


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
