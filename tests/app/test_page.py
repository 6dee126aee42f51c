"""What the page does, without a server."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.picture_files import DAMAGED, ODD

gr = pytest.importorskip("gradio", minversion="6")

CHOICE = 0.2, 0.45, []


def upload(path):
    return {"path": str(path)}


@pytest.fixture(scope="module")
def built(models):
    from ssd.app.page import Page

    return Page(models, [])


@pytest.fixture
def page(built, tmp_path, monkeypatch):
    """The page; uploads lie in tmp_path."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return built


@pytest.mark.parametrize("name", ["empty.jpg", "text.jpg", "half.jpg", "bomb.png", "program.jpg"])
def test_bad_pictures_get_a_sentence(page, tmp_path, name):
    content, sentence = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    predicted, message, *shown = page.look(upload(tmp_path / name), *CHOICE)
    assert predicted is None
    assert message.startswith(f"{name}: {sentence}")
    assert shown == ["a/best.pth", None, None, None, "b/best.pth", None, None, None]
    with pytest.raises(gr.Error) as error:
        page.detect(upload(tmp_path / name), *CHOICE)
    assert error.value.message == message
    assert not error.value.print_exception


@pytest.mark.parametrize("name", ["inks.jpg", "16 bits.png", "animated.gif", "orientation 6.png", "pixel.png"])
def test_odd_pictures_are_shown(page, tmp_path, name):
    (tmp_path / name).write_bytes(ODD[name][0])
    predicted, message, _, _, rows, files, *_ = page.look(upload(tmp_path / name), *CHOICE)
    size = (1, 1) if name == "pixel.png" else (30, 20)
    assert (predicted.size, message) == (size, f"{name}, {size[0]} x {size[1]} pixels")
    assert len(rows) and Path(files[0]).exists()


def test_sliders_without_a_picture(page, photo):
    """Before there is one, after one that cannot be read, and when its predictions or itself were removed."""
    predicted, *_ = page.look(upload(photo), *CHOICE)
    photo.unlink()
    for gone in (None, predicted):
        message, *shown = page.choose(gone, *CHOICE)
        assert message.startswith("Choose a picture first, or again")
        assert shown == ["a/best.pth", None, None, None, "b/best.pth", None, None, None]


def test_people_do_not_mix_their_results(page, models, tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(6)]
    for k, path in enumerate(paths):
        Image.linear_gradient("L").rotate(60 * k).resize((100 + k, 90)).save(path)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda path: page.look(upload(path), *CHOICE), paths))
    for path, (_, message, _, _, rows, *_) in zip(paths, found, strict=True):
        assert message.startswith(f"{path.name}, {100 + int(path.stem)} x 90 ")
        expected = models["a/best.pth"](path)
        assert [row[1] for row in rows] == [f"{score:.3f}" for score in expected.scores.tolist()]


@pytest.mark.parametrize("path", ["/etc/passwd", "{folder}/../photo.jpg", "", None])
def test_only_uploads_are_read(page, tmp_path, path):
    """A program may send any path; Gradio checks it for a video, not for a picture."""
    with pytest.raises(gr.Error, match="not uploaded"):
        page.detect(None, *CHOICE)
    assert page.look({"path": path and path.format(folder=tmp_path)}, *CHOICE)[1] == "this file was not uploaded"


@pytest.mark.parametrize(
    "choice, message",
    [
        ((5, 0.45, []), "min_score is 5, must be from 0 to 1"),
        ((0.2, "x", []), "max_overlap must be a number, not str"),
        ((0.2, 0.45, ["cat", "fox"]), "unknown class fox; the classes are cat, dog, circle, owl"),
        ((0.2, 0.45, [1, ["cat"]]), "unknown class 1, ['cat']; the classes"),
        ((0.2, 0.45, "cat"), "the classes must be a list of names, not 'cat'"),
    ],
)
def test_a_choice_that_there_is_not(page, photo, choice, message):
    assert page.look(upload(photo), *choice)[1].startswith(message)
    with pytest.raises(gr.Error, match=re.escape(message)):
        page.detect(upload(photo), *choice)


def test_what_is_no_video(page, photo):
    request = gr.Request(session_hash="a")
    assert page.annotate(None, *CHOICE, "a/best.pth", request)[2] == "Choose a video first."
    assert page.annotate(upload(photo.with_name("x.mp4")), *CHOICE, "a/best.pth", request)[2] == "x.mp4: no such video"


def test_stop_ends_the_video_of_this_person_alone(page, tmp_path):
    pytest.importorskip("av")
    from tests.media.test_video import draw_film

    film = upload(draw_film(tmp_path / "film.mp4"))
    for other, ending in (("b", "in 10 frames"), ("a", "stopped; 0 objects in 0 frames")):
        session, stopping = gr.Request(session_hash="a"), gr.Request(session_hash=other)

        def stop(*args, stopping=stopping, **options):
            page.stop(stopping)

        assert page.annotate(film, 0.9, 0.45, [], "a/best.pth", session, stop)[2].endswith(ending)
