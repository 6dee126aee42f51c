"""The drawn data set: annotations against the reader, and what the command refuses."""

import numpy as np
import pytest
from PIL import Image

from ssd.commands.synthetic import main
from ssd.data.formats.voc import read_voc
from ssd.data.scenes import STYLES, draw_scene
from ssd.data.synthetic import write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "shapes"
    write_dataset(folder, images=10, test_fraction=0.3, seed=5)
    return folder


# The data set


def test_the_folder_reads_back_as_drawn(folder):
    names = [f"shapes_{i:06d}" for i in range(10)]
    assert (folder / "ImageSets/Main/trainval.txt").read_text().split() == names[:7]
    assert (folder / "ImageSets/Main/test.txt").read_text().split() == names[7:]
    start = 0
    for split, n in (("trainval", 7), ("test", 3)):
        images, notes = read_voc(folder, split)
        assert len(images) == n and notes == []
        for i, read in enumerate(images, start=start):
            drawn, objects = draw_scene(np.random.default_rng([5, i]))
            with Image.open(read.path) as image:
                assert image.format == "JPEG" and image.size == drawn.size == read.size
                assert np.abs(np.asarray(image).astype(int) - np.asarray(drawn)).mean() < 10
            assert read.objects == [item._replace(truncated=False) for item in objects]
        start += n


def test_a_picture_depends_on_the_seed_and_its_number_alone(folder, tmp_path):
    write_dataset(tmp_path / "fewer", images=3, seed=5)
    write_dataset(tmp_path / "other", images=3, seed=6)
    for i in range(3):
        for file in (f"JPEGImages/shapes_{i:06d}.jpg", f"Annotations/shapes_{i:06d}.xml"):
            assert (tmp_path / "fewer" / file).read_bytes() == (folder / file).read_bytes()
            assert (tmp_path / "other" / file).read_bytes() != (folder / file).read_bytes()


@pytest.mark.parametrize(("fraction", "n_test"), [(0, 0), (0.2, 1), (0.5, 2), (1, 4)])
def test_the_split(tmp_path, fraction, n_test):
    write_dataset(tmp_path, images=4, test_fraction=fraction)
    splits = [(tmp_path / "ImageSets/Main" / f"{split}.txt").read_text().split() for split in ("trainval", "test")]
    assert [len(names) for names in splits] == [4 - n_test, n_test]


# The command


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_command(tmp_path, capsys):
    folder = tmp_path / "new" / "shapes"
    assert main([str(folder), "--images", "4", "--test-fraction", "0.25", "--seed", "2"]) == 0
    assert len(files_of(folder)) == 4 + 4 + 2
    assert capsys.readouterr().out.startswith(f"{folder}: 4 pictures, ")


def test_command_refuses_a_folder_with_something_in_it(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main([str(tmp_path), "--images", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path) in error and "--force" in error
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


def test_force_replaces_a_drawn_data_set(tmp_path):
    assert main([str(tmp_path), "--images", "3"]) == 0
    assert main([str(tmp_path), "--images", "2", "--seed", "1"]) == 2
    assert main([str(tmp_path), "--images", "2", "--seed", "1", "--force"]) == 0
    assert len(files_of(tmp_path)) == 2 + 2 + 2


@pytest.mark.parametrize("part", ["JPEGImages", "Annotations"])
def test_force_leaves_other_data_sets_alone(tmp_path, capsys, part):
    main([str(tmp_path), "--images", "1"])
    (tmp_path / part / "000001.jpg").write_text("a picture of someone's own")
    before = files_of(tmp_path)
    capsys.readouterr()
    assert main([str(tmp_path), "--images", "2", "--force"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "000001.jpg" in error
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    "arguments", [["--images", "0"], ["--images", "many"], ["--test-fraction", "1.5"], ["--seed", "-1"]]
)
def test_command_refuses_bad_arguments(tmp_path, arguments):
    assert main([str(tmp_path / "shapes"), *arguments]) == 2
    assert not (tmp_path / "shapes").exists()


def test_command_refuses_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_the_style_is_an_option_of_the_command(tmp_path):
    for style in ("plain", "busy"):
        assert main([str(tmp_path / style), "--images", "1", "--style", style]) == 0
        drawn, _ = draw_scene(np.random.default_rng([0, 0]), style=STYLES[style])
        with Image.open(tmp_path / style / "JPEGImages/shapes_000000.jpg") as image:
            assert np.abs(np.asarray(image).astype(int) - np.asarray(drawn)).mean() < 10
