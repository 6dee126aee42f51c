"""The window of --show, on a screen that nobody sees (Xvfb), and without a screen."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageGrab

from ssd.commands import detect
from ssd.media.window import Window, WindowClosed
from tests.helpers.fixed_detector import CHECKPOINT, is_drawn, run
from tests.helpers.scripts import refused

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a screen can be made on Linux alone")


@pytest.fixture(scope="session")
def display():
    """A screen until all tests have ended, since tkinter would end them when it goes."""
    pytest.importorskip("tkinter")
    if not shutil.which("Xvfb"):
        pytest.skip("needs Xvfb")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        yield f":{server.stdout.readline().strip()}"
        server.terminate()


@pytest.fixture
def screen(display, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    return display


@pytest.fixture
def user(monkeypatch):
    """Presses a key when a number of pictures has been shown: user(number, key). `user.seen` are their names."""
    show, user = Window.show, type("User", (), {"seen": [], "before": 1, "key": "<q>"})

    def look(self, image, name):
        user.seen.append(name)
        show(self, image, name)
        if len(user.seen) == user.before:
            self.root.focus_force()
            self.root.event_generate(user.key)

    monkeypatch.setattr(Window, "show", look)
    return user


def test_what_is_on_the_screen(fixed, screen):
    image = Image.linear_gradient("L").convert("RGB")
    annotated = fixed.look_at(image).draw(image)
    with Window() as shown:
        shown.show(annotated, "a.jpg")
        x, y = shown.label.winfo_rootx(), shown.label.winfo_rooty()
        seen = ImageGrab.grab(xdisplay=screen).crop((x, y, x + 256, y + 256))
        assert is_drawn(seen, image, fixed)
        np.testing.assert_array_equal(np.asarray(seen.convert("RGB")), np.asarray(annotated))
        shown.show(Image.new("RGB", (70_000, 2)), "wide.png")
        assert (shown.label.winfo_width(), shown.label.winfo_height()) == (576, 1)
        shown.root.after(1, shown.root.event_generate, "<Escape>")
        shown.root.focus_force()
        shown.wait()  # until then
        with pytest.raises(WindowClosed):
            shown.show(annotated, "a.jpg")


def test_closing_ends_the_work(fixed, screen, user, photos, tmp_path, capsys):
    user.before, user.key = 2, "<Escape>"
    status, records, copies = run(tmp_path / "out", photos, "--recursive", "--show")
    assert status == 0 and fixed.batches[0] == 1
    assert user.seen == [str(photos / name) for name in ("a.PNG", "b.jpg", "inside/c.jpg")]
    assert len(records) == 3  # what was done is kept
    assert "interrupted" not in capsys.readouterr().err


def test_the_window_stays_until_it_is_closed(fixed, screen, user, photos, tmp_path, capsys):
    user.before = 2
    status, records, copies = run(tmp_path / "out", photos, "--show", "--no-pictures", "--batch-size", 2)
    assert status == 0 and len(records) == 2 and copies == [] and fixed.batches == [2]
    assert "objects in 2 pictures" in capsys.readouterr().out


def test_no_screen(fixed, photos, tmp_path, capsys, monkeypatch):
    args = [photos, "--checkpoint", CHECKPOINT, "--output", tmp_path / "out", "--show"]
    monkeypatch.delenv("DISPLAY", raising=False)
    refused(capsys, detect, args, "--show: there is no screen (")
    monkeypatch.setitem(sys.modules, "tkinter", None)
    refused(capsys, detect, args, "--show needs tkinter (", "install your system's python3-tk")
    assert not (tmp_path / "out").exists()
