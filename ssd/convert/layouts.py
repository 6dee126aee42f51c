"""The layouts in which other projects store an SSD with VGG16: tensor names, and the config that goes with them.

All of them order a convolution's channels as we do: prior by prior, in the order of their prior table. So conversion is
renaming, and the order of the priors is in the `SSDConfig`. Only two things differ in some of them: the order of the
input's colours, and the place of the background among the scores.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from torchvision.models.detection import SSD300_VGG16_Weights

from ssd.config import CAFFE_INPUT, RGB, VOC_CLASSES, SSDConfig
from ssd.model.network import MAP_CHANNELS

NO_CLASS = "N/A"  # torchvision's name for the labels between COCO's ids that have no class

MAPS = tuple(MAP_CHANNELS)[:6]

# Our convolutions from the picture to the last map.
CONVOLUTIONS = (
    *(f"base.conv{stage}_{k}" for stage, length in enumerate((2, 2, 3, 3, 3), start=1) for k in range(1, length + 1)),
    "base.conv6", "base.conv7",
    *(f"aux_convs.conv{block}_{k}" for block in (8, 9, 10, 11) for k in (1, 2)),
)  # fmt: skip
FIRST_WEIGHT = f"{CONVOLUTIONS[0]}.weight"
# The places of conv1_1 to conv7 in one `nn.Sequential` of VGG16, between its ReLUs and poolings.
SEQUENTIAL = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33)


@dataclass(frozen=True)
class Layout:
    """A project's names for our tensors.

    convolutions: in the order of CONVOLUTIONS. scale: the scales of the L2 normalisation. loc, cl: the prediction
    convolutions of each map. config: number of outputs -> the `SSDConfig` of a network that the project trained.
    bgr: its input is blue, green, red. background_last: its labels count from 0, and the background comes last.
    """

    project: str
    convolutions: tuple[str, ...]
    scale: str
    loc: tuple[str, ...]
    cl: tuple[str, ...]
    config: Callable[[int], SSDConfig]
    bgr: bool = False
    background_last: bool = False

    @property
    def names(self) -> dict[str, str]:
        """Our tensor names -> theirs."""
        ours = (*CONVOLUTIONS, *(f"pred_convs.{kind}_{name}" for kind in ("loc", "cl") for name in MAPS))
        theirs = (*self.convolutions, *self.loc, *self.cl)
        pairs = [(a, b) for pair in zip(ours, theirs, strict=True) for a, b in _parameters(*pair)]
        return {"rescale_factors": self.scale} | dict(pairs)


def _parameters(ours: str, theirs: str) -> list[tuple[str, str]]:
    return [(f"{ours}.{kind}", f"{theirs}.{kind}") for kind in ("weight", "bias")]


def _six(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.format(k) for k in range(6))


def known_names(n_outputs: int, *known: tuple[str, ...]) -> tuple[str, ...]:
    """The names of `n_outputs` - 1 classes: the known list of that length, else class_1, class_2, ..."""
    for names in known:
        if len(names) + 1 == n_outputs:
            return names
    return tuple(f"class_{label}" for label in range(1, n_outputs))


def without_gaps(names: Iterable[str]) -> tuple[str, ...]:
    """Class names as `SSDConfig` has them, from names where `NO_CLASS` is a label without a class."""
    return tuple("" if name == NO_CLASS else name for name in names)


COCO_IDS = without_gaps(SSD300_VGG16_Weights.COCO_V1.meta["categories"][1:])  # label: category id, with gaps
COCO_CLASSES = tuple(filter(None, COCO_IDS))  # the eighty classes, label: place in the order of the ids


def _caffe_style(
    coco_outputs: int = len(COCO_CLASSES) + 1,
    others: Callable[..., SSDConfig] = SSDConfig.caffe,
    clip: str = "none",
    mean: RGB = CAFFE_INPUT["mean"],
) -> Callable[[int], SSDConfig]:
    """Configs of the Caffe release, or of a project that follows it. For COCO all of them have smaller priors.

    coco_outputs: outputs of their COCO networks; those beyond 81 were never trained. others: the convention for classes
    that are neither VOC's nor COCO's.
    """
    coco = COCO_CLASSES + ("",) * (coco_outputs - len(COCO_CLASSES) - 1)
    conventions = {len(VOC_CLASSES) + 1: SSDConfig.caffe, coco_outputs: SSDConfig.torchvision}

    def config(n_outputs: int) -> SSDConfig:
        convention = conventions.get(n_outputs, others)
        fields = CAFFE_INPUT | {"mean": mean}
        return convention(class_names=known_names(n_outputs, VOC_CLASSES, coco), clip=clip, **fields)

    return config


def _torchvision(n_outputs: int) -> SSDConfig:
    return SSDConfig.torchvision(class_names=known_names(n_outputs, COCO_IDS))


def _tutorial(n_outputs: int) -> SSDConfig:
    return SSDConfig.tutorial(class_names=known_names(n_outputs, VOC_CLASSES))


AMDEGROOT = Layout(
    "amdegroot/ssd.pytorch",
    (*(f"vgg.{place}" for place in SEQUENTIAL), *(f"extras.{k}" for k in range(8))),
    "L2Norm.weight", _six("loc.{}"), _six("conf.{}"), _caffe_style(coco_outputs=201, clip="all"),
)  # fmt: skip
LUFFICC = Layout(
    "lufficc/SSD",
    tuple(f"backbone.{name}" for name in AMDEGROOT.convolutions),
    "backbone.l2_norm.weight", _six("box_head.predictor.reg_headers.{}"), _six("box_head.predictor.cls_headers.{}"),
    _caffe_style(clip="all"),
)  # fmt: skip
SGRVINOD = Layout(
    "sgrvinod's object detection tutorial",
    CONVOLUTIONS, "rescale_factors",
    tuple(f"pred_convs.loc_{name}" for name in MAPS), tuple(f"pred_convs.cl_{name}" for name in MAPS),
    _tutorial,
)  # fmt: skip
TORCHVISION = Layout(
    "torchvision's ssd300_vgg16",
    (
        *(f"backbone.features.{place}" for place in SEQUENTIAL[:10]),
        *(f"backbone.extra.0.{place}" for place in ("1", "3", "5", "7.1", "7.3")),
        *(f"backbone.extra.{block}.{k}" for block in (1, 2, 3, 4) for k in (0, 2)),
    ),
    "backbone.scale_weight",
    _six("head.regression_head.module_list.{}"), _six("head.classification_head.module_list.{}"), _torchvision,
)  # fmt: skip
CAFFE_MAPS = ("conv4_3_norm", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2")
CAFFE = Layout(
    "the Caffe release",
    (
        *(name.removeprefix("base.") for name in CONVOLUTIONS[:13]), "fc6", "fc7",
        *(f"conv{block}_{k}" for block in (6, 7, 8, 9) for k in (1, 2)),
    ),
    "conv4_3_norm.weight",
    tuple(f"{name}_mbox_loc" for name in CAFFE_MAPS), tuple(f"{name}_mbox_conf" for name in CAFFE_MAPS),
    _caffe_style(), bgr=True,
)  # fmt: skip
MMDETECTION = Layout(
    "mmdetection",
    (
        *(f"backbone.features.{place}" for place in SEQUENTIAL),
        *(f"neck.extra_layers.{block}.{k}.conv" for block in range(4) for k in (0, 1)),
    ),
    "neck.l2_norm.weight", _six("bbox_head.reg_convs.{}.0"), _six("bbox_head.cls_convs.{}.0"),
    _caffe_style(others=SSDConfig.torchvision, mean=(123.675 / 255, 116.28 / 255, 103.53 / 255)), background_last=True,
)  # fmt: skip
OLD_MMDETECTION = replace(
    MMDETECTION,
    project="mmdetection before 2.14",
    convolutions=(*MMDETECTION.convolutions[:15], *(f"backbone.extra.{k}" for k in range(8))),
    scale="backbone.l2_norm.weight", loc=_six("bbox_head.reg_convs.{}"), cl=_six("bbox_head.cls_convs.{}"),
)  # fmt: skip
LAYOUTS = (AMDEGROOT, LUFFICC, SGRVINOD, TORCHVISION, CAFFE, MMDETECTION, OLD_MMDETECTION)


def find_layout(state: dict[str, Tensor]) -> Layout | None:
    """The layout whose names are most like a state dict's, among those whose first convolution it has; or None."""
    possible = [layout for layout in LAYOUTS if f"{layout.convolutions[0]}.weight" in state]
    return min(possible, key=lambda layout: len(set(layout.names.values()) ^ set(state)), default=None)


def convert(layout: Layout, state: dict[str, Tensor]) -> tuple[SSDConfig, dict[str, Tensor]]:
    """The `SSDConfig` and our state dict, in float32, of a state dict in a layout.

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
    return layout.config(n_outputs), ours


def _count_outputs(layout: Layout, state: dict[str, Tensor]) -> int:
    """Scores for each prior of the first map; four offsets for each tell how many priors a cell has."""
    loc, cl = (len(state[f"{names[0]}.bias"]) for names in (layout.loc, layout.cl))
    n_priors = max(loc // 4, 1)
    if loc % 4 or cl % n_priors or cl // n_priors < 2:
        raise ValueError(f"has {loc} offsets and {cl} scores a cell in {layout.loc[0]} and {layout.cl[0]}")
    return cl // n_priors


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
