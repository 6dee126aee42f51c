import io
import json
import struct
import sys
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ssd.errors import InputError
from ssd.training.run import logs, panels
from ssd.training.run.results import COLUMNS, Results
from tests.helpers.runs import NAMES, row

ROWS = [row(k, train_loc=float("nan")) for k in range(1, 11)]
ROWS[4]["val_mAP"] = ROWS[9]["val_mAP"] = 0.5


def log_session(folder, choice, start, stop, items, closed=True):
    """A session of a run: iterations from `start` to `stop`, pictures after every fifth."""
    results = Results(folder / "results.csv", start)
    (logger,) = logs.loggers(folder, choice, start, {"lr": 1e-3, "output": folder}, NAMES)
    for k in range(start, stop):
        results.append([ROWS[k]])
        logger.scalars(k + 1, ROWS[k])
        if (k + 1) % 5 == 0:
            logger.panels(k + 1, items)
    if closed:
        logger.close()
    return logger


def test_tensorboard_has_each_iteration_once(tmp_path, items):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    killed = log_session(tmp_path, "tensorboard", 0, 8, items, closed=False)  # its last checkpoint was of iteration 6
    log_session(tmp_path, "tensorboard", 6, 10, items)
    events = EventAccumulator(str(tmp_path)).Reload()
    killed.close()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [
        (k, pytest.approx(10 / k)) for k in range(1, 11)
    ]
    assert [(e.step, e.value) for e in events.Scalars("val/mAP")] == [(5, 0.5), (10, 0.5)]
    assert sorted(events.Tags()["scalars"]) == ["lr", "train/loss", "val/mAP"]  # none of NaN
    assert events.Tags()["images"] == ["validation/0 a b", "validation/1 empty"]
    pictures = events.Images("validation/0 a b")
    assert [picture.step for picture in pictures] == [5, 10]
    drawn = Image.open(io.BytesIO(pictures[0].encoded_image_string))
    difference = np.abs(np.asarray(drawn).astype(int) - np.asarray(panels.draw_panel(items[0], NAMES)))
    assert drawn.size == (640, 320) == (pictures[0].width, pictures[0].height) and difference.mean() < 4
    (text,) = events.Tensors("arguments/text_summary")[:1]
    assert b"| lr | 0.001 |" in text.tensor_proto.string_val[0]


def wandb_records(folder):
    """The history that a session of Weights & Biases wrote offline: step -> {name: value}."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("*.wandb")
    history = {}
    for content in leveldb_records(file.read_bytes()):
        record = Record.FromString(content)
        if record.WhichOneof("record_type") == "history":
            values = {entry.key or "/".join(entry.nested_key): entry.value_json for entry in record.history.item}
            step = json.loads(values["_step"])
            assert step not in history
            history[step] = {k: json.loads(v) for k, v in values.items() if not k.startswith("_")}
    return history


def leveldb_records(content):
    """The records of a file in LevelDB's log format, blocks of 32 KiB, below a header of 7 bytes."""
    at, record = 7, b""
    while at + 7 <= len(content):
        left_of_block = -at % 32768
        if 0 < left_of_block < 7:
            at += left_of_block
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)  # behind a checksum
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


def test_which_rows_are_logged():
    nan = dict.fromkeys(COLUMNS[1:], float("nan"))
    assert [k for k in range(1, 31) if logs.is_logged({"iteration": k, **nan})] == [10, 20, 30]
    assert logs.is_logged({"iteration": 3, "val_loss": 0.0}) and not logs.is_logged({"iteration": 3, "train_loss": 1})


