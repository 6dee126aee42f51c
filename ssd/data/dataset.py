"""Samples for training and evaluation."""

import copy
import signal

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from ssd.config import SSDConfig
from ssd.data.augmentation import augment, needed_size, sample_augmentation
from ssd.data.images import load_reduced, preprocess
from ssd.data.lists import read_data_list
from ssd.errors import InputError

GRACE_SECONDS = 30


class PascalVOCDataset(Dataset):
    """The pictures of a data list as samples (image, boxes, labels, difficulties).

    image: (3, 300, 300) float32, normalised. boxes: (n, 4) float32 corner fractions. labels: (n,) int64, from 1.
    difficulties: (n,) bool. n may be 0.

    data_folder: what `create_data_lists.py` wrote. split: "train" or "test". config: for the input's size and
    normalisation, of a model for the same classes; without one, the default with the data set's classes.
    augment: draw a new augmentation for each (epoch, index), the same whenever that sample is asked for again.
    recipe: of the augmentation, see `sample_augmentation`.
    `dataset[epoch, index]` is a sample of that epoch, `dataset[index]` one of epoch 0.
    Raises InputError on bad data lists, and where their classes are not the config's; a sample raises it where its
    picture is missing, damaged, or of another size than in the data lists.
    """

    def __init__(self, data_folder, split, config=None, augment=False, recipe="paper", seed=0):
        data = read_data_list(data_folder, split)
        self.images, self.objects = data.images, data.objects
        self.class_names, self.label_map = data.class_names, data.label_map
        self.config = config or SSDConfig(class_names=self.class_names)
        if self.config.class_names != self.class_names:
            raise InputError(
                f"the model detects {', '.join(self.config.class_names)}, but the classes of {data_folder} are "
                f"{', '.join(self.class_names)}; give the data lists that belong to it"
            )
        self.augment = augment
        self.recipe = recipe
        self.seed = seed
        self.pillow_limit = Image.MAX_IMAGE_PIXELS

    def subset(self, indices):
        """The data set of some of the images only, by their places."""
        part = copy.copy(self)
        part.images, part.objects = ([entries[k] for k in indices] for entries in (self.images, self.objects))
        return part

    def __setstate__(self, state):
        """As a worker process gets it: one that is started afresh has Pillow's own limit of pixels until then."""
        self.__dict__.update(state)
        Image.MAX_IMAGE_PIXELS = self.pillow_limit

    def __len__(self):
        return len(self.images)

    def __getitem__(self, key):
        epoch, index = key if isinstance(key, tuple) else (0, key)
        objects = self.objects[index]
        boxes = np.array(objects["boxes"], dtype=np.float64).reshape(-1, 4)
        labels = np.array(objects["labels"], dtype=np.int64)
        difficulties = np.array(objects["difficulties"], dtype=bool)
        if self.augment:
            rng = np.random.default_rng((self.seed, epoch, index))
            augmentation = sample_augmentation(rng, objects["size"], boxes, self.recipe)
            image, scale = self._load(index, needed_size(augmentation, objects["size"], self.config.input_size))
            image, boxes, kept = augment(image, boxes, augmentation, self.config, scale)
            labels, difficulties = labels[kept], difficulties[kept]
        else:
            image, _ = self._load(index)
            boxes = boxes / np.tile(image.size, 2)
            image = preprocess(image, self.config)
        return (
            image,
            torch.from_numpy(boxes).float(),
            torch.from_numpy(labels),
            torch.from_numpy(difficulties),
        )

    def _load(self, index, least_size=None):
        """The picture and its scale, as `load_reduced` gives them."""
        path, (width, height) = self.images[index], self.objects[index]["size"]
        image, size, scale = load_reduced(path, least_size)
        if size != (width, height):  # its boxes would be elsewhere, or beyond it
            raise InputError(
                f"{path}: upright it has {size[0]} x {size[1]} pixels, in the data lists {width} x {height}; "
                "write them anew with create_data_lists.py"
            )
        return image, scale


def collate(samples):
    """Samples -> (images (N, 3, 300, 300), boxes, labels, difficulties), the last three as lists of N tensors."""
    images, boxes, labels, difficulties = zip(*samples, strict=True)
    return torch.stack(images), list(boxes), list(labels), list(difficulties)


def leave_signals_to_parent(_):
    """For `DataLoader(worker_init_fn=...)`: what is sent to a whole group of processes, Ctrl-C by the terminal, SIGTERM
    by a cluster's scheduler, is answered by the main process, which ends its workers.

    A worker outlives SIGTERM by GRACE_SECONDS only: Python, at its own end, sends it to workers that are left over from
    an exception, and waits for them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):  # Windows has no such signals
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_SECONDS))
