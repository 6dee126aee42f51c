import numpy as np
import pytest
import torch
from PIL import Image

from ssd import SSDConfig
from ssd.data import PascalVOCDataset, load_image, preprocess, write_data_lists
from ssd.data.augmentation import Augmentation, sample_augmentation
from ssd.data.images import image_size
from ssd.errors import InputError
from tests.helpers.voc_folders import data_list, entries

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


def test_the_kind_of_augmentation_is_followed(data_folder, monkeypatch):
    windows = []

    def recorded(rng, size, *rest):
        windows.append((size, sample_augmentation(rng, size, *rest).window))
        return Augmentation(windows[-1][1])

    monkeypatch.setattr("ssd.data.dataset.sample_augmentation", recorded)

    def leaves_the_picture(kind):
        dataset = PascalVOCDataset(data_folder, "train", augment=True, augmentation=kind)
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


# -- crowds


@pytest.fixture
def with_crowds(tmp_path):
    """A picture of 50 x 40 pixels; its first crowd has the box of its only object."""
    Image.effect_noise((50, 40), 50).convert("RGB").save(tmp_path / "a.png")
    entry = {"size": [50, 40], "boxes": [[5, 10, 30, 40]], "labels": [1], "difficulties": [0]}
    entry |= {"crowds": [[5, 10, 30, 40], [0, 0, 50, 8]], "crowd_labels": [1, 1]}
    write_data_lists(tmp_path, train=data_list([tmp_path / "a.png"], [entry], ("a",)))
    return tmp_path


def test_a_sample_has_its_crowds_beside_its_four_entries(with_crowds):
    dataset = PascalVOCDataset(with_crowds, "train")
    torch.testing.assert_close(dataset.crowds(0), torch.tensor([[0.1, 0.25, 0.6, 1], [0, 0, 1, 0.2]]))
    assert len(dataset[0]) == 4 and len(dataset[0][1]) == 1


def test_crowds_follow_the_augmentation(with_crowds):
    dataset = PascalVOCDataset(with_crowds, "train", augment=True)
    numbers = set()
    for epoch in range(100):
        crowds = dataset.crowds((epoch, 0))
        assert torch.equal(crowds[0], dataset[epoch, 0][1][0])  # the window contains the centre of the only object
        assert (crowds[:, 2:] > crowds[:, :2]).all()
        numbers.add(len(crowds))
    assert numbers == {1, 2}  # the other one is not always seen


def test_the_part_of_a_crowd_that_is_seen_stays(with_crowds, monkeypatch):
    """Also where its centre is outside, which drops an object: there are still many in it."""
    window = Augmentation((5.0, 6.0, 25.0, 26.0), flip=True)
    monkeypatch.setattr("ssd.data.dataset.sample_augmentation", lambda *_: window)
    crowds = PascalVOCDataset(with_crowds, "train", augment=True).crowds(0)
    torch.testing.assert_close(crowds, torch.tensor([[0, 0.2, 1, 1], [0, 0, 1, 0.1]]))


def test_the_message_on_other_classes_leaves_out_labels_without_one(data_folder):
    with pytest.raises(InputError, match="the model detects cat, dog, but the classes of"):
        PascalVOCDataset(data_folder, "train", SSDConfig(class_names=("cat", "", "", "dog", "")))
