"""The report on data lists, and its pictures."""

import re

import numpy as np
import pytest
from PIL import Image

from ssd.commands import data as create_data_lists
from ssd.data.formats.records import Note
from ssd.data.overview import count_notes, draw_samples, report
from ssd.visualize import class_colour
from tests.helpers.voc_folders import data_list


def labelled(size, *rows):
    labels, boxes, difficulties = zip(*rows, strict=True) if rows else ((), (), ())
    return {"size": list(size), "boxes": list(boxes), "labels": list(labels), "difficulties": list(difficulties)}


def lists(*train, test=(), class_names=("cat", "dog")):
    """Data lists of images "0", "1", ... with entries as `labelled` makes them."""
    parts = {"train": train, "test": test or train}
    return {split: data_list(range(len(part)), part, class_names) for split, part in parts.items()}


LISTS = lists(
    labelled((300, 300), (1, [0, 0, 30, 30], 0), (1, [0, 0, 4, 20], 1), (2, [0, 0, 300, 300], 0)),
    labelled((300, 300)),
    labelled((600, 140), (1, [0, 0, 80, 20], 0)),
    test=[labelled((10, 20), (2, [0, 0, 5, 5], 0))],
)


def test_report():
    text = report(LISTS, [Note("a.xml", "object 1 has no area", "dropped"), Note("b\n\x1b[2J", "bad", "left out")])
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


def test_crowds_are_counted_where_there_are_any():
    crowds = {"crowds": [[0, 0, 9, 9], [0, 0, 300, 100]], "crowd_labels": [1, 2]}
    entry = labelled((300, 300), (1, [0, 0, 30, 30], 0))
    contents = report(lists(entry | crowds, entry, test=[entry]), []).split("\n\n")[0].splitlines()
    assert contents[3].split() == ["objects", "2", "1"] and contents[-1].split() == ["crowds", "2", "0"]


@pytest.mark.parametrize("side, mean, below", [(20, "0.44", "100.0 %"), (22, "0.54", "0.0 %"), (30, "1.00", "0.0 %")])
def test_share_below_the_threshold(side, mean, below):
    """Squares centred on a prior of 30 x 30 pixels: IoU (side / 30)^2."""
    centre = 10.5 / 38 * 300
    entry = labelled((300, 300), (1, [centre - side / 2] * 2 + [centre + side / 2] * 2, 0))
    text = report(lists(entry), [])
    assert re.search(rf"^16 to 32 +1 +100\.0 % +{mean} +{below}$", text, re.MULTILINE)


def test_report_on_little():
    text = report(lists(labelled((3, 3))), [])
    assert "Nothing was dropped" in text
    assert "n/a" in text and "nan" not in text


def test_many_objects_are_sampled(monkeypatch):
    monkeypatch.setattr("ssd.data.overview.MOST_OBJECTS", 10)
    entry = labelled((300, 300), *[(1, [0, 0, 30, 30], 0)] * 31)
    text = report(lists(entry), [])
    assert "(8 of 31, evenly chosen)" in text


def test_notes():
    notes = [Note("a", "b", action) for action in ("dropped", "clipped", "dropped")]
    assert count_notes(notes) == "2 dropped, 1 clipped"


# -- the mosaic


def test_samples(tmp_path):
    Image.new("RGB", (400, 200), "white").save(tmp_path / "a.png")
    Image.new("L", (1, 1), "white").save(tmp_path / "b.png")
    objects = [labelled((400, 200), (2, [200, 50, 400, 150], 1)), labelled((1, 1))]
    sheet = draw_samples(data_list([tmp_path / "a.png", tmp_path / "b.png"], objects, ("cat", "dog")))
    pixels = np.asarray(sheet)[:, :480]
    rows, columns = np.nonzero((pixels == class_colour(2)).all(axis=2))
    top = (480 - 478 * 200 / 400) / 2
    assert columns.max() == pytest.approx(479, abs=3)
    assert rows.max() == pytest.approx(top + 478 * 150 / 400, abs=4)
    assert (np.asarray(sheet)[:, 480:] == 255).all()


def test_samples_are_evenly_chosen(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "ssd.data.overview._draw_sample", lambda listed, *_: drawn.append(listed) or Image.new("RGB", (9, 9))
    )
    for n in (1, 12, 13, 100):
        drawn.clear()
        draw_samples(lists(*[labelled((3, 3))] * n)["train"])
        places = [int(image.path) for image in drawn]
        assert places == list(range(0, n, places[1] if n > 1 else 1))
        assert min(n, 7) <= len(drawn) <= 12


def test_mosaic_of_the_script(voc_folder, tmp_path, capsys):
    args = ["--voc", str(voc_folder), "--output", str(tmp_path / "lists"), "--pictures", str(tmp_path / "new/all.PNG")]
    assert create_data_lists.main(args) == 0
    with Image.open(tmp_path / "new/all.PNG") as sheet:
        assert sheet.size == (4 * 480, 480)
    assert "report.txt" in capsys.readouterr().out
