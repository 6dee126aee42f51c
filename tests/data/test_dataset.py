import json
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from ssd import SSDConfig
from ssd.commands import data as create_data_lists
from ssd.config import VOC_CLASSES
from ssd.data import PascalVOCDataset, collate, load_image, preprocess, read_data_list, write_data_lists
from ssd.data.augmentation import Augmentation, sample_augmentation
from ssd.data.formats.records import check_objects
from ssd.data.formats.voc import annotated_objects, read_split, read_voc
from ssd.data.images import image_size
from ssd.data.lists import label_objects
from ssd.errors import InputError
from tests.helpers.voc_folders import data_list, entries, make_voc, voc_object

ANNOTATION = """
<annotation>
  <object><name>dog</name><difficult>1</difficult>
    <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>100</xmax><ymax>50</ymax></bndbox></object>
  <object><name> cat </name>
    <bndbox><xmin>0</xmin><ymin>11.5</ymin><xmax>20</xmax><ymax>60</ymax></bndbox></object>
  <object><name>cat</name><difficult>0</difficult>
    <bndbox><xmin>30</xmin><ymin>30</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
  <object><name>dog</name><difficult>0</difficult>
    <bndbox><xmin>90</xmin><ymin>40</ymin><xmax>130</xmax><ymax>50</ymax></bndbox></object>
  <object><name>dog</name><difficult>0</difficult>
    <bndbox><xmin>101</xmin><ymin>1</ymin><xmax>130</xmax><ymax>50</ymax></bndbox></object>
</annotation>"""


def parse_annotation(root, size):
    return check_objects(size, annotated_objects(root))


def annotation(objects):
    return ElementTree.fromstring(f"<annotation>{objects}</annotation>")


# -- the reader


def test_parse_annotation():
    entry, notes = parse_annotation(ElementTree.fromstring(ANNOTATION), (100, 60))
    assert entry == {
        "size": [100, 60],
        "boxes": [[0, 0, 100, 50], [0, 10.5, 20, 60], [89, 39, 100, 50]],
        "names": ["dog", "cat", "dog"],
        "difficulties": [1, 0, 0],
    }
    assert notes == [
        "object 3 (cat) with xmin, ymin, xmax, ymax = 30, 30, 30, 40 has no area in the picture, dropped",
        "object 4 (dog) with xmin, ymin, xmax, ymax = 90, 40, 130, 50 leaves the picture of 100 x 60 pixels, clipped",
        "object 5 (dog) with xmin, ymin, xmax, ymax = 101, 1, 130, 50 has no area in the picture, dropped",
    ]


def test_annotation_without_objects():
    assert parse_annotation(annotation(""), (10, 10)) == (
        {"size": [10, 10], "boxes": [], "names": [], "difficulties": []},
        [],
    )


@pytest.mark.parametrize("objects, message", [
    (voc_object(" ", 1, 1, 5, 9), "object 1 with xmin, ymin, xmax, ymax = 1, 1, 5, 9 has no class name"),
    (voc_object("dog", 1, 1, "x", 9), "ymax = 1, 1, x, 9 does not have four finite coordinates"),
    (voc_object("dog", 1, 1, "nan", 9), "1, 1, nan, 9 does not have"),
    ("<object><name>dog</name></object>", "nothing, nothing does not have"),
])  # fmt: skip
def test_bad_annotations(objects, message):
    entry, notes = parse_annotation(annotation(objects), (10, 10))
    assert (entry["boxes"], entry["names"], entry["difficulties"]) == ([], [], [])
    assert len(notes) == 1
    assert message in notes[0] and notes[0].endswith(", dropped")


def test_split_file_with_a_second_column(tmp_path):
    make_voc(tmp_path, {})
    (tmp_path / "ImageSets/Main/train.txt").write_text("a  1\nb -1\n\n")
    assert read_split(tmp_path, "train") == ["a", "b"]


