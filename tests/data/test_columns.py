import copy
import multiprocessing
import pickle

import pytest

from tests.helpers.voc_folders import data_list, entries

ENTRY = {"size": [10, 20], "boxes": [[1, 2, 3, 4.5]], "labels": [1], "difficulties": [0]}
CROWDS = ENTRY | {"crowds": [[0, 0, 10, 5.5], [0, 10, 10, 20]], "crowd_labels": [1, 0]}
EMPTY = {"size": [30, 20], "boxes": [], "labels": [], "difficulties": []}


def test_images_of_a_list():
    data = data_list(["x", "ü/y", "z\udce9\ud800"], [ENTRY, CROWDS, EMPTY], ("a", "b"))
    assert len(data) == 3 and entries(data) == [ENTRY, CROWDS, EMPTY]
    assert [image.path for image in data] == ["x", "ü/y", "z\udce9\ud800"]
    assert data[-1].path == data[2].path
    for k in (3, -4):
        with pytest.raises(IndexError):
            data[k]


def test_paths_are_a_sequence():
    paths = data_list(["a", "bc", "", "d"], [EMPTY] * 4, ("a",)).paths
    assert paths == ["a", "bc", "", "d"] and paths != ["a", "bc"] and len(paths) == 4
    assert (paths[1], paths[-1], paths[1:3], paths[::-2]) == ("bc", "d", ["bc", ""], ["d", "bc"])
    assert "bc" in paths and paths.index("d") == 3
    with pytest.raises(IndexError):
        paths[4]


def test_subset():
    data = data_list("xyz", [CROWDS, EMPTY, ENTRY], ("a", "b"))
    part = data.subset(k for k in (2, 0, 2))
    assert part.paths == ["z", "x", "z"] and entries(part) == [ENTRY, CROWDS, ENTRY]
    assert entries(part.subset(range(0, 3, 2))) == [ENTRY, ENTRY]
    assert entries(data.subset([])) == []
    assert data.subset(range(3)) is data


def test_a_list_is_known_again_by_the_names_of_its_pictures():
    def digest(*paths):
        return data_list(paths, [ENTRY] * len(paths), ("a",)).digest

    assert digest("/data/x.jpg", "/data/y.jpg") == digest("C:\\pictures\\y.jpg", "C:\\pictures\\x.jpg")
    assert len({digest(), digest("x.jpg"), digest("y.jpg"), digest("x.jpg", "y.jpg"), digest("x.jpg", "x.jpg")}) == 5


def test_crowds_as_difficult_objects():
    data = data_list("xy", [CROWDS, ENTRY], ("a", "b")).with_difficult_crowds()
    boxes = [*ENTRY["boxes"], CROWDS["crowds"][0], CROWDS["crowds"][1], CROWDS["crowds"][1]]
    expected = ENTRY | {"boxes": boxes, "labels": [1, 1, 1, 2], "difficulties": [0, 1, 1, 1]}
    assert entries(data) == [expected, ENTRY]
    without = data_list("x", [ENTRY], ("a", "b"))
    assert without.with_difficult_crowds() is without


def test_difficult_objects_as_crowds():
    easy, difficult = CROWDS["boxes"][0], [2.0, 2.0, 4.0, 5.0]
    entry = CROWDS | {"boxes": [difficult, easy], "labels": [2, 1], "difficulties": [1, 0]}
    data = data_list("xy", [entry, ENTRY], ("a", "b")).without_difficult()
    crowds = {"crowds": [*CROWDS["crowds"], difficult], "crowd_labels": [1, 0, 2]}
    assert entries(data) == [CROWDS | crowds, ENTRY]


def test_pickled_lists():
    data = data_list("xy", [CROWDS, ENTRY], ("a", "b"))
    for other in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        assert entries(other) == [CROWDS, ENTRY] and other.paths == ["x", "y"] and other.class_names == ("a", "b")


def receive(data):
    """Fails if a process has not received the data list, in shared memory."""
    assert all(column.base.is_shared() for column in data.columns.values())  # the base is a tensor
    assert entries(data) == [CROWDS, ENTRY] and data.paths == ["x", "y"] and data.class_names == ("a", "b")


def test_processes_started_afresh_share_the_columns():
    data = data_list("xy", [CROWDS, ENTRY], ("a", "b"))
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(data,))
    process.start()
    process.join()
    assert process.exitcode == 0
