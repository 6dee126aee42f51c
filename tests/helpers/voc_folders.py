"""Small data sets in VOC's layout."""

from PIL import Image

from ssd.data.lists import DataList, listed_image


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
        for image in data
    ]


def data_list(paths, entries, class_names):
    """A `DataList` of images and their objects as the JSON file has them."""
    fields = ("size", "boxes", "labels", "difficulties")
    images = (
        listed_image(str(path), *(entry[field] for field in fields)) for path, entry in zip(paths, entries, strict=True)
    )
    return DataList.from_images(images, class_names)