def test_split_file_of_names_with_blanks(tmp_path):
    make_voc(tmp_path, {})
    text = "\ufeffa cat 1\nb 2\nüb er -1\nc\t0\nd\n"
    (tmp_path / "ImageSets/Main/train.txt").write_text(text, encoding="utf-8")
    assert read_split(tmp_path, "train") == ["a cat", "b 2", "üb er", "c", "d"]


def test_unreadable_encodings(tmp_path):
    make_voc(tmp_path, {"train": ["a"]})
    for encoding in ("nonsense", "utf-32"):
        (tmp_path / "Annotations/a.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><annotation/>')
        with pytest.raises(InputError, match=r"a\.xml: not XML"):
            read_voc(tmp_path, "train")
    (tmp_path / "ImageSets/Main/train.txt").write_bytes("ü".encode("latin-1"))
    with pytest.raises(InputError, match=r"train\.txt: not UTF-8"):
        read_split(tmp_path, "train")


def test_unknown_class_is_named():
    entry = {"size": [1, 1], "boxes": [[0, 0, 1, 1]], "names": ["unicorn"], "difficulties": [0]}
    with pytest.raises(InputError, match="unknown class unicorn .*x.jpg.*cat, dog"):
        label_objects(["x.jpg"], [entry], ("cat", "dog"))


# -- create_data_lists.py


def test_discovered_classes(tmp_path):
    objects = voc_object("zebra", 2, 3, 20, 25) + voc_object("ant", 1, 1, 40, 30)
    folder = make_voc(tmp_path / "voc", {"trainval": ["a", "b"], "test": ["c"]}, objects)
    assert create_data_lists.main(["--voc", str(folder), "--output", str(tmp_path / "lists")]) == 0
    assert json.loads((tmp_path / "lists/label_map.json").read_text()) == {"background": 0, "ant": 1, "zebra": 2}
    images = json.loads((tmp_path / "lists/TRAIN_images.json").read_text())
    assert images == [str(folder / "JPEGImages/a.jpg"), str(folder / "JPEGImages/b.jpg")]
    assert json.loads((tmp_path / "lists/TEST_objects.json").read_text()) == [
        {"size": [40, 30], "boxes": [[1, 2, 20, 25], [0, 0, 40, 30]], "labels": [2, 1], "difficulties": [0, 0]}
    ]


@pytest.mark.parametrize("source", ["--voc", "--voc07"])
def test_class_called_background(tmp_path, capsys, source):
    names = {"trainval": ["a"], "test": ["b"]}
    folder = make_voc(tmp_path / "voc", names, voc_object("background", 1, 1, 5, 5))
    assert create_data_lists.main([source, str(folder), "--output", str(tmp_path / "lists")]) == 2
    assert "background" in capsys.readouterr().err
    assert not (tmp_path / "lists").exists()


def test_voc07_and_voc12(tmp_path):
    voc07 = make_voc(tmp_path / "VOC2007", {"trainval": ["a"], "test": ["b"]}, voc_object("person", 1, 1, 5, 5))
    voc12 = make_voc(tmp_path / "VOC2012", {"trainval": ["c", "d"]}, voc_object("aeroplane", 1, 1, 5, 5))
    args = ["--voc07", str(voc07), "--voc12", str(voc12), "--output", str(tmp_path / "lists")]
    assert create_data_lists.main(args) == 0
    train, test = (read_data_list(tmp_path / "lists", split) for split in ("train", "test"))
    assert [len(train.paths), len(test.paths)] == [3, 1]
    assert train.class_names == VOC_CLASSES
    assert [entry["labels"] for entry in entries(train)] == [[15], [1], [1]]


# -- data lists

ENTRY = {"size": [10, 20], "boxes": [[1, 2, 3, 4.5]], "labels": [1], "difficulties": [0]}


def test_data_lists_round_trip(tmp_path):
    names = ("b", "a")
    write_data_lists(tmp_path, train=data_list(["x.jpg"], [ENTRY], names), test=data_list([], [], names))
    train = read_data_list(tmp_path, "TRAIN")
    assert entries(train) == [ENTRY]
    assert train.class_names == ("b", "a")
    assert train.label_map == {"background": 0, "b": 1, "a": 2}
    assert train.paths[0].endswith("x.jpg")
    assert read_data_list(tmp_path, "test").paths == []
    label_map = tmp_path / "label_map.json"
    label_map.write_text('\ufeff{"background": 0, "é": 1, "a": 2}', encoding="utf-8")  # as some editors save it
    assert read_data_list(tmp_path, "test").class_names == ("é", "a")


@pytest.mark.parametrize("name, content, message", [
    ("TRAIN_images.json", None, "no such data list"),
    ("TRAIN_images.json", "[", "not JSON"),
    ("TRAIN_images.json", "{}", "holds a dict, a list is expected"),
    ("TRAIN_images.json", '["a", "b"]', "2 entries, TRAIN_objects.json has 1"),
    ("TRAIN_objects.json", "[{}]", "entry 0 must hold size"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "labels": []}]), "each box a label"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "labels": [2]}]), "label from 1 to 1"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "boxes": [[1, 2, 3]]}]), "boxes of four"),
    ("label_map.json", '{"background": 0, "a": 2}', "labels must be 0"),
    ("label_map.json", '{"background": 1, "a": 0}', "labels must be 0"),
    ("label_map.json", '{"a": 0, "b": 1}', "labels must be 0"),
])  # fmt: skip
def test_bad_data_lists(tmp_path, name, content, message):
    write_data_lists(tmp_path, train=data_list(["x.jpg"], [ENTRY], ("a",)))
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_data_list(tmp_path, "train")


