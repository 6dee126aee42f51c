"""The page in a real browser: it draws everything, answers the reader, and agrees with the functions."""

import pytest
import torch
from torchvision.ops import box_iou

from ssd.model.boxes import paired_iou
from tests.explain.conftest import MARKUP
from tests.helpers.browser import find_browser, open_browser

pytest.importorskip("selenium")
pytestmark = pytest.mark.skipif(find_browser() is None, reason="needs Chromium and its driver")

KEPT = "#suppression rect.kept"


@pytest.fixture(scope="module")
def browser():
    with open_browser() as window:
        yield window


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("page") / "page.html"


@pytest.fixture(scope="module")
def page(browser, html, file):
    """The browser with the page of a picture, its objects and a model."""
    file.write_text(html, encoding="utf-8")
    browser.get(file.as_uri())
    return browser


def drawn_boxes(page, selector):
    """The boxes (n, 4) that the page draws as rectangles, in the units of their figure: x_min, y_min, x_max, y_max."""
    script = """return [...document.querySelectorAll(arguments[0])].map(rect =>
        ["x", "y", "width", "height"].map(name => Number(rect.getAttribute(name))));"""
    x, y, width, height = torch.tensor(page.execute_script(script, selector)).reshape(-1, 4).unbind(dim=1)
    return torch.stack([x, y, x + width, y + height], dim=1)


def test_nothing_goes_wrong(page):
    assert page.get_log("browser") == []


def test_every_section_has_its_figure(page):
    sections = page.find_elements("css selector", "main section")
    assert sections
    for section in sections:
        size = section.find_element("css selector", "figure").size
        assert size["width"] > 300 and size["height"] > 100, section.get_attribute("id")


def test_detections_at_the_defaults_are_those_of_the_model(page, subject):
    boxes, _, _ = subject.model.detect_objects(
        subject.locs[None], subject.scores[None], min_score=0.2, max_overlap=0.45, top_k=200
    )
    assert len(boxes[0])
    torch.testing.assert_close(drawn_boxes(page, KEPT), subject.in_frame(boxes[0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("slider, key", [("min_score", "END"), ("max_overlap", "HOME")])
def test_sliders_change_what_is_left(page, slider, key):
    from selenium.webdriver import Keys

    page.refresh()
    before = len(drawn_boxes(page, KEPT))
    page.find_element("css selector", f"#suppression input[name={slider}]").send_keys(getattr(Keys, key))
    after = len(drawn_boxes(page, KEPT))
    assert after == 0 if slider == "min_score" else 0 < after < before


def test_names_of_boxes_do_not_lie_across_one_another(page):
    from selenium.webdriver import Keys

    page.refresh()
    page.find_element("css selector", "#suppression input[name=min_score]").send_keys(Keys.HOME)
    script = """return [...document.querySelectorAll("#suppression .boxes text")].map(text => text.getBBox())
        .map(({ x, y, width, height }) => [x, y, x + width, y + height]);"""
    places = torch.tensor(page.execute_script(script))
    assert 1 < len(places) < len(drawn_boxes(page, KEPT))
    assert box_iou(places, places).count_nonzero() == len(places)  # each with itself


def click(page, figure, x, y):
    """Click a figure at fractions of its size."""
    from selenium.webdriver import ActionChains

    figure = page.find_element("css selector", figure)
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    width, height = figure.size["width"], figure.size["height"]
    ActionChains(page).move_to_element_with_offset(figure, (x - 0.5) * width, (y - 0.5) * height).click().perform()


def test_a_click_says_what_suppressed_a_box(page, subject):
    page.refresh()
    suppressed = drawn_boxes(page, "#suppression rect.dashed")
    smallest = suppressed[(suppressed[:, 2:] - suppressed[:, :2]).prod(dim=1).argmin()]
    corner = smallest[:2] + 1  # a click chooses the smallest box around it
    click(page, "#suppression svg", *(corner / torch.tensor(subject.shown.size)).tolist())
    answer = page.find_element("css selector", "#suppression .answer").text
    picked = drawn_boxes(page, "#suppression .picked")
    assert "is suppressed by" in answer and len(picked) == 2
    assert answer.endswith(f"their IoU is {paired_iou(*picked).item():.3f}.")


def test_a_click_shows_the_channels_of_a_cell(page, subject):
    click(page, "#predictions svg", 0.35, 0.75)
    rows = page.find_elements("css selector", "#predictions .channels tr")[1:]
    cells = [[cell.text for cell in row.find_elements("css selector", "td")] for row in rows]
    start = 5776 + 2166 + (7 * 10 + 3) * 6
    assert [row[0] for row in cells] == [str(start + k) for k in range(6)]
    shown = torch.tensor([[float(value) for value in row[1:5]] for row in cells])
    torch.testing.assert_close(shown, subject.locs[start : start + 6], atol=0.0051, rtol=0)


def test_the_button_shows_other_pictures(page):
    button = page.find_element("css selector", "#augmentation button")
    shown = "return [...document.querySelectorAll('#augmentation .seeds')].map(each => each.offsetHeight > 0)"
    assert page.execute_script(shown) == [True, False, False, False]
    page.execute_script("arguments[0].click()", button)
    assert page.execute_script(shown) == [False, True, False, False]


def test_dragging_shows_the_right_iou(page):
    from selenium.webdriver import ActionChains

    before, boxes = shown_overlap(page)
    assert before == pytest.approx(paired_iou(*boxes).item(), abs=5e-4)
    handle = page.find_element("css selector", "#overlap .handle")
    ActionChains(page).click_and_hold(handle).move_by_offset(-30, -20).release().perform()
    iou, boxes = shown_overlap(page)
    assert iou != before
    assert iou == pytest.approx(paired_iou(*boxes).item(), abs=5e-4)


def shown_overlap(page):
    """The IoU that the page shows, and the two boxes (2, 4) that it is of."""
    iou = page.find_elements("css selector", "#overlap output")[-1].text
    return float(iou), drawn_boxes(page, "#overlap .area")


@pytest.mark.parametrize(
    "focused, answer",
    [
        ("#priors [role=gridcell]", "#priors .result"),
        ("#predictions [role=gridcell]", "#predictions .channels"),
        ("#suppression svg", "#suppression .answer"),
        ("#overlap .handle", "#overlap .result"),
        ("#overlap .area", "#overlap .result"),
    ],
)
def test_arrow_keys_do_what_the_mouse_does(page, focused, answer):
    from selenium.webdriver import Keys

    before = page.find_element("css selector", answer).text
    element = page.find_element("css selector", focused)
    assert element.get_attribute("tabindex") == "0" and element.get_attribute("aria-label")
    element.send_keys(Keys.ARROW_LEFT)
    element.send_keys(Keys.ARROW_UP)
    assert page.find_element("css selector", answer).text != before


def test_on_a_phone_tables_scroll_and_the_page_does_not(page):
    narrow = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    wide = "return [...document.querySelectorAll('.wide')].some(each => each.scrollWidth > each.clientWidth)"
    assert page.execute_script(wide)
    assert page.execute_script("return document.documentElement.scrollWidth") == 390
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_markup_in_names_is_only_text_for_the_scripts_too(browser, html_with_markup, file):
    markup = file.with_name("markup.html")
    markup.write_text(html_with_markup, encoding="utf-8")
    browser.get(markup.as_uri())  # an alert would end the test
    shown = browser.find_element("css selector", "#suppression").get_attribute("textContent")
    assert browser.get_log("browser") == []
    assert any(name in shown for name in MARKUP)  # the data hold them too, but escaped
