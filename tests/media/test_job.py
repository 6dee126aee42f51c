"""Jobs of detect.py that are interrupted and resumed. `python -m tests.long.kill_and_resume_detect` kills them."""

import os
import shutil
import signal
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from ssd.commands import detect
from ssd.media.film import VideoWriter
from ssd.media.video import Moment
from tests.helpers import small_network
from tests.helpers.fixed_detector import CHECKPOINT, FixedDetector
from tests.helpers.scripts import refused
from tests.long.kill_and_resume_detect import content, kill_and_resume

OPTIONS = ["--batch-size", "1", "--save", "json,jsonl,csv", "--checkpoint", CHECKPOINT]


def run(output, *args):
    return detect.main([*map(str, args), *OPTIONS, "--output", str(output)])


@pytest.fixture
def sources(photos):
    """Four pictures and a film of ten frames."""
    pytest.importorskip("av")
    with VideoWriter(photos / "film.mp4", Fraction(25)) as film:
        for k in range(10):
            film.write(Image.new("RGB", (64, 48), (25 * k, 0, 0)), Moment(k / 25, 1 / 25))
    return [photos, photos / "film.mp4", "--recursive"]


@pytest.fixture
def whole(fixed, sources, tmp_path):
    """What a run in one go writes."""
    assert run(tmp_path / "whole", *sources) == 0
    fixed.batches.clear()
    return content(tmp_path / "whole")


@pytest.fixture
def at_batch(monkeypatch):
    """at_batch(n, act): let the detector do this, once, after n batches."""
    find, acts = FixedDetector.find, {}

    def acting(self, images, **options):
        acts.pop(len(self.batches), bool)()
        return find(self, images, **options)

    monkeypatch.setattr(FixedDetector, "find", acting)
    return acts.__setitem__


def end():
    """An end as sudden as a test survives: no line of ours catches it."""
    raise SystemError


@pytest.mark.parametrize("n, left", [(0, 14), (2, 12), (4, 10), (9, 10)])  # 4 pictures, then the frames of the film
def test_a_job_goes_on_where_it_ended(fixed, sources, whole, at_batch, tmp_path, capsys, n, left):
    at_batch(n, end)
    with pytest.raises(SystemError):
        run(tmp_path / "out", *sources)
    assert not (tmp_path / "out/detections.json").exists()
    if n:
        again = [*sources, *OPTIONS, "--output", tmp_path / "out"]
        refused(capsys, detect, again, "out: holds a job that was interrupted; --resume continues it, --overwrite")
        with open(tmp_path / "out/detections-0.jsonl", "ab") as journal:
            journal.write(b'{"image": "')  # a line that was not written whole
    fixed.batches.clear()
    assert run(tmp_path / "out", *sources, "--resume") == 0
    assert len(fixed.batches) == left
    assert content(tmp_path / "out") == whole
    capsys.readouterr()
    assert run(tmp_path / "out", *sources, "--resume") == 0
    assert len(fixed.batches) == left
    assert f"{tmp_path / 'out'}: nothing is missing" in capsys.readouterr().out
    assert content(tmp_path / "out") == whole


def test_overwrite_begins_an_interrupted_job_again(fixed, sources, whole, at_batch, tmp_path):
    at_batch(2, end)
    with pytest.raises(SystemError):
        run(tmp_path / "out", *sources)
    assert run(tmp_path / "out", *sources, "--overwrite") == 0
    assert content(tmp_path / "out") == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(fixed, sources, whole, at_batch, tmp_path, capsys, number):
    at_batch(3, lambda: os.kill(os.getpid(), number))
    assert run(tmp_path / "out", *sources) == 128 + number
    told = capsys.readouterr().err
    assert f"stopped; {tmp_path / 'out'} keeps what was found, and --resume continues\ninterrupted\n" in told
    found = (tmp_path / "out/detections.jsonl").read_bytes()
    assert whole["detections.jsonl"].startswith(found) and found.count(b"\n") == 3
    assert run(tmp_path / "out", *sources, "--resume") == 0
    assert content(tmp_path / "out") == whole


def test_what_could_not_be_read_is_tried_again(fixed, sources, whole, tmp_path, capsys):
    good = tmp_path / "good.jpg"
    shutil.move(sources[0] / "b.jpg", good)
    (sources[0] / "b.jpg").write_text("no picture")
    for resume in ([], ["--resume"]):
        assert run(tmp_path / "out", *sources, *resume) == 2
        assert "1 could not be read, named above; --resume tries them again" in capsys.readouterr().out
    shutil.move(good, sources[0] / "b.jpg")
    fixed.batches.clear()
    assert run(tmp_path / "out", *sources, "--resume") == 0
    assert len(fixed.batches) == 1
    assert content(tmp_path / "out") == whole


def test_a_job_of_which_nothing_could_be_read(fixed, photos, tmp_path):
    (photos / "b.jpg").write_text("no picture")
    for resume in ([], ["--resume"]):
        assert run(tmp_path / "out", photos / "b.jpg", *resume) == 2
        assert (tmp_path / "out/detections.json").read_text() == "[]\n"


@pytest.mark.parametrize("options, words", [
    (["--min-score", "0.3"], "the job there has --min-score 0.2, not 0.3"),
    (["--save", "csv"], 'the job there has --save ["csv", "json", "jsonl"], not ["csv"]'),
    (["--no-pictures"], "the job there has --no-pictures false, not true"),
    (["--checkpoint", detect.__file__], "holds results of another model"),
    (["--overwrite"], "not allowed with argument --resume"),
])  # fmt: skip
def test_another_job_is_not_continued(fixed, sources, whole, tmp_path, capsys, options, words):
    refused(capsys, detect, [*sources, *OPTIONS, "--output", tmp_path / "whole", "--resume", *options], words)
    assert content(tmp_path / "whole") == whole


def test_other_sources_are_another_job(fixed, sources, whole, tmp_path, capsys):
    shutil.copy(sources[0] / "b.jpg", sources[0] / "new.jpg")
    words = "whole: the job there has other sources (4 pictures and 1 video, now 5 pictures and 1 video)"
    refused(capsys, detect, [*sources, *OPTIONS, "--output", tmp_path / "whole", "--resume"], words)


def test_without_a_name_the_newest_job_is_continued(fixed, photos, at_batch, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args = [str(photos), *OPTIONS]
    refused(capsys, detect, [*args, "--resume"], "detections: holds no job to continue")
    assert detect.main(args) == 0
    at_batch(len(fixed.batches) + 1, end)
    with pytest.raises(SystemError):
        detect.main(args)
    assert detect.main([*args, "--resume"]) == 0
    assert content(tmp_path / "detections/1") == content(tmp_path / "detections/2")
    (tmp_path / "detections/3").mkdir()
    refused(capsys, detect, [*args, "--resume"], "detections/3: holds no job to continue")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes as Linux lists them")
def test_killed_alone_and_finished_by_two_processes(tmp_path, monkeypatch):
    small_network.use(monkeypatch.setattr)
    assert len(kill_and_resume(tmp_path, kills=1, pictures=20)) == 1
