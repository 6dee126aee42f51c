"""Pictures and their annotations, from files to samples."""

from ssd.data.columns import DataList
from ssd.data.dataset import PascalVOCDataset
from ssd.data.images import load_image, preprocess
from ssd.data.lists import read_data_list, write_data_lists
from ssd.data.loading import collate

__all__ = [
    "DataList",
    "PascalVOCDataset",
    "collate",
    "load_image",
    "preprocess",
    "read_data_list",
    "write_data_lists",
]
