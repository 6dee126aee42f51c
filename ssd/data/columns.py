"""A data list in memory: a few columns of numbers, however many images it has, which all processes share."""

import hashlib
import ntpath
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, overload

import numpy as np
import torch

from ssd.config import create_label_map

# An image as plain lists, in the order of `ListedImage`, which is one too.
Row = tuple[
    str, tuple[int, int], Collection[Collection[float]], Collection[int], Collection[bool],
    Collection[Collection[float]], Collection[int],
]  # fmt: skip


class ListedImage(NamedTuple):
    """An image of a data list, its n objects, and its c crowds: regions of many objects, not boxed one by one."""

    path: str
    size: tuple[int, int]  # (width, height)
    boxes: np.ndarray  # (n, 4) float64, x_min, y_min, x_max, y_max in pixels of the upright picture
    labels: np.ndarray  # (n,) int64, from 1
    difficulties: np.ndarray  # (n,) bool
    crowds: np.ndarray  # (c, 4) float64, boxes
    crowd_labels: np.ndarray  # (c,) int64, 0 for a crowd of any class


class Texts(Sequence[str]):
    """Texts cut out of one array of bytes: text k is content[starts[k]:ends[k]], in UTF-8 with lone surrogates.

    Worker processes share it with the main process. They would soon have their own copy of a list of strings, because
    Python writes into a string, to count who uses it, whenever it is looked at.
    """

    def __init__(self, content: memoryview, starts: np.ndarray, ends: np.ndarray):
        self.content, self.starts, self.ends = content, starts, ends

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, k: int) -> str: ...
    @overload
    def __getitem__(self, k: slice) -> "Texts": ...
    def __getitem__(self, k: int | slice) -> "str | Texts":
        if isinstance(k, slice):
            return Texts(self.content, self.starts[k], self.ends[k])
        return str(self.content[self.starts.item(k) : self.ends.item(k)], "utf-8", "surrogatepass")

    def __eq__(self, other: object) -> bool:
        """Whether the texts are those of another sequence, such as a list."""
        return isinstance(other, Sequence) and list(self) == list(other)


