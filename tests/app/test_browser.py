"""The page in a real browser, and its HTTP interface."""

import json
import re
import socket
import urllib.request
from pathlib import Path

import pytest

from ssd.app.server import serving
from tests.helpers.browser import find_browser, open_browser

pytest.importorskip("gradio", minversion="6")
DOCUMENT = Path(__file__).parents[2] / "docs/app.md"


@pytest.fixture(scope="module")
def address(models):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with serving(models, None, "127.0.0.1", port, 1) as address:
        yield address


@pytest.fixture
def page(address):
    pytest.importorskip("selenium")
    if find_browser() is None:
        pytest.skip("needs Chromium and its driver")
    with open_browser(network=True) as browser:
        browser.get(address)
        yield browser


def until(browser, condition):
    """What the condition, a function without arguments, gives as soon as it gives anything."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda _: condition())


def shown(page, count):
    """The objects that are counted, once that is `count` for the first model, and the addresses of pictures."""
    texts = [text.get_attribute("value") for text in page.find_elements("css selector", "textarea")]
    numbers = [int(number) for text in texts for number in re.findall(r": (\d+) object", text)]
    pictures = [image.get_attribute("src") for image in page.find_elements("css selector", "img")]
    results = [source for source in pictures if source and source.endswith("my%20photo.jpg")]
    return (numbers, results) if numbers[:1] == [count] and len(results) == len(numbers) else None


def test_a_picture_is_dropped_and_sliders_are_moved(page, models, photo):
    from selenium.webdriver import Keys

    until(page, lambda: page.find_elements("css selector", "input[type=file]"))[0].send_keys(str(photo))
    expected = {score: [len(detector(photo, score)) for detector in models.values()] for score in (0.2, 1)}
    numbers, before = until(page, lambda: shown(page, expected[0.2][0]))
    assert numbers == expected[0.2]
    page.find_elements("css selector", "input[type=range]")[0].send_keys(Keys.END)
    numbers, after = until(page, lambda: shown(page, expected[1][0]))
    assert numbers == expected[1]
    assert not set(before) & set(after)  # a browser keeps what it has under an address
    lost = [entry["message"] for entry in page.get_log("browser") if "Failed to load" in entry["message"]]
    assert [message for message in lost if "/upload_progress" not in message] == []  # Gradio asks for it too late
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [each["params"]["request"]["url"] for each in sent if each["method"] == "Network.requestWillBeSent"]
    assert urls
    assert not [url for url in urls if not url.startswith((page.current_url, "data:", "blob:"))]


def post(url, body, kind):
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": kind})) as answer:
        return json.load(answer)


def upload(api, path):
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'.encode()
    return post(f"{api}/upload", head + path.read_bytes() + b"\r\n--x--\r\n", "multipart/form-data; boundary=x")[0]


def ask(api, file, *choice):
    """The kind of event that ends a call, and its data."""
    data = [file, *choice]
    event = post(f"{api}/call/detect", json.dumps({"data": data}).encode(), "application/json")["event_id"]
    with urllib.request.urlopen(f"{api}/call/detect/{event}") as answer:
        kind, data = re.findall(r"^(?:event|data): (.*)$", answer.read().decode(), flags=re.M)[-2:]
    return kind, json.loads(data)


def test_http_interface(address, models, photo, tmp_path, capsys):
    api = f"{address}gradio_api"
    kind, (found,) = ask(api, {"path": upload(api, photo)}, 0.3, 0.45, [])
    assert kind == "complete"
    assert [entry["model"] for entry in found] == list(models)
    assert len(found[0]["detections"]) == len(models["a/best.pth"](photo, 0.3))
    (tmp_path / "text.jpg").write_text("no picture")
    kind, problem = ask(api, {"path": upload(api, tmp_path / "text.jpg")}, 0.3, 0.45, [])
    assert (kind, problem["error"]) == ("error", "text.jpg: not a picture, or an unsupported format")
    with pytest.raises(urllib.error.HTTPError, match="413"):
        (tmp_path / "large.jpg").write_bytes(bytes(1_100_000))
        upload(api, tmp_path / "large.jpg")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    kind, problem = ask(api, "photo.jpg", 0.3, 0.45, [])  # Gradio's own check, which is told on the terminal too
    assert (kind, "ImageData" in problem["error"]) == ("error", True)


def test_python_of_the_document(address, photo, tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), flags=re.M | re.S)
    photo.rename(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(block.replace("http://127.0.0.1:7860/", address), {})
    assert "a/best.pth 320 200\n" in capsys.readouterr().out
