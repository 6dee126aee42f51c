import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.errors import InputError
from ssd.evaluation import (
    DataSetDetections,
    load_results,
    match_dataset,
    match_detections,
    save_results,
    save_truth,
    summarize,
)  # fmt: skip
from ssd.evaluation.report.confusion import confusion_matrix
from ssd.evaluation.report.mistakes import error_breakdown
from tests.helpers.detection_cases import random_case
from tests.helpers.voc_folders import data_list

NOTHING = {"size": [9, 9], "boxes": [], "labels": [], "difficulties": []}
IMAGES = ["pictures/000005.jpg", "pictures/a b.jpg", "pictures/empty.jpg"]
BIRD = "comp4_det_test_bird.txt"
GOOD = {"image_id": 0, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5}


LEAST = 2.0**-29  # pixels: from here on, float64 holds x_min + 1 of a float32 x_min


def images_of(paths, class_names=("cat", "dog")):
    """A data list of images without objects."""
    return data_list(paths, [NOTHING] * len(paths), class_names)


DATA = images_of(IMAGES)


def float32_case(seed):
    """A random case whose detections are as a network's: best first, float32 numbers of all sizes, scores of 1."""
    case = list(random_case(seed))
    rng = np.random.default_rng(seed)
    for k, boxes in enumerate(case[0]):
        tiny = torch.from_numpy(10.0 ** rng.uniform(-8.7, 0, (len(boxes), 4)))
        start = (boxes[:, :2] * rng.choice([0, 1e-9, 1, 1.37]) + tiny[:, :2] * rng.integers(0, 2)).clamp(min=0)
        start[start < LEAST] = 0
        case[0][k] = torch.cat([start, start + tiny[:, 2:] * rng.choice([0, 1, 300])], dim=1).float()
        case[2][k] = torch.from_numpy(rng.choice([1.0, 1 / 3, 0.2, 1e-7, rng.random()], len(boxes))).float()
    return best_first(case), [f"images/{k:06d}.jpg" for k in range(len(case[0]))]


def best_first(case):
    """The case with the detections of each image in the order in which `detect_objects` gives them."""
    orders = [np.lexsort((labels.numpy(), -scores.numpy())) for labels, scores in zip(case[1], case[2], strict=True)]
    sorted_lists = ([v[o] for v, o in zip(values, orders, strict=True)] for values in case[:3])
    return [*sorted_lists, *case[3:]]


def test_a_full_disk_leaves_all_the_old_files(tmp_path, small_files):
    """Also those whose new version there is room for: old and new ones together would be scored as one result."""
    case, paths = float32_case(0)
    data = images_of(paths, list(case[6])[1:])
    save_results(tmp_path, DataSetDetections(*case[:3]), data)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    small_files(len(before["coco_results.json"]) // 2)  # enough for the others
    halved = [scores / 2 for scores in case[2]]
    with pytest.raises(InputError, match="cannot be written"):
        save_results(tmp_path, DataSetDetections(*case[:2], halved), data)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_files_by_hand(tmp_path):
    boxes = [torch.tensor([[4.0, 5, 6, 7], [0, 9.5, 100, 200]]), torch.zeros(1, 4), torch.zeros(0, 4)]
    labels = [torch.tensor([1, 2]), torch.tensor([2]), torch.zeros(0, dtype=torch.int64)]
    scores = [torch.tensor([1.0, 0.1]), torch.tensor([0.5]), torch.zeros(0)]
    save_results(tmp_path, DataSetDetections(boxes, labels, scores), DATA)
    assert {file.name: file.read_text() for file in tmp_path.glob("*.txt")} == {
        "comp4_det_test_cat.txt": "000005 1 5 6 6 7\n",
        "comp4_det_test_dog.txt": "000005 0.10000000149011612 1 10.5 100 200\na b 0.5 1 1 0 0\n",
    }
    assert json.loads((tmp_path / "coco_results.json").read_text()) == [
        {"image_id": 0, "category_id": 1, "bbox": [4, 5, 2, 2], "score": 1},
        {"image_id": 0, "category_id": 2, "bbox": [0, 9.5, 100, 190.5], "score": float(np.float32(0.1))},
        {"image_id": 1, "category_id": 2, "bbox": [0, 0, 0, 0], "score": 0.5},
    ]


def test_no_detections(tmp_path):
    nothing = [[torch.zeros(0, 4)] * 3, [torch.zeros(0, dtype=torch.int64)] * 3, [torch.zeros(0)] * 3]
    save_results(tmp_path, DataSetDetections(*nothing), DATA)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "coco_results.json",
        "comp4_det_test_cat.txt",
        "comp4_det_test_dog.txt",
    ]
    for path in (tmp_path, tmp_path / "coco_results.json"):
        found = load_results(path, DATA)
        assert [tuple(b.shape) for b in found.boxes] == [(0, 4)] * 3
        assert sum(map(len, found.labels + found.scores)) == 0 and found.labels[0].dtype == torch.int64


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_loading_returns_the_very_numbers_and_order(seed, tmp_path_factory):
    case, images = float32_case(seed)
    folder = tmp_path_factory.mktemp("results")
    data = images_of(images, list(case[6])[1:])
    save_results(folder, DataSetDetections(*case[:3]), data)
    for path in (folder, folder / "coco_results.json"):
        found = load_results(path, data)
        for loaded, expected in zip((found.boxes, found.labels, found.scores), case[:3], strict=True):
            assert all(torch.equal(a, b.to(a.dtype)) for a, b in zip(loaded, expected, strict=True))


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1e6, width=32), st.floats(0, 1e6, width=32))
def test_numbers_that_the_formats_add_up(x, y):
    """float64 holds x_min + 1, and x_min + (x_max - x_min) is x_max again, for float32 numbers of a picture."""
    x_min, x_max = min(x, y), max(x, y)
    read = float(f"{x_min + 1:.17g}") - 1
    assert read == x_min if x_min == 0 or x_min >= LEAST else abs(read - x_min) <= 2.0**-53
    assert x_min + (x_max - x_min) == x_max


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_the_files_are_the_figures_of_the_evaluation(seed, tmp_path):
    case = best_first(random_case(seed, n_images=20))
    case[0] = [boxes * 1.0137 + 0.01 for boxes in case[0]]
    data = images_of([f"images/{k:06d}.jpg" for k in range(20)], list(case[6])[1:])

    def figures(found):
        matches = match_detections(found.boxes, found.labels, found.scores, *case[3:])
        return summarize(matches), error_breakdown(matches), confusion_matrix(matches).tolist()

    saved = DataSetDetections(*case[:3])
    save_results(tmp_path, saved, data)
    expected = figures(saved)
    assert expected[0]["map_voc10"] > 0
    assert figures(load_results(tmp_path, data)) == expected
    assert figures(load_results(tmp_path / "coco_results.json", data)) == expected


