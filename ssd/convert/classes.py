"""Class names for weights that do not include them."""

from pathlib import Path

from ssd.config import SSDConfig
from ssd.convert.layouts import without_gaps
from ssd.errors import InputError
from ssd.files import read_json, read_text
from ssd.text import counted

BACKGROUND = ("background", "__background__")


def read_class_names(path: str | Path, n_classes: int) -> tuple[str, ...]:
    """The names of `n_classes` classes in a file, in the order of their labels 1, 2, ...

    path: text with one name a line, where an empty line or N/A is a label without a class and the background may come
    first; or the `label_map.json` of data lists.
    Raises InputError on another number of names, on a repeated one, and on a class called background.
    """
    names = _label_map(path) if Path(path).suffix == ".json" else read_text(path).rstrip().splitlines()
    names = [name.strip() for name in names]
    if names and names[0] in BACKGROUND:
        names = names[1:]
    if len(names) != n_classes:
        raise InputError(f"{path}: {len(names)} class names, but the network has {n_classes} classes")
    class_names = without_gaps(names)
    if repeated := [name for name in class_names if name and class_names.count(name) > 1]:
        raise InputError(f"{path}: the class {repeated[0]} comes twice; labels without a class are empty lines")
    if "background" in class_names:
        raise InputError(
            f'{path}: a class is called "background", the name of label 0, which comes first or not at all'
        )
    return class_names


def describe_classes(config: SSDConfig) -> str:
    """The number of classes and their names, in one line."""
    names = [name for name in config.class_names if name]
    unused = f", {counted(len(config.unused_labels), 'output')} without a class" if config.unused_labels else ""
    return f"{counted(len(names), 'class', 'classes')}{unused}: {', '.join(names)}"


def _label_map(path: str | Path) -> list[str]:
    """The names of the labels from 1 to the highest, "" for a label that is missing."""
    label_map = read_json(path, dict)
    names = {label: name for name, label in label_map.items() if isinstance(label, int)}
    if not names or len(names) < len(label_map):
        raise InputError(f"{path}: holds no label map, which gives each class name a label of its own")
    return [names.get(label, "") for label in range(1, max(names) + 1)]
