"""Random configs, pictures, objects, thresholds and options through detection, loss, samples, evaluation and training.

python -m tests.long.fuzz --cases 2000 [--first 0] [--network small|ssd300]

Each case has a number, from which all of it is drawn; a case that fails is named with its number and its traceback.
The exit status is 1 if one did. The pictures have sides of 1 to 20,000 pixels, the configs 1 to 300 classes.
"""

import argparse
import contextlib
import io
import json
import math
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_iou

from ssd import SSD300, Detector, MultiBoxLoss, SSDConfig, calculate_mAP, create_prior_boxes
from ssd.commands import train
from ssd.data import PascalVOCDataset, write_data_lists
from ssd.data.augmentation import AUGMENTATIONS
from ssd.data.formats.records import AnnotatedImage, AnnotatedObject
from ssd.data.lists import label_images
from tests.helpers import small_network
from tests.helpers.small_network import SmallSSD

LONGEST, MOST_PIXELS = 20_000, 4_000_000
MODES = ("1", "L", "P", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F", "I;16")
FILES = {"PNG": "RGBA", "JPEG": "RGB", "WEBP": "RGB", "GIF": "P", "BMP": "RGB", "TIFF": "CMYK"}
CONVENTIONS = (SSDConfig, SSDConfig.caffe, SSDConfig.tutorial, SSDConfig.torchvision)


class NoisySSD(SmallSSD):
    """Says something else for each prior, and takes no time. A picture gets the same in every batch."""

    def __init__(self, config, spread=3.0):
        super().__init__(config)
        noise = torch.randn(len(self.priors_cxcy), 4 + config.n_classes) * spread
        self.register_buffer("noise", noise, persistent=False)

    def forward(self, images):
        locs, scores = super().forward(images)
        return locs + self.noise[:, :4].to(locs), scores + self.noise[:, 4:].to(scores)


def random_config(rng):
    n_classes = rng.choice([1, 2, rng.randint(1, 300), 300])
    names = [f"class {k}" if k == 0 or rng.random() < 0.95 else "" for k in range(n_classes)]
    changes = {"clip": rng.choice(["all", "size", "none"])} if rng.random() < 0.5 else {}
    if rng.random() < 0.3:
        shapes = [[[rng.uniform(0.01, 1.2) for _ in range(2)] for _ in range(rng.randint(1, 8))] for _ in range(6)]
        changes |= {"prior_sizes": shapes, "variances": [rng.uniform(0.05, 1), rng.uniform(0.05, 1)]}
    config = rng.choice(CONVENTIONS)(class_names=names, backbone=rng.choice(["vgg16", "vgg16_bn"]), **changes)
    assert SSDConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    return config


def random_size(rng):
    width, height = (round(math.exp(rng.uniform(0, math.log(LONGEST)))) for _ in range(2))
    width = rng.choice([1, width, LONGEST])
    return width, max(1, min(height, MOST_PIXELS // width))


def random_pil(rng, size=None):
    """A picture of any mode; a few pixels of noise, enlarged."""
    small = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (3, 3, 4), dtype=np.uint8)
    image = Image.fromarray(small, "RGBA").resize(size or random_size(rng), Image.Resampling.NEAREST)
    mode = rng.choice(MODES)
    return image.convert("LA").convert("La") if mode == "La" else _converted(image, mode)


def _converted(image, mode):
    through = {"I;16": "L", "HSV": "RGB", "F": "L", "I": "L", "P": "RGB"}.get(mode)
    return (image.convert(through) if through else image).convert(mode)


def random_picture(rng, folder):
    """A picture in one of the forms that `Detector` takes, and its (width, height)."""
    image, kind = random_pil(rng), rng.choice(["pil", "array", "tensor", "floats", "path"])
    if kind == "pil":
        return image, image.size
    if kind == "path":
        suffix = rng.choice(list(FILES))
        path = Path(folder) / f"{rng.getrandbits(32)}.{suffix.lower()}"
        small = image.crop((0, 0, min(image.width, 16383), min(image.height, 16383)))  # WebP has no larger
        small = small.convert("LA") if small.mode == "La" else small
        small.convert("RGBA" if small.mode in ("LA", "RGBa") else "RGB").convert(FILES[suffix]).save(path, suffix)
        return rng.choice([path, str(path)]), small.size
    array = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (*image.size[::-1], 3), dtype=np.uint8)
    if kind == "array":
        return rng.choice([array, array[:, ::-1]]), image.size
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    return (tensor if kind == "tensor" else tensor / 255), image.size


def fuzz_detection(rng, network, folder):
    """Pictures of every kind through a `Detector`: everything that its documents say of the result holds."""
    config = random_config(rng)
    torch.manual_seed(rng.getrandbits(32))
    detector = Detector(network(config), device="cpu", precision=rng.choice(["fp32", "bf16"]))
    pictures, sizes = zip(*(random_picture(rng, folder) for _ in range(rng.randint(1, 3))), strict=True)
    names = list(filter(None, config.class_names))
    by_name = {name: rng.choice([0, 0.01, rng.random(), 1]) for name in rng.sample(names, rng.randint(0, len(names)))}
    min_score = rng.choice([0, 0.01, 0.2, rng.random(), 1, by_name])
    max_overlap = rng.choice([0, 0.45, rng.random(), 1])
    top_k = rng.choice([0, 1, 200, rng.randint(0, 5000)])
    found = detector(list(pictures), min_score, max_overlap, top_k)
    for picture, size, detections in zip(pictures, sizes, found, strict=True):
        check_detections(detections, size, config, min_score, max_overlap, top_k)
        assert detections[:50].draw(picture).size == size
    if network is not SSD300:  # whose sums depend on the batch, in the last digit
        alone = detector(pictures[0], min_score, max_overlap, top_k)
        assert alone.names == found[0].names
        torch.testing.assert_close(alone.scores, found[0].scores)


def check_detections(found, size, config, min_score, max_overlap, top_k):
    n = len(found)
    assert n <= top_k
    assert found.boxes.shape == (n, 4)
    assert found.boxes.isfinite().all()
    limits = torch.tensor(size, dtype=torch.float32)
    assert (found.boxes >= 0).all()
    assert (found.boxes.view(-1, 2, 2) <= limits).all()
    assert (found.boxes[:, :2] <= found.boxes[:, 2:]).all()
    scores = min_score if isinstance(min_score, dict) else dict.fromkeys(found.names, min_score)
    assert (found.scores > torch.tensor([scores.get(name, 0.2) for name in found.names])).all()
    assert (found.scores.diff() <= 0).all()
    assert [config.class_names[label - 1] for label in found.labels.tolist()] == found.names
    assert "" not in found.names
    few = found[:300]
    overlaps = box_iou(*[few.boxes.double() / limits.repeat(2)] * 2).fill_diagonal_(0)
    same = few.labels[:, None] == few.labels
    assert not (overlaps[same] > max_overlap + 1e-4).any()  # NaN: boxes beyond the picture, without area
    assert json.loads(json.dumps(found.to_list())) == found.to_list()
    assert len([one.box for one in found]) == n


def random_objects(rng, n_classes):
    """Boxes (n, 4), fractions of the image, and labels (n,): none, one or many, from specks to the whole image."""
    n = rng.choice([0, 0, 1, rng.randint(1, 80)])
    corners = torch.rand(n, 2, 2, dtype=torch.float64).sort(dim=1).values
    corners[:, 1] = (corners[:, 0] + 1e-4).maximum(corners[:, 1]).clamp(max=1 + 1e-4)
    if n and rng.random() < 0.2:
        corners[0] = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
        corners[-1] = corners[0]
    return corners.view(-1, 4).float(), torch.randint(1, n_classes, (n,))


def fuzz_loss(rng, network, folder):
    """The loss of random predictions is finite, and so are its gradients."""
    config = random_config(rng)
    torch.manual_seed(rng.getrandbits(32))
    priors, spread = create_prior_boxes(config), rng.choice([0.01, 1, 30, 1000])
    n_images = rng.randint(1, 3)
    locs = (torch.randn(n_images, len(priors), 4) * spread).requires_grad_()
    scores = (torch.randn(n_images, len(priors), config.n_classes) * spread).requires_grad_()
    boxes, labels = zip(*(random_objects(rng, config.n_classes) for _ in range(n_images)), strict=True)
    criterion = MultiBoxLoss(priors, variances=config.variances)
    loss = criterion(locs, scores, boxes, labels)
    loss.backward()
    figures = criterion.measure(locs, scores, boxes, labels)
    assert all(tensor.isfinite().all() for tensor in (loss, locs.grad, scores.grad, figures.pack().nan_to_num(0)))
    assert figures.n_positives >= 0
    assert (loss == 0) == (figures.n_positives == 0)


def fuzz_samples(rng, network, folder):
    """Samples of pictures of any shape, with and without objects, by every kind of augmentation."""
    names = tuple(f"class {k}" for k in range(rng.choice([1, 20, 300])))
    images = []
    for _ in range(3):
        path = Path(folder) / f"sample {rng.getrandbits(32)}.png"
        width, height = size = random_size(rng)
        Image.new("RGB", size, "red").save(path)
        objects = []
        for _ in range(rng.choice([0, 1, 30])):
            x, y = rng.randint(0, width - 1), rng.randint(0, height - 1)
            box = (x, y, rng.randint(x + 1, width), rng.randint(y + 1, height))
            objects.append(AnnotatedObject(rng.choice(names), box, rng.random() < 0.2))
        images.append(AnnotatedImage(str(path), size, objects))
    write_data_lists(Path(folder), train=label_images(images, names))
    augment = rng.random() < 0.8
    dataset = PascalVOCDataset(folder, "train", augment=augment, augmentation=rng.choice(AUGMENTATIONS))
    for k in range(3):
        image, boxes, labels, difficulties = dataset[rng.randint(0, 99), k] if augment else dataset[k]
        assert image.shape == (3, 300, 300)
        assert image.isfinite().all()
        assert len(boxes) == len(labels) == len(difficulties)
        assert ((boxes >= 0) & (boxes <= 1)).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()


def fuzz_evaluation(rng, network, folder):
    """mAP of random detections and objects is a fraction, or NaN where there is nothing to find."""
    config = replace(random_config(rng), prior_sizes=SSDConfig().prior_sizes)
    names = {name for name in config.class_names if name}
    label_map = {name: label for name, label in config.label_map.items() if name in names | {"background"}}
    known = [label for label in label_map.values() if label]
    torch.manual_seed(rng.getrandbits(32))
    columns = [[] for _ in range(6)]
    for _ in range(rng.randint(1, 12)):
        for first in (0, 3):
            boxes, _ = random_objects(rng, 2)
            labels = torch.tensor(rng.choices(known, k=len(boxes)), dtype=torch.int64)
            values = torch.rand(len(boxes)) if first == 0 else (torch.rand(len(boxes)) < 0.3)
            for column, new in zip(columns[first:], (boxes * 500, labels, values), strict=False):
                column.append(new)
    for interpolation in ("voc07", "voc10"):
        per_class, mean = calculate_mAP(*columns, label_map, interpolation=interpolation)
        assert set(per_class) == names
        assert all(math.isnan(ap) or 0 <= ap <= 1 for ap in (*per_class.values(), mean))


OPTIONS = {
    "--batch-size": (1, 2, 3, 5), "--accumulate": (1, 2, 3), "--iterations": (1, 2), "--lr": (0, 1e-3, 1e9),
    "--warmup": (0, 1, 5), "--clip-norm": (0, 10), "--ema": (0, 0.9, 1), "--seed": (0, 2**63 - 1), "--freeze": (0, 2),
    "--augmentation": AUGMENTATIONS, "--overfit": (1, 2, 100), "--save-every": (1, 9), "--eval-every": (0, 1, 9),
    "--momentum": (0, 0.99), "--weight-decay": (0, 1), "--alpha": (0, 5), "--neg-pos-ratio": (1, 9000),
    "--match-threshold": (0.01, 1),
    "--patience": (0, 1), "--backbone": ("vgg16", "vgg16_bn"), "--precision": ("fp32", "bf16", "auto"),
}  # fmt: skip


def fuzz_training(rng, network, folder):
    """A run of one or two small iterations with random options ends well, and so does the run that continues it; or it
    is refused in one line."""
    fuzz_samples(rng, network, folder)  # writes the training list
    for kind in ("images", "objects"):
        shutil.copy(Path(folder) / f"TRAIN_{kind}.json", Path(folder) / f"TEST_{kind}.json")
    chosen = {name: rng.choice(values) for name, values in OPTIONS.items() if rng.random() < 0.4}
    fixed = {
        "--weights": "none",
        "--batch-size": 2,
        "--workers": 0,
        "--device": "cpu",
        "--log": "none",
        "--iterations": 2,
    }
    fixed |= {"--data": folder, "--output": f"{folder}/run"}
    arguments = [str(text) for pair in (fixed | chosen).items() for text in pair]
    arguments += rng.choice([[], [], ["--no-difficult"]])
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # of libraries, such as tensorboard's
        changed = rng.choice([[], ["--difficult", "--momentum", "0.5"]])
        again = ["--resume", f"{folder}/run", "--iterations", "3", *changed]
        for more in ([], again):
            told = io.StringIO()
            with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
                status = train.main(arguments + more)
            lines = [line for line in told.getvalue().splitlines() if line.startswith("error: ")]
            assert status == 0 or (status == 2 and len(lines) == 1), (arguments + more, status, told.getvalue())
            if status:
                return


TARGETS = (fuzz_detection, fuzz_loss, fuzz_samples, fuzz_evaluation, fuzz_training)


def failure(number, network=NoisySSD):
    """The traceback of the case of this number, or nothing where it goes well."""
    target = TARGETS[number % len(TARGETS)]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            target(random.Random(number), network, folder)
        except Exception:
            return f"case {number}, {target.__name__}:\n{traceback.format_exc()}"
    return ""


def main():
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    p.add_argument("--cases", type=int, default=2000)
    p.add_argument("--first", type=int, default=0, help="number of the first case")
    p.add_argument("--network", choices=["small", "ssd300"], default="small")
    args = p.parse_args()
    small_network.use()
    network = {"small": NoisySSD, "ssd300": SSD300}[args.network]
    n_failed = 0
    for number in range(args.first, args.first + args.cases):
        if told := failure(number, network):
            n_failed += 1
            print(told, flush=True)
    print(f"{n_failed} of {args.cases} cases failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
