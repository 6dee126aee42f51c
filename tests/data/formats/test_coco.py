"""Reading annotations in COCO's format."""

import pytest

from ssd.data.formats.coco import find_coco, read_coco
from tests.helpers.annotations import annotated, crowd, lists, names, paths, picture, write
from tests.helpers.voc_folders import entries


def coco(*annotations, images=({"id": 7, "file_name": "a.jpg", "width": 40, "height": 30},)):
    categories = [{"id": 0, "name": "animals"}, {"id": 18, "name": "dog", "supercategory": "animals"}]
    return {"info": {}, "images": list(images), "categories": categories, "annotations": list(annotations)}


def coco_object(bbox, category=18, image=7, **more):
    return {"id": 1, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0, **more}


def test_coco(tmp_path):
    picture(tmp_path / "a.jpg")
    content = coco(
        coco_object([0, 1.5, 10, 20]),
        coco_object([0, 0, 40, 30], iscrowd=1, segmentation={"counts": [], "size": [30, 40]}),
        coco_object([1, 1, 2, 2], ignore=1),
    )
    expected = annotated(tmp_path / "a.jpg", ("dog", (0, 1.5, 10, 21.5), 0), ("dog", (1, 1, 3, 3), 1))
    expected.objects.insert(1, crowd("dog", (0, 0, 40, 30)))
    assert read_coco(write(tmp_path / "train.json", content)) == ([expected], [])


def test_annotations_of_other_tasks_are_passed_over(tmp_path):
    """As in COCO's own folder."""
    picture(tmp_path / "val2017/a.jpg")
    for task in ("captions", "instances", "person_keypoints"):
        write(tmp_path / f"annotations/{task}_val2017.json", coco(coco_object([0, 0, 10, 20])))
    assert find_coco(tmp_path) == {"val": [tmp_path / "annotations/instances_val2017.json"]}
    assert paths(read_coco(tmp_path, "val")[0]) == [str(tmp_path / "val2017/a.jpg")]


@pytest.mark.parametrize("image, category", [(7.0, 18.0), ("7", "18"), (7, "18")])
def test_ids_of_mixed_kinds(image, category, tmp_path):
    picture(tmp_path / "a.jpg")
    content = coco(coco_object([0, 0, 10, 20], category, image))
    expected = annotated(tmp_path / "a.jpg", ("dog", (0, 0, 10, 20), 0))
    assert read_coco(write(tmp_path / "a.json", content)) == ([expected], [])


def test_long_ids_are_kept_apart(tmp_path):
    """Neighbours beyond 2^53 are the same float."""
    records = [{"id": 2**60 + k, "file_name": picture(tmp_path / f"{k}.jpg").name} for k in range(2)]
    content = coco(coco_object([0, 0, 10, 20], image=2**60 + 1), images=records)
    images, _ = read_coco(write(tmp_path / "a.json", content))
    assert names(images) == [[], ["dog"]]


def test_numbers_as_class_names_of_coco(tmp_path):
    picture(tmp_path / "a.jpg")
    content = coco(coco_object([0, 0, 10, 20])) | {"categories": [{"id": 18, "name": 5}]}
    expected = annotated(tmp_path / "a.jpg", ("5", (0, 0, 10, 20), 0))
    assert read_coco(write(tmp_path / "a.json", content)) == ([expected], [])


@pytest.mark.parametrize("annotations, pictures", [
    ("annotations/instances_{}2017.json", "{}2017/a.jpg"),  # COCO
    ("{}/_annotations.coco.json", "{}/a.jpg"),  # Roboflow
    ("annotations/instances_{}.json", "images/{}/a.jpg"),  # CVAT
    ("{}.json", "images/a.jpg"),
])  # fmt: skip
def test_layouts_of_coco(annotations, pictures, tmp_path):
    for split in ("train", "val"):
        write(tmp_path / annotations.format(split), coco(coco_object([0, 1, 10, 20])))
        picture(tmp_path / pictures.format(split))
    train, test = lists("--coco", tmp_path, output=tmp_path / "lists")
    assert train.paths == [str(tmp_path / pictures.format("train"))]
    assert test.paths == [str(tmp_path / pictures.format("val"))]
    assert train.class_names == ("dog",)
    files = [annotations.format(split) for split in ("train", "val")]
    args = ("--coco", tmp_path, "--train", files[0], "--test", tmp_path / files[1])
    again = lists(*args, output=tmp_path / "again")
    assert [entries(data) for data in again] == [entries(train), entries(test)]
    assert [data.paths for data in again] == [train.paths, test.paths]
    args = ("--coco", tmp_path / files[0], "--test", tmp_path / files[1])
    again = lists(*args, output=tmp_path / "again")
    assert [entries(data) for data in again] == [entries(train), entries(test)]
    assert [data.paths for data in again] == [train.paths, test.paths]


def test_a_crowd_to_ignore_is_a_crowd(tmp_path):
    """Some converters mark a region by both."""
    picture(tmp_path / "a.jpg")
    content = coco(coco_object([0, 0, 40, 30], iscrowd=1, ignore=1))
    (image,), _ = read_coco(write(tmp_path / "train.json", content))
    assert image.objects[0].crowd
