"""Input size, classes, prior boxes and normalisation of a model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import inf, sqrt
from typing import Any, Literal

from ssd.errors import InputError

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

RGB = tuple[float, float, float]
Sizes = tuple[tuple[float, float], ...]  # (width, height) of each prior of a cell, as fractions of the image
Order = tuple[float | Literal["extra"], ...]

VARIANCES = (0.1, 0.2)  # divisors of the centre and the size offsets in the authors' release
BACKBONES = ("vgg16", "vgg16_bn")
CLIPS = ("all", "size", "none")

# By input size: the cells along each side of the maps that predict, conv4_3, conv7, conv8_2, ...
FEATURE_MAPS = {300: (38, 19, 10, 5, 3, 1), 512: (64, 32, 16, 8, 4, 2, 1)}

# The published prior tables differ in their scales and in the order of the priors in a cell, which is the order of the
# prediction channels. A ratio is width / height; "extra" is the larger square.
SCALES = {300: (0.1, 0.2, 0.375, 0.55, 0.725, 0.9), 512: (0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9)}  # by input size
LAST_EXTRA = 1.0  # the whole image
ORDER: Order = (1, "extra", 2, 3, 1 / 2, 1 / 3)
TUTORIAL_ORDER: Order = (*ORDER[:-1], 0.333)  # the default but for the last ratio, which was rounded
CAFFE_PIXELS = {300: (30, 60, 111, 162, 213, 264, 315), 512: (35, 76, 153, 230, 307, 384, 460, 537)}
CAFFE_STEPS = {300: (8, 16, 32, 64, 100, 300), 512: (8, 16, 32, 64, 128, 256, 512)}
CAFFE_ORDER: Order = (1, "extra", 2, 1 / 2, 3, 1 / 3)
TORCHVISION_PIXELS = (21, 45, 99, 153, 207, 261, 315)
# How the input is normalised for torchvision's classifiers and for the authors' release, in units of 0-1 RGB.
IMAGENET_INPUT: dict[str, RGB] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CAFFE_INPUT: dict[str, RGB] = {"mean": (123 / 255, 117 / 255, 104 / 255), "std": (1 / 255, 1 / 255, 1 / 255)}


def sizes_per_map(scales: Sequence[float], extras: Sequence[float], order: Order) -> tuple[Sizes, ...]:
    """The (width, height) of each prior of a cell, for each map, as fractions of the image (paper, section 2.2).

    A prior of scale s and ratio r is s sqrt(r) wide and s / sqrt(r) high. The first map and the last two have only the
    ratio nearest to 1 and its inverse, in the paper 2 and 1/2, beside the squares.

    scales: s of each map. extras: side of each map's extra square, in the paper sqrt(s s'), s' being the next map's.
    order: the ratios in channel order.
    """
    nearest = min((ratio for ratio in order if ratio != "extra" and ratio > 1), default=1)
    sizes = []
    for k, (scale, extra) in enumerate(zip(scales, extras, strict=True)):
        all_ratios = 0 < k < len(scales) - 2
        limit = inf if all_ratios else 1.001 * nearest  # a ratio may be rounded
        shapes = [(extra, 1.0) if ratio == "extra" else (scale, ratio) for ratio in order]
        sizes.append(tuple((s * sqrt(r), s / sqrt(r)) for s, r in shapes if max(r, 1 / r) <= limit))
    return tuple(sizes)


def _paper_sizes(scales: Sequence[float], order: Order = ORDER) -> tuple[Sizes, ...]:
    return sizes_per_map(scales, (*_geometric_means(scales), LAST_EXTRA), order)


def _geometric_means(scales: Sequence[float]) -> tuple[float, ...]:
    return tuple(sqrt(a * b) for a, b in pairwise(scales))


def create_label_map(class_names: Sequence[str]) -> dict[str, int]:
    """Class name -> label: "background" is 0, the classes count from 1, labels without a class are left out.

    Raises InputError if a class is called "background".
    """
    if "background" in class_names:
        raise InputError('a class is called "background", the name of label 0; give it another in the annotations')
    return {"background": 0} | {name: label for label, name in enumerate(class_names, start=1) if name}


@dataclass(frozen=True)
class SSDConfig:
    """What the numbers in a model's tensors mean. Saved in every checkpoint.

    class_names: the objects' classes, in the order of their labels 1, 2, ... (label 0 is the background). An empty
        name is a label without a class, such as the gaps between COCO's ids: the network has an output for it, so that
        published weights stay as they are, but it is never detected.
    backbone: "vgg16", or "vgg16_bn" with batch normalisation.
    input_size: side of the square input in pixels, 300 for an `SSD300` or 512 for an `SSD512`.
    feature_maps: cells along each side of each map.
    steps: distance between the centres of neighbouring cells of each map, as a fraction of the image.
    prior_sizes: the (width, height) of each map's priors in channel order, as fractions of the image.
    clip: which centre-size numbers of a prior are clamped to [0, 1]: "all", "size" (width and height) or "none".
    variances: divisors of the centre and the size offsets.
    mean, std: of the input's red, green and blue, in units of 0-1 RGB.

    Raises ValueError if a field has a value that it cannot have.
    """

    class_names: tuple[str, ...] = VOC_CLASSES
    backbone: str = "vgg16"
    input_size: int = 300
    feature_maps: tuple[int, ...] = FEATURE_MAPS[300]
    steps: tuple[float, ...] = (1 / 38, 1 / 19, 1 / 10, 1 / 5, 1 / 3, 1.0)
    prior_sizes: tuple[Sizes, ...] = _paper_sizes(SCALES[300])
    clip: str = "all"
    variances: tuple[float, float] = VARIANCES
    mean: RGB = IMAGENET_INPUT["mean"]
    std: RGB = IMAGENET_INPUT["std"]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, _as_tuples(value))
        _check_names(self.class_names)
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone is {self.backbone!r}, must be one of {', '.join(BACKBONES)}")
        if self.clip not in CLIPS:
            raise ValueError(f"clip is {self.clip!r}, must be one of {', '.join(CLIPS)}")
        made = _maps_of_size(self.input_size)
        if self.feature_maps != made:
            raise ValueError(f"feature_maps is {self.feature_maps}, but input_size {self.input_size} gives {made}")
        if not len(self.steps) == len(self.prior_sizes) == len(made):
            raise ValueError(f"steps and prior_sizes must have one entry for each of the {len(made)} maps")

    @classmethod
    def of_size(cls, size: int, **changes: Any) -> "SSDConfig":
        """The config of the paper's network for inputs of 300 or 512 pixels; `SSDConfig()` is that of 300.

        Raises ValueError on another size.
        """
        maps = _maps_of_size(size)
        fields: dict[str, Any] = {
            "input_size": size,
            "feature_maps": maps,
            "steps": tuple(1 / cells for cells in maps),
            "prior_sizes": _paper_sizes(SCALES[size]),
        }
        return cls(**fields | changes)

    @classmethod
    def caffe(cls, pixels: Sequence[float] = CAFFE_PIXELS[300], **changes: Any) -> "SSDConfig":
        """The config of the Caffe release's SSD300: whole-pixel sizes and steps, no clipping, only the mean subtracted.

        pixels: the sizes of the maps' priors, and one size more, for the last extra square. Eight make it an SSD512.
        """
        input_size = {7: 300, 8: 512}[len(pixels)]
        scales = [size / input_size for size in pixels]
        published: dict[str, Any] = {
            "input_size": input_size,
            "feature_maps": FEATURE_MAPS[input_size],
            "steps": tuple(step / input_size for step in CAFFE_STEPS[input_size]),
            "prior_sizes": sizes_per_map(scales[:-1], _geometric_means(scales), CAFFE_ORDER),
            "clip": "none",
        } | CAFFE_INPUT
        return cls(**published | changes)

    @classmethod
    def caffe512(cls, **changes: Any) -> "SSDConfig":
        """The config of the Caffe release's SSD512. Its prior layers cut the sizes of the script to whole pixels."""
        return cls.caffe(CAFFE_PIXELS[512], **changes)

    @classmethod
    def tutorial(cls, **changes: Any) -> "SSDConfig":
        """The config of the tutorial that this project is built from (sgrvinod's)."""
        return cls(**{"prior_sizes": _paper_sizes(SCALES[300], TUTORIAL_ORDER)} | changes)

    @classmethod
    def torchvision(cls, **changes: Any) -> "SSDConfig":
        """The config of torchvision's `ssd300_vgg16`: its own sizes, widths and heights clipped."""
        published: dict[str, Any] = {
            "clip": "size",
            "mean": (0.48235, 0.45882, 0.40784),
            "std": (1 / 255,) * 3,
        }
        return cls.caffe(TORCHVISION_PIXELS, **published | changes)

    @property
    def n_classes(self) -> int:
        """Outputs per prior: the classes and the background."""
        return len(self.class_names) + 1

    @property
    def label_map(self) -> dict[str, int]:
        """Class name -> label, the background included."""
        return create_label_map(self.class_names)

    @property
    def unused_labels(self) -> tuple[int, ...]:
        """The labels that have no class and are never detected."""
        return tuple(label for label, name in enumerate(self.class_names, start=1) if not name)

    @property
    def priors_per_cell(self) -> tuple[int, ...]:
        """Number of priors at each cell of each map."""
        return tuple(len(sizes) for sizes in self.prior_sizes)

    @property
    def scales(self) -> tuple[float, ...]:
        """The scale of each map: the side of a square of its first prior's area."""
        return tuple(sqrt(width * height) for (width, height), *_ in self.prior_sizes)

    @property
    def order(self) -> Order:
        """The ratios of conv7's priors in channel order. The other maps have these too, or some of them."""
        return (1, "extra", *(width / height for width, height in self.prior_sizes[1][2:]))

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratios above 1, each of which stands for its inverse too."""
        return tuple(round(ratio, 6) for ratio in self.order if ratio != "extra" and ratio > 1)

    def with_priors(self, scales: Sequence[float] | None = None, ratios: Sequence[float] | None = None) -> "SSDConfig":
        """This config with other priors, by the paper's rule (`sizes_per_map`), or as it is without either argument.

        scales: of each map, rising, as fractions of the image; by default as they are. ratios: above 1; each stands for
        its inverse too. By default, and if they are the present ones, the priors keep their ratios and their order.
        Raises InputError on numbers that make no such priors.
        """
        if scales is ratios is None:
            return self
        scales, n_maps = list(self.scales if scales is None else scales), len(self.feature_maps)
        if len(scales) != n_maps or sorted({*scales}) != scales or not 0 < scales[0] <= scales[-1] <= 1:
            raise InputError(
                f"--scales {_words(scales)}: the {n_maps} maps need {n_maps} numbers, each larger than the one before, "
                "above 0 and up to 1"
            )
        order = self.order
        if ratios is not None:
            if not ratios or min(ratios) <= 1 or len({*ratios}) < len(ratios):
                raise InputError(f"--ratios {_words(ratios)}: must be different numbers above 1")
            if {*ratios} != {*self.ratios}:
                order = (1, "extra", *ratios, *(1 / ratio for ratio in ratios))
        return replace(self, prior_sizes=_paper_sizes(scales, order))

    def resized(self, size: int) -> "SSDConfig":
        """This config for inputs of another size, 300 or 512, with the maps and scales of the paper's network."""
        new, sizes = SSDConfig.of_size(size), _paper_sizes(SCALES[size], self.order)
        return replace(self, input_size=size, feature_maps=new.feature_maps, steps=new.steps, prior_sizes=sizes)

    def to_dict(self) -> dict[str, Any]:
        """The fields in plain containers, for a checkpoint or JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "SSDConfig":
        """The inverse of `to_dict`. Raises ValueError on what is no dict, and on an unknown field."""
        if not isinstance(fields, dict):
            raise ValueError("the config is no dict")
        if unknown := fields.keys() - cls.__dataclass_fields__:
            raise ValueError(f"the config has the unknown field {min(map(str, unknown))!r}")
        return cls(**fields)


def _maps_of_size(input_size: int) -> tuple[int, ...]:
    if input_size not in FEATURE_MAPS:
        raise ValueError(f"input_size is {input_size}, must be {' or '.join(map(str, FEATURE_MAPS))}")
    return FEATURE_MAPS[input_size]


def _check_names(class_names: object) -> None:
    if not isinstance(class_names, tuple) or not all(isinstance(name, str) for name in class_names):
        raise ValueError(f"class_names is {class_names!r}, must be a list of names")
    if repeated := [name for name in class_names if name and class_names.count(name) > 1]:
        raise ValueError(f"class_names has {repeated[0]!r} twice; each class needs a name of its own")
    create_label_map(class_names)  # refuses a class called background


def _words(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list | tuple) else value