def test_other_detectors_files(tmp_path):
    """Numbers with more digits stay as they are, whatever their order in the file; classes may have no file."""
    (tmp_path / "comp4_det_test_dog.txt").write_text(
        "a b 0.12345678901234 10.1 20.25 30.0 40\n000005 .5 1 1 2 2\n\na b 0.9 1e0 +1 300 2e38\n"
    )
    found = load_results(tmp_path, DATA)
    assert [t.tolist() for t in found.scores] == [[0.5], [0.9, 0.12345678901234], []]
    assert found.boxes[1].tolist() == [[0, 0, 300, 2e38], [10.1 - 1, 19.25, 30, 40]]
    assert found.labels[1].tolist() == [2, 2]


def test_files_of_other_systems(tmp_path):
    """A byte order mark, blanks around the columns, a test list with backslashes."""
    (tmp_path / "comp4_det_test_dog.txt").write_bytes(b"\xef\xbb\xbf  000005 0.5 1 1 5 5 \r\n")
    (tmp_path / "found.json").write_bytes(b"\xef\xbb\xbf" + json.dumps([GOOD | {"category_id": 2}]).encode())
    for path in (tmp_path, tmp_path / "found.json"):
        found = load_results(path, images_of([r"C:\pictures\000005.jpg"]))
        assert found.boxes[0].tolist() == [[0, 0, 5, 5]] and found.labels[0].tolist() == [2]


def test_rounded_boxes_end_where_they_begin(tmp_path):
    """Another program's nine digits of the 1-based x_min can pass x_max, by less than the last digit."""
    (tmp_path / "comp4_det_test_dog.txt").write_text("000005 0.5 1.10000001 1 0.1 5\n")
    box = load_results(tmp_path, DATA).boxes[0][0]
    assert box[2] == box[0]


