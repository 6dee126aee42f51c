"""The layouts in which other projects store an SSD300 with VGG16: tensor names, and the config that goes with them.

All of them order a convolution's channels as we do: prior by prior, in the order of their prior table. So conversion is
renaming, and the order of the priors is in the `SSDConfig`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor
from torchvision.models.detection import SSD300_VGG16_Weights

from ssd.config import CAFFE_INPUT, VOC_CLASSES, SSDConfig
from ssd.model.network import MAP_CHANNELS

NO_CLASS = "N/A"  # torchvision's name for the labels between COCO's ids that have no class

# Our convolutions from the picture to the last map.
CONVOLUTIONS = (
    *(f"base.conv{stage}_{k}" for stage, length in enumerate((2, 2, 3, 3, 3), start=1) for k in range(1, length + 1)),
    "base.conv6", "base.conv7",
    *(f"aux_convs.conv{block}_{k}" for block in (8, 9, 10, 11) for k in (1, 2)),
)  # fmt: skip
# The places of conv1_1 to conv7 in one `nn.Sequential` of VGG16, between its ReLUs and poolings.
SEQUENTIAL = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33)


@dataclass(frozen=True)
class Layout:
    """A project's names for our tensors.

    convolutions: in the order of CONVOLUTIONS. scale: the scales of the L2 normalisation. loc, cl: the prediction
    convolutions of the six maps. config: number of outputs -> the `SSDConfig` of a network that the project trained.
    """

    project: str
    convolutions: tuple[str, ...]
    scale: str
    loc: tuple[str, ...]
    cl: tuple[str, ...]
    config: Callable[[int], SSDConfig]

    @property
    def names(self) -> dict[str, str]:
        """Our tensor names -> theirs."""
        ours = (*CONVOLUTIONS, *(f"pred_convs.{kind}_{name}" for kind in ("loc", "cl") for name in MAP_CHANNELS))
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


def _caffe_style(coco_outputs: int) -> Callable[[int], SSDConfig]:
    """Configs of the two projects that follow the Caffe release, but clip its priors.

    For COCO both use smaller priors, as torchvision does. coco_outputs: outputs of their COCO networks; those beyond 81
    were never trained.
    """
    coco = COCO_CLASSES + ("",) * (coco_outputs - len(COCO_CLASSES) - 1)

    def config(n_outputs: int) -> SSDConfig:
        convention = SSDConfig.torchvision if n_outputs == coco_outputs else SSDConfig.caffe
        return convention(class_names=known_names(n_outputs, VOC_CLASSES, coco), clip="all", **CAFFE_INPUT)

    return config


def _torchvision(n_outputs: int) -> SSDConfig:
    return SSDConfig.torchvision(class_names=known_names(n_outputs, COCO_IDS))


def _tutorial(n_outputs: int) -> SSDConfig:
    return SSDConfig.tutorial(class_names=known_names(n_outputs, VOC_CLASSES))


AMDEGROOT = Layout(
    "amdegroot/ssd.pytorch",
    (*(f"vgg.{place}" for place in SEQUENTIAL), *(f"extras.{k}" for k in range(8))),
    "L2Norm.weight", _six("loc.{}"), _six("conf.{}"), _caffe_style(coco_outputs=201),
)  # fmt: skip
LUFFICC = Layout(
    "lufficc/SSD",
    tuple(f"backbone.{name}" for name in AMDEGROOT.convolutions),
    "backbone.l2_norm.weight", _six("box_head.predictor.reg_headers.{}"), _six("box_head.predictor.cls_headers.{}"),
    _caffe_style(coco_outputs=81),
)  # fmt: skip
SGRVINOD = Layout(
    "sgrvinod's object detection tutorial",
    CONVOLUTIONS, "rescale_factors",
    tuple(f"pred_convs.loc_{name}" for name in MAP_CHANNELS), tuple(f"pred_convs.cl_{name}" for name in MAP_CHANNELS),
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
LAYOUTS = (AMDEGROOT, LUFFICC, SGRVINOD, TORCHVISION)


def find_layout(state: dict[str, Tensor]) -> Layout | None:
    """The layout whose first convolution a state dict has, or None."""
    return next((layout for layout in LAYOUTS if f"{layout.convolutions[0]}.weight" in state), None)


def convert(layout: Layout, state: dict[str, Tensor]) -> tuple[SSDConfig, dict[str, Tensor]]:
    """The `SSDConfig` and our state dict, in float32, of a state dict in a layout.

    Raises ValueError on missing or additional tensors, and on outputs that no number of classes gives.
    """
    names = layout.names
    wanted = set(names.values())
    if missing := [name for name in names.values() if name not in state]:
        raise ValueError(f"lacks {missing[0]}{_more(missing)}")
    if extra := [name for name in state if name not in wanted]:
        raise ValueError(f"also has {extra[0]}{_more(extra)}, so it is not an SSD300 with VGG16")
    n_outputs = _count_outputs(layout, state)
    ours = {name: state[theirs].float() for name, theirs in names.items()}
    ours["rescale_factors"] = ours["rescale_factors"].reshape(1, -1, 1, 1)
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
