"""From files of every kind to RGB: orientation, levels, transparency, limits."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssd import SSDConfig
from ssd.commands.arguments import command
from ssd.data import PascalVOCDataset, load_image, preprocess, write_data_lists
from ssd.data.augmentation import AUGMENTATIONS
from ssd.data.images import denormalise, exif_orientation, image_size, lift_pixel_limit, normalise, open_image, to_rgb
from ssd.errors import InputError
from tests.helpers.picture_files import DAMAGED, ODD, PICTURE, PIXELS, encoded, exif
from tests.helpers.voc_folders import data_list


@pytest.mark.parametrize("name", ODD)
def test_the_header_tells_the_size_of_the_picture(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(ODD[name][0])
    assert image_size(path) == load_image(path).size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_sizes_without_decoding(tmp_path, kind):
    path = tmp_path / "picture"
    path.write_bytes(encoded(kind)[:-100])
    if kind != "WEBP":  # whose header Pillow reads with the rest
        assert image_size(path) == PICTURE.size
    with pytest.raises(InputError, match="damaged"):
        load_image(path)


def test_an_rgb_picture_is_not_copied():
    assert to_rgb(PICTURE) is PICTURE


@pytest.mark.parametrize("name", ["orientation 6.png", "orientation 3.tiff", "16 bits.png", "alpha.png", "palette.png"])
def test_once_is_enough(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(ODD[name][0])
    once = load_image(path)
    assert to_rgb(once) is once
    with Image.open(path) as image:
        before = image.tobytes(), dict(image.info)
        assert to_rgb(image).tobytes() == once.tobytes()
        assert (image.tobytes(), dict(image.info)) == before


def test_orientation_of_an_opened_picture(tmp_path):
    for written, read in ((1, 1), (8, 8), (0, 1), (77, 1)):
        (tmp_path / "a.jpg").write_bytes(encoded("JPEG", exif=b"Exif\0\0" + exif(written)))
        with open_image(tmp_path / "a.jpg") as image:
            assert exif_orientation(image) == read
    assert exif_orientation(PICTURE) == 1


def test_pictures_made_in_memory():
    levels = np.array([[0, 65535], [257, 1000]], dtype=np.uint16)
    assert np.asarray(to_rgb(Image.fromarray(levels)))[..., 0].tolist() == [[0, 255], [1, 4]]
    floats = np.array([[0.0, 0.5], [1.0, np.nan]], dtype=np.float32)
    assert np.asarray(to_rgb(Image.fromarray(floats)))[..., 1].tolist() == [[0, 128], [255, 0]]
    transparent = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    assert np.asarray(to_rgb(transparent)).tolist() == [[[255] * 3] * 2]


MODES = (
    "1", "L", "P", "PA", "LA", "La", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16", "I;16B",
)  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow(mode):
    assert to_rgb(Image.new(mode, (3, 2))).mode == "RGB"


def test_premultiplied_grey():
    grey = Image.frombytes("LA", (3, 1), bytes([0, 0, 0, 255, 200, 128]))
    expected = np.asarray(to_rgb(grey)).astype(int)
    assert abs(np.asarray(to_rgb(grey.convert("La"))) - expected).max() <= 1
    assert expected[0, :2].tolist() == [[255] * 3, [0] * 3]


def test_paths_are_pictures(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert to_rgb(path).tobytes() == PICTURE.tobytes()
    with pytest.raises(InputError, match=r"b\.png: no such picture"):
        to_rgb(tmp_path / "b.png")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_are_pictures(dtype):
    tensor = torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)
    tensor = tensor if dtype == torch.uint8 else (tensor / 255).to(dtype).requires_grad_()
    found = np.asarray(to_rgb(tensor)).astype(int)
    assert abs(found - PIXELS).max() <= (dtype == torch.bfloat16)  # whose fractions have 8 bits


def test_a_resized_tensor_may_overshoot_by_rounding():
    assert to_rgb(torch.full((3, 1, 2), 1 + 1e-6)).tobytes() == bytes([255] * 6)
    assert to_rgb(torch.full((3, 1, 2), -1e-6)).tobytes() == bytes(6)


@pytest.mark.parametrize("tensor, message", [
    (torch.zeros(1, 3, 4, 4), r"\(1, 3, 4, 4\) of float32 is no RGB picture, which is \(3, height, width\)"),
    (torch.zeros(4, 4, 3, dtype=torch.uint8), r"\(4, 4, 3\) of uint8 is no RGB picture"),
    (torch.zeros(3, 0, 4), "is no RGB picture"), (torch.zeros(3, 4, 4, dtype=torch.int64), "of int64 is no RGB"),
    (torch.zeros(()), "is no RGB picture"), (torch.full((3, 4, 4), 255.0), "from 0 to 1"),
    (torch.full((3, 4, 4), torch.nan), "from 0 to 1"), (torch.full((3, 4, 4), -2.0), "from 0 to 1"),
])  # fmt: skip
def test_tensors_that_are_no_pictures(tensor, message):
    with pytest.raises(ValueError, match=message):
        to_rgb(tensor)


@pytest.mark.parametrize("thing", [None, b"\x89PNG", 3, (k for k in range(2)), {"path": "a.jpg"}, [PICTURE]])
def test_things_that_are_no_pictures(thing):
    with pytest.raises(TypeError, match=f"^{type(thing).__name__} is no picture, which is a path, a PIL image"):
        to_rgb(thing)


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_pictures_without_pixels(size):
    with pytest.raises(ValueError, match=f"a picture of {size[0]} x {size[1]} pixels is empty"):
        to_rgb(Image.new("RGB", size))


@pytest.mark.parametrize("size", [(1, 1), (20000, 10), (10, 20000), (70000, 1)])
def test_input_of_any_shape(size):
    config = SSDConfig()
    tensor = preprocess(Image.new("RGB", size, (10, 20, 30)), config)
    expected = (torch.tensor([10, 20, 30]) / 255 - torch.tensor(config.mean)) / torch.tensor(config.std)
    torch.testing.assert_close(tensor, expected.view(3, 1, 1).expand(3, 300, 300))


@pytest.mark.parametrize("kind", AUGMENTATIONS)
@pytest.mark.parametrize("size", [(20000, 10), (10, 20000), (1, 1)])
def test_sample_of_any_shape(tmp_path, size, kind):
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    whole = {"size": size, "boxes": [[0, 0, *size]], "labels": [1], "difficulties": [0]}
    write_data_lists(tmp_path, train=data_list([tmp_path / "a.png"], [whole], ("cat",)))
    dataset = PascalVOCDataset(tmp_path, "train", augment=True, augmentation=kind)
    for epoch in range(8):
        image, boxes, labels, _ = dataset[epoch, 0]
        assert image.shape == (3, 300, 300)
        assert torch.isfinite(image).all()
        assert len(boxes) == len(labels)
        assert ((boxes >= 0) & (boxes <= 1)).all()


# -- the limit of pixels


@pytest.fixture
def small_limit(monkeypatch):
    """Pillow's limit lowered, as a picture of 180 million pixels takes long to make: it refuses 599 and more."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 299)


