"""Several processes against one, started as a user starts them: by torchrun, here on the CPU."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ssd.checkpoint import load_training_state, read_file
from ssd.commands import eval as evaluation
from ssd.data import read_data_list
from ssd.distributed import process_group
from ssd.errors import InputError
from ssd.training.run.results import read_results
from ssd.training.weights import initial_model
from tests.helpers import small_network
from tests.long.kill_and_resume import PROGRAMS, ROOT, rows, wait_for

LIMIT = 1200  # seconds for one run; the slowest machine should need a fifth
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
COMMON = "--weights none --backbone vgg16 --batch-size 2 --workers 0 --device cpu --precision fp32 --log none"


def start(network, data, run, options, processes):
    *module, program = PROGRAMS[network]
    if processes == 2:  # without "--", torchrun takes --log for an abbreviation of its own options (Python 3.11)
        module = [*TORCHRUN, *module, "--"]
    own = ["--data", str(data), "--output", str(run), *COMMON.split(), *options.split()]
    command = [sys.executable, *module, program, *own]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(f"{run}.txt", "w") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)


def finish(process, run, status=0):
    """Wait for the end. Returns what was printed."""
    try:
        process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    told = Path(f"{run}.txt").read_text()
    assert process.returncode == status, told[-3000:]
    return told


def one_and_two_processes(network, data, folder, options):
    """The folders of two runs that differ in the number of processes only."""
    runs = [folder / "one", folder / "two"]
    for processes, run in enumerate(runs, start=1):
        finish(start(network, data, run, options, processes), run)
    return runs


def difference(a, b):
    """Of two tensors, relative to the second."""
    return ((a - b).norm() / b.norm().clamp(min=1e-30)).item()


def flat(state):
    return torch.cat([tensor.flatten().double() for tensor in state.values()])


def compare(one, two, tolerance):
    """Assert that losses, weights and momentum of two runs differ by no more than this, relatively."""
    columns = [read_results(run / "results.csv") for run in (one, two)]
    for name in columns[0]:
        np.testing.assert_allclose(columns[1][name], columns[0][name], rtol=tolerance, atol=1e-6, err_msg=name)
    states = [read_file(run / "last.pth", "") for run in (two, one)]
    models = [state["model"] for state in states]
    assert difference(*map(flat, models)) < tolerance
    for name in models[0]:
        if name.endswith("weight"):  # biases start at 0, so that little is known of them yet
            assert difference(models[0][name], models[1][name]) < tolerance, name
    momentum = [{k: v["momentum_buffer"] for k, v in s["training"]["optimiser"]["state"].items()} for s in states]
    assert difference(*map(flat, momentum)) < 100 * tolerance


@pytest.fixture(scope="module")
def lists(data_folder, tmp_path_factory):
    """Data lists with three test pictures: shares of two and of one."""
    lists = shutil.copytree(data_folder, tmp_path_factory.mktemp("uneven") / "lists")
    for name in ("images", "objects"):
        path = lists / f"TEST_{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text())[:3]))
    return lists


def test_two_processes_equal_one(lists, tmp_path):
    # A deep network with random weights is chaotic: without clipping, a rounding error of 6e-8 grows tenfold with each
    # step. So it does, more slowly, where zooming out fills areas with the mean: all features are 0 there, and the
    # slope of the L2 normalisation at 0 is 2e6. With small steps on full pictures it stays below 1e-5 of the loss.
    options = "--iterations 20 --lr 3e-4 --augmentation flip --warmup 0 --drops --clip-norm 1 --eval-every 0 --seed 1"
    one, two = one_and_two_processes("ssd300", lists, tmp_path, options)
    compare(one, two, 1e-4)
    losses = read_results(one / "results.csv")["train_loss"]
    assert len(losses) == 20
    before = flat(initial_model(read_data_list(lists, "train").class_names, "none", seed=1)[0].state_dict())
    moves = [flat(read_file(run / "last.pth", "")["model"]) - before for run in (two, one)]
    assert difference(*moves) < 1e-2  # of what was learnt, not of the random weights that it started from


def test_two_processes_equal_one_in_everything_else(lists, tmp_path, monkeypatch):
    """Without clipping, with parts of batches, an average, and validations of shares that are not equal."""
    small_network.use(monkeypatch.setattr)
    options = "--iterations 20 --batch-size 8 --accumulate 2 --lr 1e-3 --warmup 0 --eval-every 5 --ema 0.9"
    one, two = one_and_two_processes("small", lists, tmp_path, options)
    compare(one, two, 1e-5)
    assert np.isfinite(read_results(two / "results.csv")["val_loss"]).sum() == 4
    states = [load_training_state(run / "last.pth") for run in (two, one)]
    assert difference(*(flat(state["average"]) for state in states)) < 1e-5
    assert states[0]["best"]["mAP"] == pytest.approx(states[1]["best"]["mAP"], abs=1e-6)
    for run in (one, two):  # one session, written by one process
        assert len(json.loads((run / "args.json").read_text())["starts"]) == 1
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    told = Path(f"{two}.txt").read_text()
    assert told.count("trained model:") == 1 and "UserWarning" not in told


@pytest.fixture
def one_thread():
    """PyTorch computes in one thread, as torchrun's processes do."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def processes_of(launcher):
    """Rank -> id of the processes that torchrun started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    ranks = {}
    for child in children:
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        ranks |= {int(v[5:]): int(child) for v in variables if v.startswith(b"RANK=")}
    return ranks


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes as Linux lists them")
@pytest.mark.parametrize("told", ["torchrun", "the second process"])
def test_both_stop_in_good_order(lists, tmp_path, monkeypatch, told):
    small_network.use(monkeypatch.setattr)
    run = tmp_path / "run"
    options = "--iterations 100000 --save-every 100000 --eval-every 0"
    launcher = start("small", lists, run, options, processes=2)
    assert wait_for(lambda: rows(run) >= 2, launcher)
    processes = processes_of(launcher)
    assert sorted(processes) == [0, 1]
    os.kill(launcher.pid if told == "torchrun" else processes[1], signal.SIGTERM)
    told = finish(launcher, run, status=1)
    iteration = load_training_state(run / "last.pth")["iteration"]
    assert 2 <= iteration == rows(run)
    assert f"stopped after iteration {iteration}" in told
    for process in processes.values():
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_what_the_first_process_refuses_is_not_buried(lists, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "last.pth").touch()
    told = finish(start("small", lists, run, "--iterations 2", processes=2), run, status=1)
    assert f"error: {run} holds a run already" in told
    assert 'Traceback (most recent call last):\n  File "' + str(ROOT) not in told
    assert "[rank1]: Traceback" not in told


@pytest.fixture
def calls(monkeypatch):
    """The calls, in order, by which one of two processes with a GPU each sets itself up."""
    calls = []

    def noted(name, answer):
        return lambda *args, **options: calls.append((name, *args, options)) or answer

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", noted("set_device", None))
    monkeypatch.setattr(torch, "empty", noted("use", None))  # of `choose_device`
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.distributed, "init_process_group", noted("init", None))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", noted("destroy", None))
    return calls


@pytest.mark.parametrize("name", [None, "cuda", "cuda:0"])
def test_each_process_uses_no_gpu_but_its_own(calls, name):
    with process_group(name) as device:
        assert device == torch.device("cuda", 1)
    chosen, used, joined, left = calls
    assert chosen[:2] == ("set_device", 1)
    assert used[2] == {"device": "cuda:1"}
    assert joined[:2] == ("init", "nccl")
    assert joined[2]["device_id"] == device
    assert joined[2]["timeout"].total_seconds() > 3600  # a first download may take as long
    assert left[0] == "destroy"


def test_processes_without_gpus(calls):
    with process_group("cpu"):
        pass
    assert [call[0] for call in calls] == ["use", "init", "destroy"]
    assert calls[1][1] == "gloo"
    assert calls[1][2]["device_id"] is None
    with pytest.raises(InputError, match="--device gpu cannot"), process_group("gpu"):
        pass


def test_more_processes_than_gpus(calls, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError, match="process 3 of this machine has no GPU"), process_group(None):
        pass


def test_an_error_of_one_process_does_not_wait_for_the_others(calls):
    with pytest.raises(InputError, match="disk"), process_group(None):
        raise InputError("the disk is full")
    assert "destroy" not in [call[0] for call in calls]


def test_bad_pictures_of_all_processes_are_counted_together(lists, tmp_path, monkeypatch):
    small_network.use(monkeypatch.setattr)
    many, n_images = shutil.copytree(lists, tmp_path / "lists"), 200
    for name in ("images", "objects"):
        path = many / f"TRAIN_{name}.json"
        entries = json.loads(path.read_text())
        entries = [entries[k % len(entries)] for k in range(n_images)]
        if name == "images":
            for k in np.random.default_rng((0, 0)).permutation(n_images)[[0, 3, 4]]:  # the second is the other's
                entries[k] += f" {k} is not there"
        path.write_text(json.dumps(entries))
    run = tmp_path / "run"
    told = finish(start("small", many, run, "--iterations 20 --eval-every 0", processes=2), run, status=1)
    assert f"3 of {n_images} pictures could not be read" in told
    assert load_training_state(run / "last.pth")["iteration"] == rows(run) == 3


@pytest.mark.parametrize("part, place, options, words", [
    ("TRAIN", 0, "--save-every 100", "1 of 4 pictures could not be read"),
    ("TEST", 1, "--save-every 100 --eval-every 3", "is not there: no such"),
])  # fmt: skip
def test_bad_pictures_of_one_process_stop_both(lists, tmp_path, monkeypatch, part, place, options, words):
    small_network.use(monkeypatch.setattr)
    bad = shutil.copytree(lists, tmp_path / "lists")
    images = json.loads((lists / f"{part}_images.json").read_text())
    images[place] += " is not there"
    (bad / f"{part}_images.json").write_text(json.dumps(images))
    run = tmp_path / "run"
    told = finish(start("small", bad, run, f"--iterations 100 {options}", processes=2), run, status=1)
    assert words in told
    assert 'Traceback (most recent call last):\n  File "' + str(ROOT) not in told
    assert load_training_state(run / "last.pth")["iteration"] == rows(run) > 0


def evaluate_with_two(lists, checkpoint, folder):
    """What `torchrun eval.py` returned and printed. It writes into the folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *TORCHRUN, "eval.py", *evaluation_options(lists, checkpoint, folder)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT)


