"""The report in a browser: values, choices, keyboard, colours, and how fast 200 images are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import onnx
import pytest
from onnxplain import Explainer
from onnxplain.engine.images.files import write_image
from onnxplain.engine.render.report.encode import PRECISION
from onnxplain.engine.render.report.report import write_report

from ....graph_rewrites.networks import small_cnn

pytestmark = pytest.mark.deployment

Open: TypeAlias = Callable[..., Any]
ARGUMENTS: dict[str, Any] = {
    "preprocess": "raw,scale=1/255,size=32x32,fit=crop,resize=40",
    "labels": ["ash", "birch", "<i>cedar</i>, a conifer", "</script>", "elm"],
}
METHODS = ["grad-cam", "c-mwp", "guided-backprop", "gradient"]
LAYERS = ["relu1", "relu2"]
SIZES = {
    "b2.png": (90, 160),
    "b10.png": (300, 200),
    "Ägypten 猫.png": (20, 20),
    "one.png": (1, 1),
    "large.jpg": (1500, 2100),
}


def photo_like(height: int, width: int, seed: int) -> np.ndarray:
    """A picture whose spectrum falls as that of photographs does, with one over the frequency."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(height, width, 3)), axes=(0, 1))
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    spectrum /= np.maximum(np.hypot(down, across), 1 / max(height, width))[..., None]
    picture = np.fft.irfft2(spectrum, (height, width), axes=(0, 1))
    return np.asarray(np.clip(128 + 50 * picture / (picture.std() or 1), 0, 255), np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """A report of five odd images, four methods, two layers and three classes."""
    folder = tmp_path_factory.mktemp("report")
    onnx.save(small_cnn(size=("H", "W")), folder / "model.onnx")
    photos = {name: folder / "photos" / name for name in SIZES}
    (folder / "photos").mkdir()
    for seed, (name, (height, width)) in enumerate(SIZES.items()):
        write_image(photos[name], photo_like(height, width, seed))
    report = write_report(
        folder / "model.onnx", list(photos.values()), folder / "r.html", methods=METHODS, layers=LAYERS, **ARGUMENTS
    )
    assert not report.failures
    return folder / "r.html", photos


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a page, and fails the test where it says or asks for anything."""
    pages: list[Any] = []
    heard: list[str] = []
    hear = heard.append

    def opened(path: Path, fragment: str = "", **options: Any) -> Any:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 800}, **options})
        pages.append(page)
        page.on("console", lambda message: hear(message.text))
        page.on("pageerror", lambda error: hear(str(error)))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else hear(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not heard


@pytest.fixture
def page(open_page: Open, made: tuple[Path, dict[str, Path]]) -> Any:
    return open_page(made[0])


def wait_until(page: Any, expression: str) -> None:
    """Waits for a script's expression; playwright's own way evaluates text, which the page's policy forbids."""
    end = time.perf_counter() + 10
    while not page.evaluate(expression):
        assert time.perf_counter() < end, f"never true: {expression}"
        page.wait_for_timeout(10)


def shown(page: Any, what: str = "explanation") -> dict[str, Any]:
    """The map drawn in a figure, once it is there."""
    wait_until(page, f"figures['{what}'].heatmap?.shown")
    return dict(page.evaluate(f"(({{method, layer, target}}) => ({{method, layer, target}}))(figures['{what}'].map)"))


def values(page: Any, height: int, width: int, what: str = "explanation") -> np.ndarray:
    """The value that the page shows at each pixel of the photo."""
    script = """([what, height, width]) => Array.from({ length: height * width }, (_, i) =>
        figures[what].heatmap.valueAt(Math.floor(i / width), i % width))"""
    return np.array(page.evaluate(script, [what, height, width])).reshape(height, width)


def drawn(page: Any) -> np.ndarray:
    """The pixels of the canvas, RGBA."""
    script = """() => {
        const canvas = document.querySelector("#explanation canvas");
        const { width, height } = canvas;
        const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        return [height, width, Array.from(copy.getImageData(0, 0, width, height).data)];
    }"""
    height, width, data = page.evaluate(script)
    return np.array(data, np.uint8).reshape(height, width, 4)


def names(page: Any) -> list[str]:
    return list(
        page.evaluate("[...document.querySelectorAll('#cards li:not([hidden]) .file')].map((e) => e.textContent)")
    )


@pytest.mark.parametrize("name", ["b2.png", "b10.png", "one.png"])
def test_the_page_shows_the_heatmap_of_each_method_layer_and_class(
    open_page: Open, made: tuple[Path, dict[str, Path]], name: str
) -> None:
    path, photos = made
    page = open_page(path, f"#image={list(photos).index(name)}")
    for method in [*METHODS, "counterfactual"]:
        layers = LAYERS if method in ("grad-cam", "c-mwp", "counterfactual") else None
        explain = Explainer(path.parent / "model.onnx", method=method, layers=layers, **ARGUMENTS)
        for expected in explain(photos[name], "top3"):
            part = "against" if method == "counterfactual" else "explanation"
            wanted = {"method": "grad-cam" if part == "against" else method, "layer": expected.layer}
            page.evaluate("(change) => choose(change)", {**wanted, "target": expected.target})
            assert shown(page, part) == {"method": method, "layer": expected.layer, "target": expected.target}
            assert np.abs(values(page, *SIZES[name], part) - expected.heatmap).max() <= PRECISION, expected.layer


def test_the_value_under_the_pointer_and_at_the_cursor(open_page: Open, made: tuple[Path, dict[str, Path]]) -> None:
    path, photos = made
    page = open_page(path, "#image=0")
    shown(page)
    (expected,) = Explainer(path.parent / "model.onnx", layers="relu2", **ARGUMENTS)(photos["b2.png"])
    height, width = SIZES["b2.png"]
    stage, value = page.locator("#explanation .stage"), page.locator("#explanation output")
    box = stage.bounding_box()
    for y, x in ((4, 6), (31, 70), (45, 110), (85, 152)):
        page.mouse.move(box["x"] + (x + 0.5) / width * box["width"], box["y"] + (y + 0.5) / height * box["height"])
        assert float(value.text_content()) == pytest.approx(expected.heatmap[y, x], abs=PRECISION + 0.0005)
        assert page.locator("#spot").text_content().startswith(f"x {x}, y {y}: {value.text_content()} for, ")
    page.mouse.move(0, 0)
    assert value.text_content() == ""

    stage.focus()
    page.keyboard.press("Home")
    y, x = page.evaluate("current.cursor")
    assert expected.heatmap[y, x] > 0.97
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert page.evaluate("current.cursor") == [y - 1, min(width - 1, x + 3)]  # 1/50 of 160 pixels, and one
    assert float(value.text_content()) == pytest.approx(expected.heatmap[y - 1, x + 3], abs=PRECISION + 0.0005)


def test_opacity_and_threshold(page: Any) -> None:
    page.goto(page.url + "#image=0")
    shown(page)
    canvas = page.locator("#explanation canvas")
    assert canvas.evaluate("(one) => one.style.opacity") == "0.5"
    page.locator("#opacity").fill("0.8")
    assert canvas.evaluate("(one) => one.style.opacity") == "0.8"
    before = drawn(page)
    heat = np.array(page.evaluate("Array.from(figures.explanation.heatmap.shown)")).reshape(before.shape[:2])
    np.testing.assert_allclose(before[..., 3], 255 * heat * (2 - heat), atol=1)
    page.locator("#threshold").fill("0.4")
    after = drawn(page)
    assert not after[heat < 0.4].any()
    np.testing.assert_array_equal(after[heat >= 0.4], before[heat >= 0.4])
    page.keyboard.press("h")
    assert canvas.evaluate("(one) => one.style.opacity") == "0"


def test_maps_are_coloured_as_the_pictures_that_explain_writes(
    open_page: Open, made: tuple[Path, dict[str, Path]]
) -> None:
    path, photos = made
    page = open_page(path, "#image=1")
    for method in METHODS:
        page.evaluate("(method) => choose({ method })", method)
        shown(page)
        (expected,) = Explainer(path.parent / "model.onnx", method=method, layers="relu2", **ARGUMENTS)(
            photos["b10.png"]
        )
        canvas = cv2.resize(drawn(page), (200, 300), interpolation=cv2.INTER_AREA).astype(float)
        alpha = canvas[..., 3:] / 255 * (0.5 if method in ("grad-cam", "c-mwp") else 1)
        picture = expected.image * (1 - alpha) + canvas[..., :3] * alpha
        assert np.abs(picture - expected.picture()).mean() < 4, method


def test_choices_by_mouse_and_keyboard_are_kept_in_the_address(page: Any) -> None:
    page.click("#cards a >> nth=0")
    first = shown(page)
    assert (first["method"], first["layer"]) == ("grad-cam", "relu2")
    page.select_option("#layer", "relu1")
    page.get_by_role("radio", name="guided-backprop").check()
    page.locator("#predictions button >> nth=1").click()
    assert shown(page)["layer"] is None
    page.keyboard.press("m")
    page.keyboard.press("m")  # gradient, then grad-cam again
    second = shown(page)
    assert (second["method"], second["layer"]) == ("grad-cam", "relu1")
    assert second["target"] != first["target"]
    assert shown(page, "against") == {**second, "method": "counterfactual"}
    page.reload()
    assert shown(page) == second
    page.keyboard.press("1")
    page.keyboard.press("l")
    assert shown(page) == first


def test_from_image_to_image_and_back(page: Any) -> None:
    page.fill("#text", "b")  # fits two files by name
    page.select_option("#sort", "name")
    assert names(page)[:2] == ["b2.png", "b10.png"]
    page.locator("#cards a:visible >> nth=0").focus()
    page.keyboard.press("Enter")
    wait_until(page, "document.getElementById('name').textContent === 'b2.png'")
    assert page.evaluate("document.activeElement.id") == "name"
    page.keyboard.press("j")
    wait_until(page, "document.getElementById('name').textContent === 'b10.png'")
    page.keyboard.press("k")
    wait_until(page, "document.getElementById('name').textContent === 'b2.png'")
    page.keyboard.press("Escape")
    page.wait_for_selector("#overview:not([hidden])")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#image=0"
    page.go_back()
    page.wait_for_selector("#viewer:not([hidden])")


def test_sorting_and_filtering(page: Any) -> None:
    every = names(page)
    assert every == list(SIZES)
    cards = page.evaluate("[...document.querySelectorAll('#cards li')].map((e) => ({ ...e.dataset }))")
    by_score = sorted(cards, key=lambda card: float(card["score"]))
    page.select_option("#sort", "score")
    assert names(page) == [card["name"] for card in by_score]
    page.click("#order")
    assert names(page) == [card["name"] for card in by_score[::-1]]
    middle = float(by_score[2]["score"])
    page.fill("#least", str(middle))
    assert names(page) == [card["name"] for card in by_score[:1:-1]]
    page.fill("#most", str(middle))
    assert names(page) == [by_score[2]["name"]]
    assert page.locator("#count").text_content() == "1 of 5 images"
    page.fill("#least", "")
    page.fill("#most", "")
    page.fill("#text", cards[0]["class"])
    assert names(page) == [card["name"] for card in by_score[::-1] if card["class"] == cards[0]["class"]]
    page.fill("#text", "nothing of this name")
    assert names(page) == []
    assert page.is_visible("#none")


def test_light_dark_and_help(open_page: Open, made: tuple[Path, dict[str, Path]]) -> None:
    def lightness(page: Any) -> int:
        return int(page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"))

    for scheme in ("light", "dark"):
        page = open_page(made[0], color_scheme=scheme)
        assert (lightness(page) > 128) == (scheme == "light")
        assert page.get_attribute("#theme", "aria-pressed") == str(scheme == "dark").lower()
        page.keyboard.press("t")
        assert (lightness(page) > 128) == (scheme == "dark")
        page.click("#theme")
        assert (lightness(page) > 128) == (scheme == "light")
        page.keyboard.press("?")
        assert page.is_visible("#help")
        page.keyboard.press("Escape")
        assert not page.is_visible("#help")


@pytest.mark.parametrize("width", [360, 800, 1600])
@pytest.mark.parametrize("fragment", ["#", "#image=2"])
def test_nothing_stands_out_of_the_window(
    open_page: Open, made: tuple[Path, dict[str, Path]], width: int, fragment: str
) -> None:
    page = open_page(made[0], fragment, viewport={"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("fragment", ["#", "#image=0"])
def test_everything_has_a_name(open_page: Open, made: tuple[Path, dict[str, Path]], fragment: str) -> None:
    page = open_page(made[0], fragment)
    page.wait_for_selector("img[src]:visible")
    nameless = """() => [...document.querySelectorAll("a[href], button, input, select, [tabindex='0'], img[src]")]
        .filter((one) => one.checkVisibility())
        .filter((one) => !(one.ariaLabel || one.alt || one.textContent.trim() && one.tagName !== "SELECT" ||
            [...(one.labels ?? [])].some((label) => label.textContent.trim())))
        .map((one) => one.outerHTML)"""
    assert page.evaluate(nameless) == []
    assert page.locator("h1").count() == 1
    # A label is text, whatever is written in it.
    assert page.evaluate("document.querySelectorAll('#cards i, #predictions i:not([style])').length") == 0


def test_paper_shows_pictures_and_no_controls(page: Any) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.is_visible("#filter")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(21, 24, 27)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    wait_until(page, "document.querySelectorAll('.thumb canvas').length === 5")


def test_200_images_are_small_and_there_in_no_time(open_page: Open, tmp_path: Path) -> None:
    onnx.save(small_cnn(size=("H", "W")), tmp_path / "model.onnx")
    (tmp_path / "photos").mkdir()
    pictures = [photo_like(480, 640, seed) for seed in range(10)]
    for index in range(200):
        moved = np.roll(pictures[index % 10], 31 * (index // 10), axis=(0, 1))
        write_image(tmp_path / "photos" / f"{index}.jpg", moved)
    arguments: dict[str, Any] = {"preprocess": "raw,scale=1/255,size=112x112", "layers": "relu2"}  # maps of 56 x 56
    photos = sorted((tmp_path / "photos").iterdir())
    write_report(tmp_path / "model.onnx", photos, tmp_path / "r.html", methods=["grad-cam", "layer-cam"], **arguments)
    size = (tmp_path / "r.html").stat().st_size
    start = time.perf_counter()
    page = open_page(tmp_path / "r.html")
    wait_until(page, "document.querySelector('.thumb img')?.complete && document.querySelector('.thumb canvas')")
    seconds = time.perf_counter() - start
    print(f"200 images: {size / 1e6:.1f} MB, loaded in {seconds:.2f} s")
    assert size < 60e6
    assert seconds < 3
    assert page.locator("#cards li").count() == 200
    assert page.locator(".thumb img").count() < 100  # the others are drawn when they come into view
