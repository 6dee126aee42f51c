"""Small data sets in VOC's layout."""

from PIL import Image

from ssd.data.columns import DataList
from ssd.data.lists import read_data_list, write_data_lists


def make_voc(folder, names, objects="", size=(40, 30)):
    """A VOC folder whose images all have the same annotation; `names`: split -> image names."""
    for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for split, images in names.items():
        (folder / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(images) + "\n")
        for image in images:
            (folder / "Annotations" / f"{image}.xml").write_text(f"<annotation>{objects}</annotation>")
            Image.new("RGB", size, "white").save(folder / "JPEGImages" / f"{image}.jpg")
    return folder


def voc_object(name, xmin, ymin, xmax, ymax):
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (xmin, ymin, xmax, ymax), strict=True)
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in corners)
    return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{inner}</bndbox></object>"


def entries(data):
    """The objects of a `DataList`, for each image, as the JSON file has them."""
    return [
        {
            "size": list(image.size),
            "boxes": image.boxes.tolist(),
            "labels": image.labels.tolist(),
            "difficulties": image.difficulties.astype(int).tolist(),
        }
        | ({"crowds": image.crowds.tolist(), "crowd_labels": image.crowd_labels.tolist()} if len(image.crowds) else {})
        for image in data
    ]


def data_list(paths, entries, class_names):
    """A `DataList` of images and their objects as the JSON file has them."""
    keys = ("size", "boxes", "labels", "difficulties", "crowds", "crowd_labels")
    contents = ([entry.get(key, []) for key in keys] for entry in entries)
    images = ((str(path), *content) for path, content in zip(paths, contents, strict=True))
    return DataList.from_images(images, class_names)


def cover_with_crowds(data_folder, folder, n_crowds=1):
    """Copies of data lists in which `n_crowds` crowds cover each picture."""
    covered_lists = {}
    for split in ("train", "test"):
        data = read_data_list(data_folder, split)
        covered = [
            entry | {"crowds": [[0, 0, *entry["size"]]] * n_crowds, "crowd_labels": [1] * n_crowds}
            for entry in entries(data)
        ]
        covered_lists[split] = data_list(data.paths, covered, data.class_names)
    write_data_lists(folder, **covered_lists)
    return folder