def test_limit_of_pixels(tmp_path, small_limit):
    PICTURE.save(tmp_path / "a.png")
    for read in (load_image, image_size):
        with pytest.raises(InputError, match=r"a\.png: perhaps a decompression bomb .*; --no-pixel-limit reads it"):
            read(tmp_path / "a.png")
    lift_pixel_limit()
    assert load_image(tmp_path / "a.png").tobytes() == PICTURE.tobytes()
    assert image_size(tmp_path / "a.png") == PICTURE.size


def test_pillows_limit_refuses_from_where_the_help_says():
    assert 2 * Image.MAX_IMAGE_PIXELS == 178_956_970


def test_limit_of_pixels_in_workers(tmp_path, monkeypatch, small_limit):
    PICTURE.save(tmp_path / "a.png")
    write_data_lists(tmp_path, train=data_list([tmp_path / "a.png"], [entry(30, 20)], ("cat",)))
    lift_pixel_limit()
    sent = pickle.dumps(PascalVOCDataset(tmp_path, "train"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 299)  # as in a process that was started afresh
    assert pickle.loads(sent)[0][0].shape == (3, 300, 300)


# -- what else can be wrong


def entry(width, height):
    return {"size": [width, height], "boxes": [[1, 2, 9, 9]], "labels": [1], "difficulties": [0]}


@pytest.mark.parametrize("augment", [False, True])
def test_picture_of_another_size_than_in_the_data_lists(tmp_path, augment):
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", exif=b"Exif\0\0" + exif(6)))  # upright 20 x 30
    write_data_lists(tmp_path, train=data_list([tmp_path / "a.jpg"], [entry(30, 20)], ("cat",)))
    with pytest.raises(InputError, match=r"a\.jpg: upright it has 20 x 30 pixels, in the data lists 30 x 20; write"):
        PascalVOCDataset(tmp_path, "train", augment=augment)[0]
    write_data_lists(tmp_path, train=data_list([tmp_path / "a.jpg"], [entry(20, 30)], ("cat",)))
    assert len(PascalVOCDataset(tmp_path, "train")[0][1]) == 1


@pytest.mark.parametrize("error", [
    OSError("x"), SyntaxError("x"), ValueError("x"), KeyError("x"), MemoryError(), RuntimeError("x\ny"), EOFError(),
    ZeroDivisionError(), NotImplementedError("x"), PermissionError(13, "Permission denied"), RecursionError("x"),
])  # fmt: skip
def test_whatever_a_reader_raises(tmp_path, monkeypatch, error):
    def fail(*args):
        raise error

    PICTURE.save(tmp_path / "a.png")
    for where in ("PIL.PngImagePlugin.PngImageFile.load", "PIL.Image.open"):
        with monkeypatch.context() as patched:
            patched.setattr(where, fail)
            with pytest.raises(InputError) as raised:
                load_image(tmp_path / "a.png")
        sentence = str(raised.value)
        assert sentence.startswith(f"{tmp_path / 'a.png'}: ")
        assert "\n" not in sentence
        assert not sentence.endswith("()")


def test_programs_are_not_run(tmp_path, monkeypatch):
    def run(*args, **kwargs):
        raise AssertionError("Ghostscript was called")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", run)
    (tmp_path / "a.jpg").write_bytes(DAMAGED["program.jpg"][0])
    for read in (load_image, image_size):
        with pytest.raises(InputError, match="PostScript program, which is not run; convert it"):
            read(tmp_path / "a.jpg")


FILES = {kind: encoded(kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")}


@settings(max_examples=150)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_damaged_bytes_give_a_picture_or_a_sentence(tmp_path_factory, kind, data):
    content = bytearray(FILES[kind])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert load_image(path).mode == "RGB"
        except InputError as error:
            assert str(error).startswith(f"{path}: ")


def test_scripts_leave_out_warnings_that_name_no_file(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        load_image(tmp_path / "a.jpg")
        assert told
        told.clear()
        command(lambda argv: load_image(tmp_path / "a.jpg") and None)()
        assert not told


def test_pixels_are_those_of_the_file(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(load_image(tmp_path / "a.png")), PIXELS)


@given(st.integers(0, 2**32 - 1), st.sampled_from([SSDConfig(), SSDConfig.caffe(), SSDConfig.torchvision()]))
@settings(max_examples=10)
def test_denormalise_is_the_inverse_of_normalise(seed, config):
    levels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    back = denormalise(normalise(Image.fromarray(levels), config), config)
    np.testing.assert_array_equal(np.asarray(back), levels)
