"""A JPEG of 640 x 480 pixels to a training sample, compared with torchvision's transforms for its SSD."""

import tempfile
from pathlib import Path

import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmarks.models import SIZE, random_scenes
from benchmarks.timing import Measured, Timer
from ssd import SSDConfig
from ssd.data import PascalVOCDataset, load_image
from ssd.data.columns import DataList, Row
from ssd.data.lists import write_data_lists

PICTURES = 32
QUALITY = 90
MEAN_LEVELS = (123.0, 117.0, 104.0)


def samples(timer: Timer) -> Measured:
    """Time decoding, distorting, expanding, cropping, flipping, resizing and normalising, in one thread.

    The two draw different random numbers, so their samples differ. The tests compare the distribution of ours with a
    plain reference.
    """
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        boxes = _write(Path(folder))
        dataset, theirs = PascalVOCDataset(folder, "train", augment=True), _torchvision_recipe()
        paths = dataset.data.paths
        _check(dataset[0, 0][0], theirs(*_decoded(paths[0], boxes[0]))[0])

        def run_ours():
            return [dataset[0, k] for k in range(PICTURES)]

        def run_theirs():
            return [theirs(*_decoded(path, b)) for path, b in zip(paths, boxes, strict=True)]

        runs = {"ours": run_ours, "torchvision v2": run_theirs}
        return Measured("augmented samples from JPEG, one core", timer.measure(runs), PICTURES)


def decoding(timer: Timer) -> Measured:
    """Time JPEG to RGB alone: `load_image`, and plain Pillow, which torchvision's datasets use."""
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        _write(Path(folder))
        paths = PascalVOCDataset(folder, "train").data.paths
        runs = {
            "ours": lambda: [load_image(path) for path in paths],
            "Pillow": lambda: [Image.open(path).convert("RGB") for path in paths],
        }
        return Measured("decoding alone, one core", timer.measure(runs), PICTURES)


def _torchvision_recipe():
    """The "ssd" preset of torchvision's references/detection, then the resizing and normalisation of its model."""
    config = SSDConfig.torchvision()
    return v2.Compose(
        [
            v2.ToImage(),
            v2.RandomPhotometricDistort(),
            v2.RandomZoomOut(fill={tv_tensors.Image: MEAN_LEVELS, "others": 0}),
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(p=0.5),
            v2.SanitizeBoundingBoxes(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Resize((config.input_size, config.input_size)),
            v2.Normalize(config.mean, config.std),
            v2.ToPureTensor(),
        ]
    )


def _decoded(path, boxes):
    labels = torch.ones(len(boxes), dtype=torch.int64)
    image = Image.open(path).convert("RGB")
    return image, {"boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE[::-1]), "labels": labels}


def _write(folder):
    """Write pictures and their data lists. Returns the boxes of each picture."""
    images, boxes = random_scenes(PICTURES)
    paths = [folder / f"{k}.jpg" for k in range(PICTURES)]
    for path, image in zip(paths, images, strict=True):
        image.save(path, quality=QUALITY)
    rows: list[Row] = [
        (str(path), SIZE, b.tolist(), [1] * len(b), [False] * len(b), [], [])
        for path, b in zip(paths, boxes, strict=True)
    ]
    write_data_lists(folder, train=DataList.from_images(rows, ["shape"]))
    return boxes


def _check(ours, theirs):
    """Raise RuntimeError if the two samples differ in shape or type."""
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        raise RuntimeError(f"augmentation: samples are {ours.shape} {ours.dtype} and {theirs.shape} {theirs.dtype}")


class _one_thread:
    """Runs PyTorch on one thread inside the block, as in the workers of a DataLoader."""

    def __enter__(self):
        self.n_threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_):
        torch.set_num_threads(self.n_threads)
