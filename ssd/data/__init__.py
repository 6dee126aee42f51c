"""Pictures and their annotations, from files to samples."""

from ssd.data.dataset import PascalVOCDataset, collate, leave_signals_to_parent
from ssd.data.images import load_image, preprocess
from ssd.data.lists import DataList, read_data_list, read_images, write_data_lists

__all__ = [
    "DataList",
    "PascalVOCDataset",
    "collate",
    "leave_signals_to_parent",
    "load_image",
    "preprocess",
    "read_data_list",
    "read_images",
    "write_data_lists",
]
