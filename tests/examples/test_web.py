"""examples/web in headless Chromium: its maps are those of the Python engine, and it is used as people use a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnxplain.engine.embedded import PHOTO
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.explanation import Explanation
from onnxplain.engine.images.files import read_image
from onnxplain.engine.render.overlays import overlay

from .models import EXPLAINED, explained_file, packages_of, write_wrong_files
from .page import Page, build, served

pytestmark = pytest.mark.deployment

TABBY = "tabby, tabby cat"
# A browser with a graphics adapter, as the page sees it; what runs on it is told by the test.
ADAPTER = "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => ({}) } });"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return explained_file("open", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def python(model: Path) -> Explainer:
    return Explainer(model)


@pytest.fixture(scope="module")
def address(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed; on Debian: apt install nodejs npm")
    packages_of("web")
    with served(build(tmp_path_factory.mktemp("page"), model)) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Page]:
    """The page with the embedded model; at the end nothing has gone wrong and nothing has left this machine."""
    page = Page(browser, address).open()
    yield page
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith((address, "blob:", "data:"))] == []
    page.tab.close()


def check(found: dict[str, Any], expected: Explanation) -> None:
    assert found["index"] == expected.target
    assert found["score"] == pytest.approx(expected.score, abs=1e-4)
    np.testing.assert_allclose(found["heatmap"], expected.input_heatmap, atol=1e-4)
    np.testing.assert_allclose(found["source"], expected.heatmap, atol=1e-4)


@pytest.mark.parametrize("kind", EXPLAINED)
def test_heatmaps_are_those_of_python(page: Page, tmp_path: Path, kind: str) -> None:
    file = explained_file(kind, tmp_path)
    page.choose("Another model", file)
    explainer = Explainer(file)
    layers = len(explainer.record["layers"]) or 1
    found = page.example()
    top = explainer(PHOTO, target=["top1", 281, 1])[layers - 1 :: layers]
    check(found, top[0])
    logits = explainer.run({"image": explainer.preprocess.apply(top[0].image)[None]})
    shares = logits["logits"][0] if "logits" in logits else np.log(logits["probabilities"][0])
    shares = np.exp(shares - shares.max())
    assert found["probability"] == pytest.approx((shares / shares.sum()).max(), abs=1e-4)
    second = page.explained(page.tab.get_by_role("radio").nth(1).click)
    check(second, explainer(PHOTO, target=second["index"])[-1])
    assert np.abs(second["source"] - found["source"]).max() > 0.05

    page.tab.get_by_label("Any other class").fill("1")
    other = page.explained(lambda: page.tab.get_by_label("Any other class").press("Enter"))
    check(other, top[2])
    assert (other["source"].min() < 0) == (kind == "signed")
    if layers > 1:
        record = explainer.record["layers"]
        early = page.explained(lambda: page.tab.get_by_label("Layer").select_option(record[0]))
        check(early, explainer(PHOTO, target=1)[0])
    assert ("is assumed" in page.tab.locator("main").inner_text()) == (kind == "behind softmax")


def test_top_classes_are_listed_with_their_shares(page: Page, python: Explainer) -> None:
    page.example()
    rows = [" ".join(text.split()) for text in page.tab.locator("label.class").all_inner_texts()]
    assert rows == [f"{one.label} {100 * (one.probability or 0):.1f} %" for one in python(PHOTO, target="top5")]
    assert page.class_named("Egyptian cat").is_checked()
    bars = [bar.bounding_box()["width"] for bar in page.tab.locator(".bar span").all()]
    assert bars == sorted(bars, reverse=True)


def test_everything_is_done_by_keyboard(page: Page, python: Explainer) -> None:
    keyboard = page.tab.keyboard
    focused = "document.activeElement.id || document.activeElement.value"
    reached = []
    while "example" not in reached:
        keyboard.press("Tab")
        reached.append(page.tab.evaluate(focused))
        assert len(reached) < 9, reached
    assert reached == ["model-file", "photo-file", "example"]
    page.explained(lambda: keyboard.press("Enter"))
    while page.tab.evaluate(focused) != "285":
        keyboard.press("Tab")
    check(page.explained(lambda: keyboard.press("ArrowDown")), python(PHOTO, target="tiger cat")[0])
    keyboard.press("Tab")
    keyboard.type("fly")
    check(page.explained(lambda: keyboard.press("Enter")), python(PHOTO, target=308)[0])
    while page.tab.evaluate(focused) != "opacity":
        keyboard.press("Tab")
    keyboard.press("Home")
    assert page.tab.locator("#heat").evaluate("heat => getComputedStyle(heat).opacity") == "0"


def test_opacity_is_that_of_the_slider_and_of_the_saved_picture(page: Page, python: Explainer, tmp_path: Path) -> None:
    page.example()
    slider = page.tab.get_by_role("slider", name="Opacity of the heatmap")
    for value in (100, 0, 70):
        slider.fill(str(value))
        assert float(page.tab.locator("#heat").evaluate("heat => getComputedStyle(heat).opacity")) == value / 100
        assert page.tab.get_by_text(f"{value} %", exact=True).is_visible()
    with page.tab.expect_download() as download:
        page.tab.get_by_role("button", name="Save picture").click()
    assert download.value.suggested_filename == "photo-285.png"
    download.value.save_as(tmp_path / "saved.png")
    explanation = python(PHOTO)[0]
    saved = read_image(tmp_path / "saved.png").astype(int)
    assert np.abs(saved - overlay(explanation.image, explanation.heatmap, 0.7)).max() <= 2


def test_what_is_seen_is_the_picture_of_python(browser: Any, address: str, python: Explainer, tmp_path: Path) -> None:
    page = Page(browser, address, viewport={"width": 1400, "height": 900}).open()
    page.example()
    style = "position: fixed; left: 0; top: 0; width: 451px; height: 300px; border-radius: 0"
    page.tab.locator("#canvases").evaluate("(canvases, style) => { canvases.style.cssText = style; }", style)
    page.tab.locator("#canvases").screenshot(path=tmp_path / "seen.png")
    apart = np.abs(read_image(tmp_path / "seen.png").astype(int) - python(PHOTO)[0].overlay())
    assert apart.max() <= 4  # canvases hold colours multiplied by their opacity, in 8 bits
    page.tab.close()


def test_files_are_dropped_and_pasted(page: Page, python: Explainer, tmp_path: Path) -> None:
    files = """const file = async (name, type) => new File([await (await fetch(name)).blob()], name, { type });
        const data = new DataTransfer();"""
    drop = f"""async () => {{ {files}
        for (const name of ["photo.png", "model.onnx"]) data.items.add(await file(name));
        document.body.dispatchEvent(new DragEvent("drop", {{ dataTransfer: data, bubbles: true, cancelable: true }}));
    }}"""
    check(page.explained(lambda: page.tab.evaluate(drop)), python(PHOTO)[0])
    paste = f"""async () => {{ {files}
        data.items.add(await file("photo.png", "image/png"));
        document.body.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData: data, bubbles: true }}));
    }}"""
    check(page.explained(lambda: page.tab.evaluate(paste)), python(PHOTO)[0])


def test_a_photo_is_turned_upright_and_laid_over_white(page: Page, python: Explainer, tmp_path: Path) -> None:
    cut = read_image(PHOTO)[:200, 50:, ::-1]
    alpha = np.where(np.arange(cut.shape[1]) < 100, 0, 255).astype(np.uint8)
    file = tmp_path / "cut.png"
    cv2.imwrite(str(file), np.dstack([cut, np.broadcast_to(alpha, cut.shape[:2])]))
    check(page.explained(lambda: page.choose("Choose a photo", file)), python(file)[0])


def test_wrong_files_are_named_and_leave_what_was_there(page: Page, tmp_path: Path) -> None:
    page.example()
    heading = page.tab.locator("#heat").get_attribute("aria-label")
    assert heading == "Heatmap of Egyptian cat: strongest at the centre"
    for name, message in write_wrong_files(tmp_path).items():
        page.choose("Another model", tmp_path / name)
        assert page.alert.startswith(f"{name}: "), page.alert
        assert message in page.alert
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(PHOTO.read_bytes()[:20])
    for name in ("notes.txt", "empty.png", "cut.png"):
        page.choose("Choose a photo", tmp_path / name)
        assert page.alert.startswith(f"{name} is no image that this browser reads")
    assert page.tab.locator("#heat").get_attribute("aria-label") == heading
    assert page.tab.get_by_text("model.onnx", exact=True).is_visible()
    page.tab.get_by_role("button", name="Dismiss the message").click()
    assert page.alert == "" or not page.tab.get_by_role("alert").is_visible()

    page.tab.get_by_label("Any other class").fill("unicorn")
    page.tab.get_by_label("Any other class").press("Enter")
    assert "no class “unicorn”" in page.alert
    assert page.class_named("Egyptian cat").is_checked()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_it_fits_the_screen(browser: Any, address: str, tmp_path: Path, scheme: str, width: int) -> None:
    page = Page(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme).open()
    page.example()
    assert page.tab.evaluate("document.scrollingElement.scrollWidth") <= width
    ground = page.tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]")
    assert (int(ground) < 128) == (scheme == "dark")
    page.tab.screenshot(path=tmp_path / f"web-{scheme}-{width}.png", full_page=True)
    page.tab.close()


FAILURES = {
    "cannot load": ("create: async () => { throw new Error('no such operator'); }", "WebGPU cannot load this model"),
    "cannot run": (
        "create: async () => ({ run: async () => { throw new Error('device lost'); } })",
        "WebGPU failed: device lost",
    ),
    "computes something else": ("create: altered((value) => 0.9 * value)", "results differ"),
    "computes NaN": ("create: altered(() => NaN)", "results differ"),
}


def replace_webgpu(page: Page, create: str) -> None:
    """Puts a runtime of the test's own in the place of ONNX Runtime's for WebGPU."""
    module = """import * as wasm from "./ort.wasm.min.mjs";
        const altered = (change) => async (bytes, { executionProviders, ...options }) => {
            if (executionProviders[0] !== "webgpu") throw new Error("WebGPU was not asked for");
            const session = await wasm.InferenceSession.create(bytes, options);
            return { run: async (feeds) => {
                const { heatmap, ...rest } = await session.run(feeds);
                return { ...rest, heatmap: new wasm.Tensor("float32", heatmap.data.map(change), heatmap.dims) };
            } };
        };"""
    body = f"{module} export const InferenceSession = {{ {create} }};"
    handler = lambda route: route.fulfill(body=body, content_type="text/javascript")  # noqa: E731
    page.tab.route("**/ort/ort.webgpu.min.mjs", handler)


@pytest.mark.parametrize("failure", FAILURES)
def test_webassembly_takes_over_where_webgpu_fails(browser: Any, address: str, python: Explainer, failure: str) -> None:
    page = Page(browser, address, ADAPTER)
    create, message = FAILURES[failure]
    replace_webgpu(page, create)
    page.open()
    messages = page.alert
    check(page.example(), python(PHOTO)[0])
    assert message in messages + page.alert
    assert page.tab.get_by_text("WebAssembly", exact=True).is_visible()
    check(page.explained(page.class_named(TABBY).click), python(PHOTO, target=TABBY)[0])
    assert page.errors == []
    page.tab.close()


def test_webgpu_is_kept_where_it_agrees(browser: Any, address: str, python: Explainer) -> None:
    page = Page(browser, address, ADAPTER)
    replace_webgpu(page, "create: altered((value) => value + 2e-4)")
    page.open()
    check(page.example(), python(PHOTO)[0])  # WebAssembly's, which the first is compared with
    assert page.tab.get_by_text("WebGPU", exact=True).is_visible()
    again = page.example()
    assert np.abs(again["heatmap"] - python(PHOTO)[0].input_heatmap).max() == pytest.approx(2e-4, abs=1e-5)
    assert page.tab.get_by_role("alert").is_hidden()
    page.tab.close()


def test_webgpu_itself(browser: Any, address: str, python: Explainer) -> None:
    arguments = [
        "--no-sandbox",
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--enable-features=Vulkan",
    ]
    path = shutil.which("chromium") or shutil.which("google-chrome")
    other = browser.browser_type.launch(executable_path=path, args=arguments)
    page = Page(other, address)
    page.tab.goto(address)
    if not page.tab.evaluate("navigator.gpu?.requestAdapter().then((adapter) => adapter !== null)"):
        other.close()
        pytest.skip("this Chromium has no WebGPU adapter, not even in software")
    page.open()
    check(page.example(), python(PHOTO)[0])
    again = page.example()  # by WebGPU alone
    check(again, python(PHOTO)[0])
    assert page.tab.get_by_text("WebGPU", exact=True).is_visible()
    assert page.errors == []
    other.close()
