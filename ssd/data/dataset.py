"""Samples for training and evaluation."""

import copy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from ssd.config import SSDConfig
from ssd.data.augmentation import Augmentation, augment, move_boxes, needed_size, sample_augmentation
from ssd.data.images import load_reduced, preprocess
from ssd.data.lists import read_data_list
from ssd.data.loading import Sample
from ssd.errors import InputError


class PascalVOCDataset(Dataset[Sample]):
    """The pictures of a data list as samples (image, boxes, labels, difficulties); `crowds` gives their crowds.

    image: (3, 300, 300) float32, normalised. boxes: (n, 4) float32 corner fractions. labels: (n,) int64, from 1.
    difficulties: (n,) bool. n may be 0.

    data_folder: what `create_data_lists.py` wrote. split: "train", "val" or "test". config: of a model for the same
    classes, which says the size and the normalisation of the input; by default that of a new model.
    augment: draw an augmentation for each (epoch, index), always the same one for the same pair.
    augmentation: its kind, see `sample_augmentation`.
    `dataset[epoch, index]` is a sample of that epoch, `dataset[index]` one of epoch 0.
    Raises InputError on bad data lists, and where their classes are not the config's; a sample raises it where its
    picture is missing or damaged, or has another size than in the data lists.
    """

    def __init__(
        self,
        data_folder: str | Path,
        split: str,
        config: SSDConfig | None = None,
        augment: bool = False,
        augmentation: str = "paper",
        seed: int = 0,
    ):
        self.data = read_data_list(data_folder, split)
        self.split = split.lower()
        self.config = config or SSDConfig(class_names=self.data.class_names)
        if self.config.class_names != self.data.class_names:
            raise InputError(
                f"the model detects {', '.join(filter(None, self.config.class_names))}, but the classes of "
                f"{data_folder} are {', '.join(self.data.class_names)}; give the data lists that belong to the model"
            )
        self.augment = augment
        self.augmentation = augmentation
        self.seed = seed
        self.pillow_limit = Image.MAX_IMAGE_PIXELS

    def subset(self, indices: Iterable[int]) -> "PascalVOCDataset":
        """The data set of some of the images."""
        part = copy.copy(self)
        part.data = self.data.subset(indices)
        return part

    def __setstate__(self, state: dict) -> None:
        """Unpickle in a worker process. Where it was started afresh (spawned), Pillow has its own limit of pixels."""
        self.__dict__.update(state)
        Image.MAX_IMAGE_PIXELS = self.pillow_limit

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        listed, augmentation = self._drawn(key)
        boxes, labels, difficulties = listed.boxes, listed.labels, listed.difficulties
        if augmentation:
            image, scale = _load(listed, needed_size(augmentation, listed.size, self.config.input_size))
            image, boxes, kept = augment(image, boxes, augmentation, self.config, scale)
            labels, difficulties = labels[kept], difficulties[kept]
        else:
            image, _ = _load(listed)
            boxes = boxes / np.tile(image.size, 2)
            image = preprocess(image, self.config)
        return image, torch.from_numpy(boxes).float(), torch.tensor(labels), torch.tensor(difficulties)

    def crowds(self, key: int | tuple[int, int]) -> torch.Tensor:
        """The crowds of the sample `self[key]`, (c, 4) float32 corner fractions; of each the part inside the input."""
        _, index = _epoch_and_index(key)
        if not len(self.data[index].crowds):
            return torch.zeros(0, 4)
        listed, augmentation = self._drawn(key)
        crowds = move_boxes(listed.crowds, augmentation or Augmentation((0.0, 0.0, *listed.size)))
        crowds = crowds[(crowds[:, 2:] > crowds[:, :2]).all(axis=1)]
        return torch.from_numpy(crowds).float()

    def _drawn(self, key):
        """The `ListedImage` of a sample and its augmentation, or None."""
        epoch, index = _epoch_and_index(key)
        listed = self.data[index]
        if not self.augment:
            return listed, None
        rng = np.random.default_rng((self.seed, epoch, index))
        return listed, sample_augmentation(rng, listed.size, listed.boxes, self.augmentation)


def _epoch_and_index(key):
    return key if isinstance(key, tuple) else (0, key)


def _load(listed, least_size=None):
    """The picture and its scale, as `load_reduced` gives them. Raises InputError where its size is not the listed one:
    the boxes would be elsewhere."""
    image, size, scale = load_reduced(listed.path, least_size)
    if size != listed.size:
        raise InputError(
            f"{listed.path}: upright it has {size[0]} x {size[1]} pixels, in the data lists {listed.size[0]} x "
            f"{listed.size[1]}; write them again with create_data_lists.py"
        )
    return image, scale