def test_wandb_offline_sessions_are_complete(tmp_path, items, monkeypatch):
    pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    run = tmp_path / "run"
    run.mkdir()
    log_session(run, "wandb", 0, 5, items)
    log_session(run, "wandb", 6, 10, items)
    run_id = (run / "wandb_id.txt").read_text()
    first, second = sorted(run.glob("wandb/offline-run-*"))  # named by the time
    assert f"-{run_id}" in first.name and f"-{run_id}" in second.name
    for _ in range(200):  # another process writes the file, and may do so after `close` has returned
        history = wandb_records(second)
        if 10 in history:
            break
        time.sleep(0.1)
    assert [(step, values["train/loss"]) for step, values in history.items()] == [
        (k, pytest.approx(10 / k))
        for k in (5, 7, 8, 9, 10)  # of the first session what is worth telling
    ]
    assert history[5]["val/mAP"] == history[10]["val/mAP"] == 0.5 and "train/loc" not in history[10]
    picture = {key.removeprefix("validation/0 a b/"): value for key, value in history[10].items()}
    assert (picture["width"], picture["height"], picture["caption"]) == (640, 320, "a b.png")
    assert (second / "files" / picture["path"]).suffix == ".jpg" and (second / "files" / picture["path"]).exists()
    boxes = {
        kind: json.loads((second / "files" / picture[f"boxes/{kind}/path"]).read_text())["box_data"]
        for kind in ("ground_truth", "predictions")
    }
    assert [box["box_caption"] for box in boxes["ground_truth"]] == ["cat"]
    (box,) = boxes["predictions"]
    assert box["position"] == {"minX": 400, "minY": 80, "maxX": 600, "maxY": 240}
    assert (box["class_id"], box["box_caption"], box["scores"]) == (2, "dog 0.75", {"score": 0.75})


class FakeWandb(ModuleType):
    """Weights & Biases online, where the server has the steps below `known`; `logged` is what it received.

    Steps must not go down, as with the real one.
    """

    class Error(Exception):
        pass

    def __init__(self, known=0, mode="online", error=None):
        super().__init__("wandb")
        self.step, self.error, self.logged, self.options = known, error, {}, None
        self.settings, self.Image = SimpleNamespace(mode=mode), lambda picture, **options: options

    def setup(self):
        return self

    def init(self, **options):
        if self.error:
            raise self.Error(self.error)
        self.options = options
        return self

    def log(self, values, step):
        assert step >= self.step
        self.step = step
        self.logged.setdefault(step, {}).update(values)

    def finish(self):
        self.logged["finished"] = True


def install(server, monkeypatch):
    for name in ("wandb", "wandb.sdk"):
        monkeypatch.setitem(sys.modules, name, server)


def test_wandb_online_is_told_what_the_server_does_not_know(tmp_path, items, monkeypatch):
    for server in (FakeWandb(), FakeWandb(known=9)):  # the session that was killed had logged iteration 8
        install(server, monkeypatch)
        start, stop = (6, 10) if server.step else (0, 6)
        log_session(tmp_path, "wandb", start, stop, items)
        assert server.options["resume"] == "allow" and server.options["dir"] == tmp_path
        assert server.options["id"] == (tmp_path / "wandb_id.txt").read_text()
    assert list(server.logged) == [9, 10, "finished"]
    assert sorted(server.logged[10]) == ["lr", "train/loss", "val/mAP", "validation/0 a b", "validation/1 empty"]
    assert server.logged[10]["validation/1 empty"]["boxes"]["predictions"]["box_data"] == []


def test_wandb_that_does_not_start_is_one_sentence(tmp_path, monkeypatch):
    install(FakeWandb(error="No API key configured.\nTraceback"), monkeypatch)
    with pytest.raises(InputError, match=r"start \(No API key configured\); .*WANDB_MODE=offline$"):
        logs.loggers(tmp_path, "wandb", 0, {}, NAMES)


def test_missing_loggers(tmp_path, monkeypatch):
    """`None` in sys.modules is a package that is not installed."""
    for package in ("torch.utils.tensorboard", "wandb.sdk"):  # a folder called wandb has no part of this name
        monkeypatch.setitem(sys.modules, package, None)
    for choice in ("tensorboard", "wandb"):
        with pytest.raises(InputError, match=rf'^{choice} is needed for --log {choice} \(extra "log"\): pip install'):
            logs.loggers(tmp_path, choice, 0, {}, NAMES)
    assert logs.loggers(tmp_path, "auto", 0, {}, NAMES) == logs.loggers(tmp_path, "none", 0, {}, NAMES) == []
    assert list(tmp_path.iterdir()) == []


def test_auto_is_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    (logger,) = logs.loggers(tmp_path, "auto", 0, {}, NAMES)
    logger.close()
    assert isinstance(logger, logs.TensorBoard)


def test_unknown_loggers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'mlflow', must be one of auto, tensorboard, wandb, none"):
        logs.loggers(tmp_path, "mlflow", 0, {}, NAMES)
