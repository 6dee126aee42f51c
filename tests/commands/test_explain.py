"""`ssd300 explain` as a user runs it."""

from ssd.commands import explain
from tests.helpers.scripts import refused


def test_page_without_a_model(voc_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    picture = min((voc_folder / "JPEGImages").iterdir())
    annotation = voc_folder / "Annotations" / f"{picture.stem}.xml"
    assert explain.main([str(picture), "--annotation", str(annotation)]) == 0
    no_model = "There is no model, so some sections are empty."
    told = f"explained.html is written. {no_model} The objects come from {annotation.name}.\n"
    assert capsys.readouterr().out == told
    assert (tmp_path / "explained.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_bad_input(voc_folder, tmp_path, capsys):
    picture = min((voc_folder / "JPEGImages").iterdir())
    refused(capsys, explain, [tmp_path / "none.jpg"], "none.jpg: no such picture")
    refused(capsys, explain, [picture, "--output", picture], "is the source itself")
    refused(capsys, explain, [picture, "--checkpoint", tmp_path / "none.pth"], "none.pth: no such file")