@dataclass(frozen=True, eq=False)
class DataList:
    """The images of one split with their objects, as columns: image k has the objects offsets[k] to offsets[k + 1].

    Crowds have columns of the same kind. `data[k]` is a `ListedImage`, whose arrays are views of the columns.
    A process that is forked shares the columns anyway; one that is started afresh receives them as shared memory.
    """

    path_bytes: np.ndarray  # uint8, see `Texts`
    path_starts: np.ndarray  # (n,) int64
    path_ends: np.ndarray  # (n,) int64
    sizes: np.ndarray  # (n, 2) int64, width and height
    offsets: np.ndarray  # (n + 1,) int64
    boxes: np.ndarray  # (m, 4) float64, pixels of the upright picture
    labels: np.ndarray  # (m,) int64, from 1
    difficulties: np.ndarray  # (m,) bool
    crowd_offsets: np.ndarray  # (n + 1,) int64
    crowds: np.ndarray  # (c, 4) float64, pixels of the upright picture
    crowd_labels: np.ndarray  # (c,) int64, 0 for a crowd of any class
    class_names: tuple[str, ...]  # in the order of the labels 1, 2, ...

    @classmethod
    def from_images(cls, images: Iterable[Row], class_names: Iterable[str]) -> "DataList":
        """The columns of some images, which are taken one by one."""
        paths, path_offsets, sizes = bytearray(), array("q", [0]), array("q")
        offsets, boxes, labels, difficulties = array("q", [0]), array("d"), array("q"), bytearray()
        crowd_offsets, crowds, crowd_labels = array("q", [0]), array("d"), array("q")
        for path, size, own_boxes, own_labels, own_difficulties, own_crowds, own_crowd_labels in images:
            paths += path.encode(errors="surrogatepass")
            path_offsets.append(len(paths))
            sizes.extend(size)
            boxes.extend(chain.from_iterable(own_boxes))
            labels.extend(own_labels)
            difficulties.extend(map(bool, own_difficulties))
            offsets.append(len(labels))
            crowds.extend(chain.from_iterable(own_crowds))
            crowd_labels.extend(own_crowd_labels)
            crowd_offsets.append(len(crowd_labels))
        return cls(
            np.asarray(paths), np.asarray(path_offsets)[:-1], np.asarray(path_offsets)[1:],
            np.asarray(sizes).reshape(-1, 2), np.asarray(offsets), np.asarray(boxes).reshape(-1, 4),
            np.asarray(labels), np.asarray(difficulties).view(bool), np.asarray(crowd_offsets),
            np.asarray(crowds).reshape(-1, 4), np.asarray(crowd_labels), tuple(class_names),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, k: int) -> ListedImage:
        if k < 0:
            return self[range(len(self))[k]]
        first, end = self.offsets.item(k), self.offsets.item(k + 1)
        first_crowd, end_crowd = self.crowd_offsets.item(k), self.crowd_offsets.item(k + 1)
        return ListedImage(
            self.paths[k], (self.sizes.item(k, 0), self.sizes.item(k, 1)), self.boxes[first:end],
            self.labels[first:end], self.difficulties[first:end], self.crowds[first_crowd:end_crowd],
            self.crowd_labels[first_crowd:end_crowd],
        )  # fmt: skip

    def __iter__(self) -> Iterator[ListedImage]:
        return (self[k] for k in range(len(self)))

    @cached_property
    def paths(self) -> Texts:
        """The paths of the n images."""
        return Texts(self.path_bytes.data, self.path_starts, self.path_ends)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The columns by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "class_names"}

    @property
    def label_map(self) -> dict[str, int]:
        """Class name -> label, the background included."""
        return create_label_map(self.class_names)

    @property
    def digest(self) -> str:
        """A text that two lists share if their pictures have the same file names, in whatever folders and order."""
        names = sorted(ntpath.basename(path) for path in self.paths)
        return hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()

    def subset(self, indices: Iterable[int]) -> "DataList":
        """The data list of some of the images; of all in their order, this one."""
        if isinstance(indices, range) and indices == range(len(self)):
            return self
        chosen = np.fromiter(indices, dtype=np.int64)
        rows, offsets = _rows(self.offsets, chosen)
        crowd_rows, crowd_offsets = _rows(self.crowd_offsets, chosen)
        return DataList(
            self.path_bytes, self.path_starts[chosen], self.path_ends[chosen], self.sizes[chosen], offsets,
            self.boxes[rows], self.labels[rows], self.difficulties[rows], crowd_offsets, self.crowds[crowd_rows],
            self.crowd_labels[crowd_rows], self.class_names,
        )  # fmt: skip

    def without_difficult(self) -> "DataList":
        """The data list with each difficult object as a crowd, after the others."""
        easy, owners = ~self.difficulties, _owners(self.offsets)
        crowd_offsets, crowds, crowd_labels = _gathered(
            len(self),
            (_owners(self.crowd_offsets), self.crowds, self.crowd_labels),
            (owners[~easy], self.boxes[~easy], self.labels[~easy]),
        )
        return replace(
            self, offsets=_offsets(np.bincount(owners[easy], minlength=len(self))), boxes=self.boxes[easy],
            labels=self.labels[easy], difficulties=self.difficulties[easy], crowd_offsets=crowd_offsets, crowds=crowds,
            crowd_labels=crowd_labels,
        )  # fmt: skip

    def with_difficult_crowds(self) -> "DataList":
        """The data list with each crowd as a difficult object, after the others; one of any class as one of each."""
        if not len(self.crowds):
            return self
        every_label, of_any = np.arange(1, len(self.class_names) + 1), self.crowd_labels == 0
        times = np.where(of_any, len(every_label), 1)  # (c,), objects for each crowd
        labels = np.repeat(self.crowd_labels, times)
        labels[labels == 0] = np.tile(every_label, of_any.sum())
        boxes, owners = (np.repeat(column, times, axis=0) for column in (self.crowds, _owners(self.crowd_offsets)))
        offsets, boxes, labels, difficulties = _gathered(
            len(self),
            (_owners(self.offsets), self.boxes, self.labels, self.difficulties),
            (owners, boxes, labels, np.ones(len(labels), bool)),
        )
        return replace(
            self, offsets=offsets, boxes=boxes, labels=labels, difficulties=difficulties,
            crowd_offsets=np.zeros_like(offsets), crowds=self.crowds[:0], crowd_labels=self.crowd_labels[:0],
        )  # fmt: skip

    def __reduce__(self) -> tuple[Callable[..., "DataList"], tuple[Any, ...]]:
        """How to pickle it: as tensors, because PyTorch hands these to other processes in shared memory."""
        return _from_tensors, (self._tensors, self.class_names)

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:
        """The columns as tensors. When first handed to a process they move to shared memory, and stay for the next."""
        return {name: torch.from_numpy(column) for name, column in self.columns.items()}


def _from_tensors(tensors, class_names):
    return DataList(**{name: tensor.numpy() for name, tensor in tensors.items()}, class_names=class_names)


def _owners(offsets):
    """The image of each object, from the images' offsets (n + 1,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _offsets(counts):
    """The offsets (n + 1,) of images with so many objects (n,)."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _rows(offsets, chosen):
    """The rows of the objects of some images, and the offsets of these images among the rows."""
    counts = np.diff(offsets)[chosen]
    own = _offsets(counts)
    return np.arange(own[-1]) + np.repeat(offsets[:-1][chosen] - own[:-1], counts), own


def _gathered(n_images, *parts):
    """Offsets and columns of joined parts (owners, column, ...): each image has its rows of one part after another."""
    owners, *columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(owners, kind="stable")
    return _offsets(np.bincount(owners, minlength=n_images)), *(column[order] for column in columns)