# -- pictures


@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg"])
@pytest.mark.parametrize(
    "orientation, size, top",
    [(1, (40, 20), (0, 0, 255)), (3, (40, 20), (255, 0, 0)), (6, (20, 40), (0, 0, 255)), (8, (20, 40), (255, 0, 0))],
)
def test_upright_pictures(tmp_path, kind, orientation, size, top):
    image = Image.new("RGB", (40, 20), "red")
    image.paste("blue", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation  # to view: as it is, turned by 180 degrees, by 90 clockwise, by 90 the other way
    path = tmp_path / f"turned.{kind}"
    image.save(path, exif=exif)
    upright = load_image(path)
    assert upright.size == image_size(path) == size
    np.testing.assert_allclose(upright.getpixel((5, 5)), top, atol=5)
    np.testing.assert_allclose(upright.getpixel((size[0] - 5, size[1] - 5)), (255 - top[0], 0, 255 - top[2]), atol=5)


@pytest.mark.parametrize("mode, colour, expected", [
    ("L", 100, (100, 100, 100)), ("RGBA", (0, 0, 0, 0), (255, 255, 255)), ("P", 0, (0, 0, 0)),
    ("CMYK", (0, 0, 0, 0), (255, 255, 255)), ("LA", (50, 255), (50, 50, 50)), ("1", 1, (255, 255, 255)),
])  # fmt: skip
def test_modes(tmp_path, mode, colour, expected):
    path = tmp_path / "picture.tiff"
    Image.new(mode, (3, 2), colour).save(path)
    image = load_image(path)
    assert image.mode == "RGB"
    assert image.getpixel((1, 1)) == expected


def test_damaged_pictures(tmp_path):
    good = tmp_path / "good.jpg"
    Image.effect_noise((100, 100), 50).save(good)
    (tmp_path / "truncated.jpg").write_bytes(good.read_bytes()[:1000])
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name, message in {
        "truncated.jpg": "damaged picture", "text.jpg": "not a picture", "empty.jpg": "not a picture",
        "missing.jpg": "no such picture",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=f"{name}: {message}"):
            load_image(tmp_path / name)


def test_preprocess():
    config = SSDConfig()
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    tensor = preprocess(Image.fromarray(pixels), config)
    expected = (pixels / 255 - np.array(config.mean)) / np.array(config.std)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.permute(1, 2, 0), expected, rtol=1e-5, atol=1e-6)
    resized = Image.fromarray(pixels).crop((0, 0, 123, 77))
    tensor = preprocess(resized, config)
    expected = np.asarray(resized.resize((300, 300), Image.Resampling.BILINEAR)) / 255
    back = tensor.permute(1, 2, 0).numpy() * np.array(config.std) + np.array(config.mean)
    np.testing.assert_allclose(back, expected, atol=1e-5)


