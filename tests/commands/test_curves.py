"""The command that draws the curves of a run again."""

import sys

import pytest
from PIL import Image

from ssd.commands.curves import main as draw_curves
from tests.helpers.runs import row, write_results


def test_curves_drawn_again_by_the_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    write_results(tmp_path / "results.csv", [row(1), row(2, val_mAP=0.5)])
    assert draw_curves([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'results.png'}\n"
    with Image.open(tmp_path / "results.png") as picture:
        assert picture.format == "PNG" and picture.width > 1500
    assert draw_curves([str(tmp_path / "gone")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_curves_without_matplotlib(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    write_results(tmp_path / "results.csv", [row(1)])
    assert draw_curves([str(tmp_path)]) == 2
    sentence = 'error: matplotlib is needed for diagrams (extra "plots"): pip install matplotlib'
    assert capsys.readouterr().err == f"{sentence}\n"
    assert not (tmp_path / "results.png").exists()