def test_other_tools_score_the_saved_files(tmp_path):
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    case = random_case(4, n_images=20)
    images = [f"images/{k:06d}.jpg" for k in range(20)]
    objects = [
        {"size": [150, 120], "boxes": boxes.tolist(), "labels": labels.tolist(), "difficulties": difficult.tolist()}
        for boxes, labels, difficult in zip(*case[3:6], strict=True)
    ]
    objects[0] |= {"crowds": [[0, 0, 75, 120], [0, 0, 150, 60]], "crowd_labels": [1, 0]}
    data = data_list(images, objects, list(case[6])[1:])
    save_results(tmp_path, DataSetDetections(*case[:3]), data)
    n_difficult = data.difficulties.sum()
    assert [str(note).partition(": ")[2] for note in save_truth(tmp_path, data)] == [
        f"{n_difficult} difficult objects, which COCO does not know, became crowds"
    ]
    truth = coco.COCO(tmp_path / "coco_truth.json")
    assert truth.loadImgs(5)[0] == {"id": 5, "file_name": "000005.jpg", "width": 150, "height": 120}
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(str(tmp_path / "coco_results.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert len(truth.getAnnIds(iscrowd=True)) == n_difficult + 1 + len(case[6]) - 1
    expected = summarize(match_dataset(DataSetDetections(*case[:3]), data))["coco"]
    figures = [-1 if value is None else value for value in expected.values()]
    assert expected["ap"] > 0 and evaluation.stats[:6].tolist() == pytest.approx(figures, abs=1e-12)


@pytest.mark.parametrize(
    "row, message",
    [
        ("000005 0.5 1 1 5", "line 2: has 5 columns, but must have image, score"),
        ("000006 0.5 1 1 5 5", "line 2: the list has no picture 000006"),
        ("no such picture 0.5 1 1 5 5", "line 2: the list has no picture no such picture"),
        ("000005 0.5 1 1 5 5 cat", "line 2: .* not all numbers"),
        ("000005 0.5 1 1 4e38 5", "line 2: .* not all finite numbers of float32"),
        ("000005 nan 1 1 5 5", "line 2: .* not all finite"),
        ("000005 0.5 1 1 inf 5", "line 2: .* not all finite"),
        ("\x93\x00", "line 2: has 1 columns, but must have image, score"),
        ("000005 high 1 1 5 5", "line 2: .* not all numbers"),
        ("000005 0.5 50 1 5 5", "line 2: the box ends before it begins"),
        ("000005 0.5 1 50 5 5", "line 2: the box ends before it begins"),
    ],
)
def test_bad_rows_of_voc_files(tmp_path, row, message):
    file = tmp_path / "comp4_det_test_dog.txt"
    file.write_bytes(f"000005 0.5 1 1 5 5\n{row}\n".encode("latin-1"))
    with pytest.raises(InputError, match=rf"comp4_det_test_dog.txt, {message}"):
        load_results(tmp_path, DATA)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_id": 3}, "detection 2: the list has no picture 3"),
        ({"image_id": "000005"}, "detection 2: the list has no picture '000005'"),
        ({"image_id": True}, "detection 2: the list has no picture True"),
        ({"image_id": 1.0}, "detection 2: the list has no picture 1.0"),
        ({"category_id": 1.0}, "detection 2: the label map has no label 1.0"),
        ({"bbox": [0, 3e38, 1, 3e38]}, "detection 2: .* not all finite numbers of float32"),
        ({"score": 10**400}, "detection 2: .* not all finite"),
        ({"category_id": 0}, "detection 2: the label map has no label 0"),
        ({"category_id": [1]}, r"detection 2: the label map has no label \[1\]"),
        ({"bbox": [0, 0, 5]}, "detection 2: needs .* bbox of four numbers"),
        ({"bbox": [0, 0, -1, 5]}, "detection 2: the box ends before it begins"),
        ({"bbox": [0, None, 1, 5]}, "detection 2: .* not all numbers"),
        ({"score": math.nan}, "detection 2: .* not all finite"),
    ],
)
def test_bad_rows_of_coco_json(tmp_path, change, message):
    file = tmp_path / "found.json"
    file.write_text(json.dumps([GOOD, GOOD | change]))
    with pytest.raises(InputError, match=f"found.json, {message}"):
        load_results(file, DATA)


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "found.json: not JSON"),
        ("[" * 100_000, "found.json: not JSON"),
        ("{}", "holds a dict, a list is expected"),
        ("[[]]", "detection 1: needs image_id"),
    ],
)
def test_bad_json(tmp_path, content, message):
    (tmp_path / "found.json").write_text(content)
    with pytest.raises(InputError, match=message):
        load_results(tmp_path / "found.json", DATA)


def test_bad_folders_and_names(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_results(tmp_path / "nowhere", DATA)
    with pytest.raises(InputError, match="holds no comp4_det_test_<class>.txt"):
        load_results(tmp_path, DATA)
    (tmp_path / BIRD).touch()
    with pytest.raises(InputError, match="the data set has no class bird"):
        load_results(tmp_path, DATA)
    (tmp_path / BIRD).rename(tmp_path / "empty")
    (tmp_path / "comp4_det_test_dog.txt").mkdir()
    with pytest.raises(InputError, match="comp4_det_test_dog.txt: a folder, not a file"):
        load_results(tmp_path, DATA)
    nothing = DataSetDetections()
    with pytest.raises(InputError, match="'and/or' cannot be part of a file name"):
        save_results(tmp_path, nothing, images_of([], ["and/or"]))
    with pytest.raises(InputError, match="Cat and cat differ only in case"):
        save_results(tmp_path, nothing, images_of([], ["Cat", "cat"]))
    with pytest.raises(InputError, match="b/1.jpg and a/1.jpg have the same image id 1"):
        save_results(tmp_path, nothing, images_of(["a/1.jpg", "b/1.jpg"]))
