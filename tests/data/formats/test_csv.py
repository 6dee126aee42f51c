"""Reading annotations from a table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.commands import data as create_data_lists
from ssd.data.formats.csv import read_csv
from ssd.media.outputs import save_records
from tests.helpers.annotations import annotated, lists, names, picture, write
from tests.helpers.scripts import refused
from tests.helpers.voc_folders import entries

HEADER = "image,name,x_min,y_min,x_max,y_max\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "sub/b.jpg"):
        picture(tmp_path / "pictures" / name)
    return tmp_path / "pictures"


@pytest.mark.parametrize("table", [
    HEADER + "a.jpg,dog,4,3,20,15\nsub/b.jpg,cat,0,0,40,30\na.jpg,cat,0,0,1.5,1\n",
    HEADER + "a.jpg,dog,.1,0.1,0.5,5e-1\nsub/b.jpg,cat,0,0,1,1\na.jpg,cat,0,0,0.0375,0.033333333333\n",
    "filename;Class;XMin;Y Min;xmax;ymax;width;height\r\na.jpg;dog;4;3;20;15;40;30\r\n"
    "sub\\b.jpg;cat;0;0;40;30;40;30\r\na.jpg;cat;0;0;1.5;1;;\r\n",
    "score\ty_max\tx_max\ty_min\tx_min\tlabel\timage\n1\t15\t20\t3\t4\tdog\ta.jpg\n\n1\t30\t40\t0\t0\tcat\tsub/b.jpg\n"
    "1\t1\t1.5\t0\t0\tcat\ta.jpg",
])  # fmt: skip
def test_pixels_and_fractions(folder, table):
    images, notes = read_csv(write(folder / "boxes.csv", "\ufeff" + table))
    a = annotated(folder / "a.jpg", ("dog", (4, 3, 20, 15), 0), ("cat", (0, 0, 1.5, 1), 0))
    assert [image._replace(path=image.path.replace("\\", "/")) for image in images] == [
        *(a, annotated(folder / "sub/b.jpg", ("cat", (0, 0, 40, 30), 0))),
    ]
    assert notes == []


@pytest.mark.parametrize("row", ["0.2,0.1,0.5,0.5", "0,0,1,1"])
def test_pixels_beside_fractions(folder, tmp_path, capsys, row):
    """The row is a box of a table of fractions, but in pixels it would be within the first pixel."""
    rows = ["sub/b.jpg,cat,0,0,0,0", "a.jpg,dog,,,,", f"a.jpg,dog,{row}", "sub/b.jpg,cat,0,0,1.5,1.5"]
    table = write(folder / "boxes.csv", HEADER + "\n".join(rows))
    (image, _), _ = read_csv(table)
    assert image.objects[-1].box == (0, 0, 40, 30)  # clipped
    write(table, table.read_text() + "\na.jpg,cat,4,3,20,15\na.jpg,cat,5,3,20,15\n")
    message = f"has pixels in line 6 (4, 3, 20, 15) and fractions of the picture in line 4 ({row.replace(',', ', ')})"
    args = ["--csv", table, "--test-fraction", 0.5, "--output", tmp_path / "lists"]
    refused(capsys, create_data_lists, args, f"error: {table}: {message}; give all boxes in one of the two")


def test_rows_that_are_wrong(folder):
    rows = (
        "a.jpg,dog,4,3,2,15", "a.jpg,,4,3,20,15", "a.jpg,dog,4,3,20", "a.jpg,dog,4,3,twenty,15", "a.jpg,dog,4,3,50,15",
        ",dog,4,3,20,15", "gone.jpg,dog,4,3,20,15", "sub/b.jpg",
    )  # fmt: skip
    images, notes = read_csv(write(folder / "boxes.csv", HEADER + "\n".join(rows)))
    first = annotated(folder / "a.jpg", ("dog", (4, 3, 40, 15), 0), n_dropped=4)
    assert images == [first, annotated(folder / "sub/b.jpg")]
    words = (
        "boxes.csv, line 7: names no image, left out",
        "a.jpg: object 1 (dog) with x_min, y_min, x_max, y_max = 4, 3, 2, 15 (line 2) has no area in the picture",
        "a.jpg: object 2 with x_min, y_min, x_max, y_max = 4, 3, 20, 15 (line 3) has no class name, dropped",
        "= 4, 3, 20,  (line 4) does not have four finite coordinates, dropped",
        "= 4, 3, twenty, 15 (line 5) does not have four finite coordinates, dropped",
        "= 4, 3, 50, 15 (line 6) leaves the picture of 40 x 30 pixels, clipped",
        "gone.jpg: no such picture, left out",
    )
    assert len(notes) == len(words)
    for note, word in zip(notes, words, strict=True):
        assert word in str(note)


ODD_NAMES = ("comma, and; semicolon", 'quote"s', "two\nlines", "ü", "'")


def test_what_detect_writes_is_read(folder, monkeypatch):
    """Also the names that a table has to quote."""
    paths = [picture(folder / name) for name in ("a,b.jpg", 'c "d".png', "sub/e\nf.jpg")]
    boxes = [[0.125, 0.5, 9.876 + k, 30.0] for k in range(len(ODD_NAMES))]
    found = [{"name": name, "score": 0.5, "box": box} for name, box in zip(ODD_NAMES, boxes, strict=True)]
    records = [
        {"image": str(path), "annotated": None, "width": 40, "height": 30, "detections": found} for path in paths
    ]
    save_records(folder, records, ["csv"], ODD_NAMES)
    expected = [annotated(path, *((each["name"], each["box"], 0) for each in found)) for path in paths]
    assert read_csv(folder / "detections.csv") == (expected, [])
    relative = [record | {"image": record["image"].removeprefix(f"{folder.parent}/")} for record in records]
    save_records(folder / "sub", relative, ["csv"], ODD_NAMES)
    monkeypatch.chdir(folder.parent)  # where detect.py was run
    images, _ = read_csv(folder / "sub/detections.csv")
    assert names(images) == [list(ODD_NAMES)] * 3
    moved = folder.rename(folder.parent / "moved")
    images, _ = read_csv(moved / "detections.csv", images_folder=moved)  # by their names alone
    assert names(images) == [list(ODD_NAMES)] * 2


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)


@given(names=st.lists(NAMES, min_size=1, max_size=4))
@settings(max_examples=40)
def test_any_name_is_read_as_it_was_written(names, picture_and_table):
    path, table = picture_and_table
    found = [{"name": name, "score": 0.5, "box": [k, 0.0, 30.5, 20.0]} for k, name in enumerate(names)]
    record = {"image": str(path), "annotated": None, "width": 40, "height": 30, "detections": found}
    save_records(table.parent, [record], ["csv"], names)
    ((image,), notes) = read_csv(table)
    assert [each.name for each in image.objects] == [name.strip() for name in names] and notes == []


@pytest.fixture(scope="module")
def picture_and_table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    return picture(folder / "a.jpg"), folder / "detections.csv"


def test_tables_as_data_sets(folder, tmp_path, capsys):
    write(folder / "one.csv", HEADER + "a.jpg,dog,4,3,20,15\n")
    write(folder / "two.csv", HEADER + "sub/b.jpg,dog,0,0,9,9\n")
    write(folder / "both.csv", (folder / "one.csv").read_text() + "sub/b.jpg,dog,0,0,9,9\n")
    for args in (
        ("--csv", folder / "one.csv", "--test", "two.csv"),
        ("--csv", folder, "--train", "one.csv", "--test", folder / "two.csv"),
    ):
        train, test = lists(*args, output=tmp_path / "lists")
        assert train.paths == [str(folder / "a.jpg")] and test.paths == [str(folder / "sub/b.jpg")]
        assert entries(train)[0]["boxes"] == [[4, 3, 20, 15]]
    train, test = lists("--csv", folder / "both.csv", "--test-fraction", 0.5, output=tmp_path / "lists")
    assert {*train.paths, *test.paths} == {str(folder / "a.jpg"), str(folder / "sub/b.jpg")}
    refused(capsys, create_data_lists, ["--csv", folder / "one.csv"], "no test split found", "--test-fraction")
    refused(capsys, create_data_lists, ["--csv", folder / "one.csv", "--test", "x.csv"], "x.csv: no such table")
    refused(capsys, create_data_lists, ["--csv", folder / "sub"], "holds no annotations (*.csv)")


@pytest.mark.parametrize("content, message", [
    (None, "no such table of annotations"),
    ("", "lacks image, name, x_min, y_min, x_max, y_max"),
    ("a.jpg,dog,4,3,20,15\n", "its first line must name the columns image, name or class, x_min"),
    ("image,x_min,y_min,x_max\n", "it lacks name, y_max"),
    (HEADER, "boxes.csv: names no images"),
    (HEADER + "gone.jpg,dog,4,3,20,15\n", "gone.jpg: no such picture"),
    (HEADER + "boxes.csv,dog,4,3,20,15\n", "boxes.csv: not a picture"),
    (HEADER + "\0,dog,4,3,20,15\n", ""),
    (HEADER + f'"{"x" * 200_000}",dog,4,3,20,15\n', "line 2: not a table (field larger than field limit"),
    (b"image,name,x_min,y_min,x_max,y_max\n\xff.jpg,dog,4,3,20,15\n", "not UTF-8 text"),
])  # fmt: skip
def test_what_is_no_such_table(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "boxes.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    args = ["--csv", tmp_path / "boxes.csv", "--test-fraction", 0.5, "--output", tmp_path / "lists"]
    refused(capsys, create_data_lists, args, message)
    assert not (tmp_path / "lists").exists()