# -- samples


def test_samples(data_folder):
    dataset = PascalVOCDataset(data_folder, "TEST")
    assert len(dataset) == 4
    assert (
        dataset.data.label_map
        == dataset.config.label_map
        == {"background": 0, "circle": 1, "square": 2, "star": 3, "triangle": 4}
    )
    for k in range(len(dataset)):
        image, boxes, labels, difficulties = dataset[k]
        width, height = entries(dataset.data)[k]["size"]
        expected = torch.tensor(entries(dataset.data)[k]["boxes"]).view(-1, 4) / torch.tensor(
            [width, height, width, height]
        )
        assert image.shape == (3, 300, 300)
        torch.testing.assert_close(boxes, expected)
        assert labels.tolist() == entries(dataset.data)[k]["labels"]
        assert difficulties.tolist() == [bool(d) for d in entries(dataset.data)[k]["difficulties"]]
        assert labels.dtype == torch.int64
        assert boxes.dtype == torch.float32


def test_collate(data_folder):
    dataset = PascalVOCDataset(data_folder, "train", augment=True)
    images, boxes, labels, difficulties = collate([dataset[k] for k in range(3)])
    assert images.shape == (3, 3, 300, 300)
    assert [len(b) for b in boxes] == [len(lb) for lb in labels] == [len(d) for d in difficulties]


def test_augmented_samples_depend_on_seed_epoch_and_index_alone(data_folder):
    dataset = PascalVOCDataset(data_folder, "train", augment=True, seed=3)
    again = PascalVOCDataset(data_folder, "train", augment=True, seed=3)
    dataset[5, 2]
    for key in ((0, 1), (4, 1), (4, 0)):
        assert all(torch.equal(a, b) for a, b in zip(dataset[key], again[key], strict=True))
    assert torch.equal(dataset[1][0], dataset[0, 1][0])
    assert not torch.equal(dataset[0, 1][0], dataset[1, 1][0])
    other = PascalVOCDataset(data_folder, "train", augment=True, seed=4)
    assert not torch.equal(dataset[0, 1][0], other[0, 1][0])


def test_the_recipe_of_the_augmentation_is_followed(data_folder, monkeypatch):
    windows = []

    def recorded(rng, size, *rest):
        windows.append((size, sample_augmentation(rng, size, *rest).window))
        return Augmentation(windows[-1][1])

    monkeypatch.setattr("ssd.data.dataset.sample_augmentation", recorded)

    def leaves_the_picture(recipe):
        dataset = PascalVOCDataset(data_folder, "train", augment=True, recipe=recipe)
        windows.clear()
        samples = [dataset[epoch, 0] for epoch in range(20)]
        assert len(samples) == len(windows)
        return any(w[0] < 0 or w[1] < 0 or w[2] > size[0] or w[3] > size[1] for size, w in windows)

    assert leaves_the_picture("paper")
    assert not leaves_the_picture("no-expand")


def test_image_without_objects(tmp_path):
    Image.new("RGB", (50, 40), "green").save(tmp_path / "empty.png")
    entry = {"size": [50, 40], "boxes": [], "labels": [], "difficulties": []}
    write_data_lists(tmp_path, train=data_list([tmp_path / "empty.png"], [entry], ("a",)))
    for augment in (False, True):
        dataset = PascalVOCDataset(tmp_path, "train", augment=augment)
        for epoch in range(20):
            _, boxes, labels, difficulties = dataset[epoch, 0]
            assert boxes.shape == (0, 4)
            assert labels.shape == difficulties.shape == (0,)
