"""Draws a data set of shapes in Pascal VOC's layout: for trying everything out without a download.

python -m ssd.data.synthetic DIR [--images 400] [--test-fraction 0.2] [--style busy] [--seed 0] [--force]
"""

import runpy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from tqdm import tqdm

from ssd.data.formats.records import AnnotatedObject
from ssd.data.formats.voc import split_file, voc_annotation
from ssd.data.scenes import CLASSES, STYLES, draw_scene
from ssd.errors import InputError
from ssd.files import write_text

PREFIX = "shapes_"  # of file names: marks a drawn data set


def summary(scenes: Sequence[Sequence[AnnotatedObject]]) -> str:
    """What a data set holds, in one line. scenes: the objects of each picture."""
    objects = [item for scene in scenes for item in scene]
    counts = Counter(item.name for item in objects)
    return (
        f"{len(scenes)} pictures, {sum(not scene for scene in scenes)} of them without objects; "
        f"{len(objects)} objects ({', '.join(f'{name} {counts[name]}' for name in CLASSES)}), "
        f"{sum(item.difficult for item in objects)} of them difficult"
    )


def prepare_folder(folder: str | Path, force: bool = False) -> None:
    """Check that a data set can be drawn in the folder; with `force`, remove the files of one drawn earlier.

    Raises InputError where the folder is not empty and `force` is not given, or where it holds another data set.
    """
    folder = Path(folder)
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not force:
        raise InputError(f"{folder} is not empty: name a new folder, or add --force to replace a data set drawn there")
    files = [file for part in ("JPEGImages", "Annotations") for file in (folder / part).glob("*")]
    for file in files:
        if not file.name.startswith(PREFIX):
            raise InputError(f"{file} was not drawn by this command: name another folder")
    for file in [*files, *(folder / "ImageSets" / "Main").glob("*.txt")]:
        file.unlink()


def write_dataset(
    folder: str | Path, images: int = 400, test_fraction: float = 0.2, seed: int = 0, style: str = "plain"
) -> list[list[AnnotatedObject]]:
    """Draw pictures and write JPEGImages/*.jpg, Annotations/*.xml and ImageSets/Main/{trainval,test}.txt.

    images: the number of pictures; the last `test_fraction` of them are the test split. Picture i depends only on
    (seed, i) and the style, one of STYLES. The split files are written last: a data set without them is unfinished.
    Returns the objects of each picture.
    """
    folder = Path(folder)
    (folder / "JPEGImages").mkdir(parents=True, exist_ok=True)
    names, scenes = [f"{PREFIX}{i:06d}" for i in range(images)], []
    for i, name in enumerate(tqdm(names, desc="drawing", unit="image", disable=None)):
        image, objects = draw_scene(np.random.default_rng([seed, i]), style=STYLES[style])
        image.save(folder / "JPEGImages" / f"{name}.jpg", quality=90)
        annotation = ElementTree.tostring(voc_annotation(f"{name}.jpg", image.size, objects), encoding="unicode")
        write_text(folder / "Annotations" / f"{name}.xml", annotation)
        scenes.append(objects)
    n_train = images - round(images * test_fraction)
    for split, part in (("trainval", names[:n_train]), ("test", names[n_train:])):
        write_text(split_file(folder, split), "".join(f"{name}\n" for name in part))
    return scenes


if __name__ == "__main__":
    runpy.run_module("ssd.commands.synthetic", run_name="__main__")
