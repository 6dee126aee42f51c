"""The checks of a data set, the report and the mosaic."""

import os
import re
from time import sleep

import numpy as np
import pytest
import torch
from PIL import Image

from ssd import SSDConfig, create_prior_boxes
from ssd.commands import data as create_data_lists
from ssd.data import read_data_list
from ssd.data.check import drop_duplicates, drop_repeats, drop_undecodable, drop_unknown, merge_spellings
from ssd.data.overview import best_overlaps, box_fractions, count_notes, draw_samples, report
from ssd.errors import InputError
from ssd.model.boxes import cxcy_to_xy
from ssd.text import one_line
from ssd.visualize import class_colour
from tests.helpers.voc_folders import make_voc, voc_object


def named(*names, boxes=None, size=(40, 30)):
    boxes = boxes or [[0, 0, k + 1, 5] for k in range(len(names))]
    return {"size": list(size), "boxes": boxes, "names": list(names), "difficulties": [0] * len(names)}


def names_of(splits):
    return {split: [entry["names"] for entry in objects] for split, (_, objects) in splits.items()}


# -- pictures


def test_pictures_that_cannot_be_decoded(tmp_path):
    Image.effect_noise((40, 30), 50).save(tmp_path / "good.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:400])
    images = [str(tmp_path / name) for name in ("cut.jpg", "good.jpg", "gone.jpg", "good.jpg")]
    objects = [named("a"), named("b"), named("c"), named("d", size=(30, 40))]
    kept_images, kept_objects, notes = drop_undecodable(images, objects, workers=2)
    assert (kept_images, kept_objects) == ([images[1]], [objects[1]])
    assert len(notes) == 3
    for note, start in zip(
        notes, ("cut.jpg: ", "gone.jpg: no such picture", "good.jpg: has 40 x 30 pixels"), strict=True
    ):
        assert start in note and note.endswith(", left out")
    with pytest.raises(InputError, match="cut.jpg.*no image of the list"):
        drop_undecodable(images[:1], objects[:1], workers=1)


def test_interrupted_decoding_does_not_go_on(monkeypatch):
    asked = []

    def decoded(path):
        asked.append(path)
        sleep(0.005)
        return Image.new("RGB", (40, 30))

    def interrupted(items, **options):
        yield next(iter(items))
        raise KeyboardInterrupt

    monkeypatch.setattr("ssd.data.check.load_image", decoded)
    monkeypatch.setattr("ssd.data.check.tqdm", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drop_undecodable([f"{k}.jpg" for k in range(300)], [named("dog")] * 300, workers=1)
    assert len(asked) < 200


def test_damaged_pictures_are_left_out_unless_not_verified(tmp_path, capsys):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a", "b"], "test": ["c"]}, voc_object("dog", 1, 1, 9, 9))
    path = folder / "JPEGImages/b.jpg"
    Image.effect_noise((40, 30), 50).save(path)
    path.write_bytes(path.read_bytes()[:400])
    args = ["--voc", str(folder), "--output", str(tmp_path / "lists"), "--workers", "2"]
    assert create_data_lists.main(args) == 0
    assert read_data_list(tmp_path / "lists", "train").images == [str(folder / "JPEGImages/a.jpg")]
    text = (tmp_path / "lists/report.txt").read_text()
    assert f"{path}: " in text and "1 left out" in text
    assert f"{path}: " in capsys.readouterr().out
    assert create_data_lists.main([*args, "--no-verify"]) == 0
    assert len(read_data_list(tmp_path / "lists", "train").images) == 2


# -- names


def test_spellings_are_merged():
    splits = {
        "train": (["a", "b"], [named("Traffic Light", "dog"), named("trafficlight ", "Dog", "traffic light")]),
        "test": (["c"], [named("traffic light", "dog")]),
    }
    merged, notes = merge_spellings(splits)
    assert names_of(merged) == {
        "train": [["traffic light", "dog"], ["traffic light", "dog", "traffic light"]],
        "test": [["traffic light", "dog"]],
    }
    assert sorted(notes) == [
        'a: "Traffic Light" (here first, 1 objects) differs from "traffic light" only in case or blanks, renamed',
        'b: "Dog" (here first, 1 objects) differs from "dog" only in case or blanks, renamed',
        'b: "trafficlight " (here first, 1 objects) differs from "traffic light" only in case or blanks, renamed',
    ]
    assert names_of(splits)["test"] == [["traffic light", "dog"]]
    assert names_of(splits)["train"][1][1] == "Dog"  # the argument is left as it was


def test_given_names_are_the_spelling():
    splits = {"train": (["a"], [named("A", "a", "B", "b", "c")])}
    merged, notes = merge_spellings(splits, ("a", "A", "b", "C"))  # letters, big and small: both are wanted
    assert names_of(merged) == {"train": [["A", "a", "b", "b", "C"]]}
    assert len(notes) == 2
    assert merge_spellings(splits, ("A", "B", "C", "a", "b", "c")) == (splits, [])


def test_unknown_names_are_dropped():
    splits = {"train": (["x", "y"], [named("a"), named("b", "a", "c")]), "test": (["z"], [named("b")])}
    kept, notes = drop_unknown(splits, ("a",))
    assert names_of(kept) == {"train": [["a"], ["a"]], "test": [[]]}
    assert kept["train"][1][1]["boxes"] == [[0, 0, 2, 5]]
    assert notes == [
        'y: "b" (here first, 2 objects) is none of the classes, dropped',
        'y: "c" (here first, 1 objects) is none of the classes, dropped',
    ]


# -- repeats


def test_duplicates_are_dropped():
    box, other = [1, 2, 3.5, 4], [1, 2, 3.5, 5]
    splits = {"train": (["x"], [named("a", "b", "a", "a", "a", boxes=[box, box, other, box, box])])}
    kept, notes = drop_duplicates(splits)
    assert names_of(kept) == {"train": [["a", "b", "a"]]}
    assert kept["train"][1][0]["boxes"] == [box, box, other]
    assert notes == ["x: a with x_min, y_min, x_max, y_max = 1, 2, 3.5, 4 is there already, dropped"] * 2


def test_the_published_sets_keep_their_duplicates(tmp_path):
    names = {"trainval": ["a"], "test": ["b"]}
    folder = make_voc(tmp_path / "voc", names, 2 * voc_object("dog", 1, 1, 9, 9))
    for option, n_objects in (("--voc07", 2), ("--voc", 1)):
        assert create_data_lists.main([option, str(folder), "--output", str(tmp_path / "lists")]) == 0
        assert len(read_data_list(tmp_path / "lists", "test").objects[0]["labels"]) == n_objects


def test_images_listed_twice(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    os.symlink(tmp_path / "a.jpg", tmp_path / "link.jpg")
    a, b, c, link = (str(tmp_path / f"{name}.jpg") for name in ("a", "b", "c", "link"))
    splits = {"train": ([a, b, link], [named("1"), named("2"), named("3")]), "test": ([c, b], [named("4"), named("5")])}
    kept, notes = drop_repeats(splits)
    assert kept == {"train": ([a, b], [named("1"), named("2")]), "test": splits["test"]}
    assert notes == [
        f"{link}: is in the train list already, left out",
        f"{b}: is in the train list too, which makes figures on it worthless, kept",
    ]


# -- the report


def labelled(size, *rows):
    labels, boxes, difficulties = zip(*rows, strict=True) if rows else ((), (), ())
    return {"size": list(size), "boxes": list(boxes), "labels": list(labels), "difficulties": list(difficulties)}


LISTS = {
    "train": (
        ["a", "b", "c"],
        [
            labelled((300, 300), (1, [0, 0, 30, 30], 0), (1, [0, 0, 4, 20], 1), (2, [0, 0, 300, 300], 0)),
            labelled((300, 300)),
            labelled((600, 140), (1, [0, 0, 80, 20], 0)),
        ],
    ),
    "test": (["d"], [labelled((10, 20), (2, [0, 0, 5, 5], 0))]),
}


def test_report():
    text = report(LISTS, ("cat", "dog"), ["a.xml: object 1 has no area, dropped", "b\n\x1b[2J: bad, left out"])
    sections = text.split("\n\n")
    assert sections[0].splitlines() == [
        "                              train   test",
        "images                            3      1",
        "  without objects                 1      0",
        "objects                           4      1",
        "  difficult                  25.0 %  0.0 %",
        "objects in an image, median       1      1",
        "objects in an image, most         3      1",
    ]
    assert sections[1].splitlines() == [
        "objects of each class  train          test",
        "  cat                      3  75.0 %     0    0.0 %",
        "  dog                      1  25.0 %     1  100.0 %",
    ]
    assert sections[2].splitlines() == [
        "sizes of pictures, pixels: 300 x 300 (2), 600 x 140 (1), 10 x 20 (1)",
        "smallest 10 x 20, largest 300 x 300",
    ]
    rows = [line.split("  ") for line in sections[3].splitlines()[-6:]]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert [row[:3] for row in rows] == [
        ["0 to 16", "1", "25.0 %"], ["16 to 32", "1", "25.0 %"], ["32 to 64", "1", "25.0 %"], ["64 to 128", "0"],
        ["128 or more", "1", "25.0 %"], ["all", "4", "100.0 %"],
    ]  # fmt: skip
    assert rows[0][4] == "100.0 %"
    assert rows[4][3:] == ["1.00", "0.0 %"]  # one prior is the whole picture
    assert sections[4].splitlines() == [
        "Dropped or repaired: 1 dropped, 1 left out",
        "  a.xml: object 1 has no area, dropped",
        "  b??[2J: bad, left out",
    ]


@pytest.mark.parametrize("side, mean, below", [(20, "0.44", "100.0 %"), (22, "0.54", "0.0 %"), (30, "1.00", "0.0 %")])
def test_share_below_the_threshold(side, mean, below):
    """Squares centred on a prior of 30 x 30 pixels: IoU (side / 30)^2."""
    centre = 10.5 / 38 * 300
    entry = labelled((300, 300), (1, [centre - side / 2] * 2 + [centre + side / 2] * 2, 0))
    text = report({"train": (["a"], [entry]), "test": (["b"], [entry])}, ("cat",), [])
    assert re.search(rf"^16 to 32 +1 +100\.0 % +{mean} +{below}$", text, re.MULTILINE)


def test_report_on_little():
    lists = {"train": (["a"], [labelled((3, 3))]), "test": (["b"], [labelled((3, 3))])}
    text = report(lists, ("cat",), [])
    assert "Nothing was dropped" in text
    assert "n/a" in text and "nan" not in text


def test_best_overlaps_against_a_loop():
    rng = np.random.default_rng(0)
    corners = rng.random((300, 2, 2))
    boxes = torch.from_numpy(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)).float()
    priors = cxcy_to_xy(create_prior_boxes(SSDConfig())).double().numpy()
    best = best_overlaps(boxes, SSDConfig())
    for k in (0, 255, 256, 299):
        x_min, y_min, x_max, y_max = boxes[k].tolist()
        width = np.minimum(x_max, priors[:, 2]) - np.maximum(x_min, priors[:, 0])
        height = np.minimum(y_max, priors[:, 3]) - np.maximum(y_min, priors[:, 1])
        shared = width.clip(0) * height.clip(0)
        areas = (priors[:, 2:] - priors[:, :2]).prod(axis=1) + (x_max - x_min) * (y_max - y_min)
        assert best[k].item() == pytest.approx((shared / (areas - shared)).max(), abs=1e-5)
    assert best_overlaps(boxes[:0], SSDConfig()).shape == (0,)


def test_many_objects_are_sampled(monkeypatch):
    monkeypatch.setattr("ssd.data.overview.MOST_OBJECTS", 10)
    entry = labelled((300, 300), *[(1, [0, 0, 30, 30], 0)] * 31)
    text = report({"train": (["a"], [entry]), "test": (["b"], [entry])}, ("cat",), [])
    assert "(8 of 31, evenly chosen)" in text


def test_box_fractions():
    boxes = box_fractions([labelled((10, 20), (1, [1, 2, 5, 10], 0)), labelled((1, 1))])
    torch.testing.assert_close(boxes, torch.tensor([[0.1, 0.1, 0.5, 0.5]]))
    assert box_fractions([]).shape == (0, 4)


def test_notes():
    assert count_notes(["a, b, dropped", "c, clipped", "d, dropped"]) == "2 dropped, 1 clipped"
    assert one_line("ä b\r\n\x1b[31m") == "ä b???[31m"


# -- the mosaic


def test_samples(tmp_path):
    Image.new("RGB", (400, 200), "white").save(tmp_path / "a.png")
    Image.new("L", (1, 1), "white").save(tmp_path / "b.png")
    objects = [labelled((400, 200), (2, [200, 50, 400, 150], 1)), labelled((1, 1))]
    sheet = draw_samples([tmp_path / "a.png", tmp_path / "b.png"], objects, ("cat", "dog"))
    pixels = np.asarray(sheet)[:, :480]
    rows, columns = np.nonzero((pixels == class_colour(1)).all(axis=2))
    top = (480 - 478 * 200 / 400) / 2
    assert columns.max() == pytest.approx(479, abs=3)
    assert rows.max() == pytest.approx(top + 478 * 150 / 400, abs=4)
    assert (np.asarray(sheet)[:, 480:] == 255).all()


def test_samples_are_evenly_chosen(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "ssd.data.overview._draw_sample", lambda path, *_: drawn.append(path) or Image.new("RGB", (9, 9))
    )
    for n in (1, 12, 13, 100):
        drawn.clear()
        draw_samples(range(n), range(n), ("cat",))
        assert drawn == list(range(0, n, drawn[1] if n > 1 else 1))
        assert min(n, 7) <= len(drawn) <= 12


def test_mosaic_of_the_script(voc_folder, tmp_path, capsys):
    args = ["--voc", str(voc_folder), "--output", str(tmp_path / "lists"), "--pictures", str(tmp_path / "new/all.PNG")]
    assert create_data_lists.main(args) == 0
    with Image.open(tmp_path / "new/all.PNG") as sheet:
        assert sheet.size == (4 * 480, 480)
    assert "report.txt" in capsys.readouterr().out


def test_many_notes_are_cut_on_the_terminal(tmp_path, capsys):
    objects = voc_object("dog", 1, 1, 9, 9) + 30 * voc_object("dog", 5, 5, 5, 5)
    folder = make_voc(tmp_path / "voc", {"trainval": ["a"], "test": ["b"]}, objects)
    assert create_data_lists.main(["--voc", str(folder), "--output", str(tmp_path / "lists")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert sum("no area" in line for line in printed) == 20
    assert printed[20] == "and 40 more like these in the report: 60 dropped in all"
    assert (tmp_path / "lists/report.txt").read_text().count("no area") == 60