def evaluation_options(lists, checkpoint, folder):
    options = {"--data": lists, "--checkpoint": checkpoint, "--device": "cpu", "--workers": 0}
    written = {"--json": "figures.json", "--save-results": "results", "--save-thresholds": "thresholds.json"}
    pairs = [*options.items(), *((option, folder / name) for option, name in written.items())]
    return [str(part) for pair in pairs for part in pair]


def test_two_processes_evaluate_as_one(lists, checkpoint, tmp_path, one_thread):
    ended = evaluate_with_two(lists, checkpoint, tmp_path / "two")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("PyTorch, fp32") == ended.stdout.count("\nmAP voc07") == 1
    assert evaluation.main(evaluation_options(lists, checkpoint, tmp_path / "one")) == 0
    written = [
        {path.relative_to(tmp_path / run): path.read_text() for path in (tmp_path / run).rglob("*.*")}
        for run in ("one", "two")
    ]
    figures = [json.loads(files.pop(Path("figures.json"))) for files in written]
    for each in figures:
        assert each.pop("images_per_second")
    assert figures[0] == figures[1] and figures[0]["images"] == 3
    assert len(written[0]) == 7 and written[0] == written[1]


def test_a_bad_picture_of_one_process_ends_the_evaluation(lists, checkpoint, tmp_path):
    bad = shutil.copytree(lists, tmp_path / "lists")
    images = json.loads((lists / "TEST_images.json").read_text())
    images[1] += " is not there"  # the second process's
    (bad / "TEST_images.json").write_text(json.dumps(images))
    ended = evaluate_with_two(bad, checkpoint, tmp_path / "two")
    own = re.findall("error: .*", ended.stderr)
    assert own == [f"error: {images[1]}: no such picture"]
    assert ended.returncode == 1 and re.search(r"exitcode +: 2", ended.stderr)
    assert "mAP" not in ended.stdout and not (tmp_path / "two" / "figures.json").exists()
