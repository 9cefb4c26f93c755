"""Small data sets of each format, written by hand."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnxplain.engine.datasets.read import read_dataset
from onnxplain.engine.datasets.voc import encode_indices, read_indices
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

SHAPE = (4, 6)
XML = """<annotation><filename>{name}</filename>
<object><name>cat</name><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>
<object><name>dog</name><difficult>1</difficult>
<bndbox><xmin>4.6</xmin><ymin>1</ymin><xmax>6</xmax><ymax>2</ymax></bndbox></object></annotation>"""
# Colours of the indices 0, 1, 2, 8, 12 and 255 as they are seen in VOC's own pictures, RGB.
VOC_COLOURS = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 12: (64, 0, 128), 255: (224, 224, 192)}


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*SHAPE, 3), np.uint8))
    return path


def pixels(mask: np.ndarray) -> list[str]:
    return ["".join(".#"[value] for value in row) for row in mask.astype(int)]


def coco(folder: Path, **changes: Any) -> Path:
    photo(folder / "a.png")
    data = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "gone.png"}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 9, "name": "never"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [1, 0, 3, 2], "segmentation": [[1, 0, 4, 0, 4, 2, 1, 2]]},
            {
                "image_id": 7,
                "category_id": 3,
                "iscrowd": 1,
                # 4 rows a column: nothing in the first, the second and the lower half of the third column.
                "segmentation": {"size": [4, 6], "counts": [4, 4, 2, 2, 12]},
            },
            {"image_id": 7, "category_id": 3, "bbox": [5, 3, 1, 1]},
        ],
        **changes,
    }
    (folder / "instances.json").write_text(json.dumps(data))
    return folder / "instances.json"


def test_coco_polygons_and_run_lengths(tmp_path: Path) -> None:
    dataset = read_dataset(coco(tmp_path))
    assert (dataset.kind, list(dataset.entries), dataset.classes) == ("COCO", ["a.png", "gone.png"], ("cat", "dog"))
    image, gone = dataset
    assert (image.path, gone.path, gone.objects) == (tmp_path / "a.png", tmp_path / "gone.png", ())
    cat, crowd, dog = image.objects
    assert (cat.label, cat.box, cat.difficult) == ("cat", (1, 0, 4, 2), False)
    assert pixels(cat.region(SHAPE)) == [".###..", ".###..", "......", "......"]
    assert (crowd.label, crowd.difficult) == ("dog", True)
    assert pixels(crowd.region(SHAPE)) == [".#....", ".#....", ".##...", ".##..."]
    assert pixels(dog.region(SHAPE)) == ["......", "......", "......", ".....#"]
    assert image.labels == ["cat", "dog"]
    assert pickle.loads(pickle.dumps(dataset)).entries["a.png"]() == image


def test_coco_compressed_run_lengths_are_those_of_pycocotools(tmp_path: Path) -> None:
    from pycocotools import mask as coco_mask

    wanted = np.random.default_rng(0).random(SHAPE) < 0.5
    encoded = coco_mask.encode(np.asfortranarray(wanted.astype(np.uint8)))
    segmentation = {"size": [4, 6], "counts": encoded["counts"].decode()}
    annotation = {"image_id": 7, "category_id": 1, "segmentation": segmentation}
    image = next(iter(read_dataset(coco(tmp_path, annotations=[annotation]))))
    assert (image.objects[0].region(SHAPE) == wanted).all()


def voc(root: Path) -> Path:
    photo(root / "JPEGImages" / "a.jpg")
    photo(root / "JPEGImages" / "b.jpg")
    for name in "ab":
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{name}.xml").write_text(XML.format(name=name))
    return root


def test_voc_boxes_count_from_one_and_include_their_ends(tmp_path: Path) -> None:
    dataset = read_dataset(voc(tmp_path / "VOC2007"))
    assert (dataset.kind, list(dataset.entries), dataset.classes) == ("Pascal VOC", ["a", "b"], None)
    cat, dog = next(iter(dataset)).objects
    assert (cat.label, cat.box, cat.difficult, cat.mask) == ("cat", (1, 0, 3, 4), False, None)
    assert (dog.label, dog.difficult) == ("dog", True)
    assert dog.box == pytest.approx((3.6, 0, 6, 2))


def indexed(path: Path, indices: np.ndarray, in_colour: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = indices
    if in_colour:
        picture = np.zeros((*indices.shape, 3), np.uint8)
        for value, colour in VOC_COLOURS.items():
            picture[indices == value] = colour[::-1]
    cv2.imwrite(str(path), picture)


@pytest.mark.parametrize("in_colour", [True, False])
def test_voc_masks_of_objects_go_by_their_place(tmp_path: Path, in_colour: bool) -> None:
    root = voc(tmp_path / "VOC2012")
    indices = np.zeros(SHAPE, np.uint8)
    indices[1, 1:3], indices[2, 4], indices[3, 5] = 1, 2, 255
    indexed(root / "SegmentationObject" / "a.png", indices, in_colour)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("a\n")
    dataset = read_dataset(root / "ImageSets" / "Segmentation" / "val.txt")
    (image,) = dataset
    assert [pixels(one.region(SHAPE)) for one in image.objects] == [
        ["......", ".##...", "......", "......"],
        ["......", "......", "....#.", "......"],
    ]
    assert image.objects[0].extent(SHAPE) == (1, 0, 3, 4)


@pytest.mark.parametrize("in_colour", [True, False])
def test_voc_classes_alone_are_objects(tmp_path: Path, in_colour: bool) -> None:
    photo(tmp_path / "JPEGImages" / "a.jpg")
    indices = np.zeros(SHAPE, np.uint8)
    indices[0, 0], indices[1, 1:3], indices[3, 5] = 12, 8, 255
    indexed(tmp_path / "SegmentationClass" / "a.png", indices, in_colour)
    (image,) = read_dataset(tmp_path)
    assert [(one.label, one.extent(SHAPE)) for one in image.objects] == [("cat", (1, 1, 3, 2)), ("dog", (0, 0, 1, 1))]


def test_imagenet_xml_and_csv(tmp_path: Path) -> None:
    photo(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG.png").rename(tmp_path / "val" / "v1.png")
    (tmp_path / "val" / "v1.xml").write_text(XML.format(name="v1"))
    (image,) = read_dataset(tmp_path / "val")
    assert (image.path.name, image.objects[0].box) == ("v1.png", (2, 1, 3, 4))
    lines = ["ImageId,PredictionString", "v1,n01 1 0 3 4 n01 3 3 6 4 ", "v2,n02 1 1"]
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join(lines))
    dataset = read_dataset(tmp_path / "LOC_val_solution.csv", tmp_path / "val")
    image = dataset.entries["v1"]()
    assert [(one.label, one.box) for one in image.objects] == [("n01", (1, 0, 3, 4)), ("n01", (3, 3, 6, 4))]
    with pytest.raises(OnnxplainError, match=r"'n02 1 1' is not class x0 y0 x1 y1"):
        dataset.entries["v2"]()


def test_a_plain_csv(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    mask = np.zeros(SHAPE, np.uint8)
    mask[2, 2] = 200
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    header = "image,label,x0,y0,x1,y1,mask,difficult"
    rows = ["a.png,cat,1,0,3,4,,", "a.png,dog,,,,,mask.png,1", "b.png,sofa,,,,,,0", "b.png,cat,1,1,1,1,,0"]
    (tmp_path / "boxes.csv").write_text("\n".join([header, *rows]))
    dataset = read_dataset(tmp_path / "boxes.csv")
    assert (dataset.kind, list(dataset.entries), dataset.classes) == ("CSV", ["a.png", "b.png"], ("cat", "dog", "sofa"))
    cat, dog = dataset.entries["a.png"]().objects
    assert (cat.label, cat.box, cat.mask, cat.difficult) == ("cat", (1, 0, 3, 4), None, False)
    assert (dog.box, dog.difficult, pixels(dog.region(SHAPE))[2]) == (None, True, "..#...")
    with pytest.raises(OnnxplainError, match=r"boxes.csv, line 5: the box \[1.0, 1.0, 1.0, 1.0\] of 'cat' is empty"):
        dataset.entries["b.png"]()


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("none.json", None, OnnxplainError, "no such annotation file"),
        ("a.json", "{", OnnxplainError, "not valid JSON"),
        ("a.json", "[]", OnnxplainError, "not in COCO's format"),
        ("a.json", '{"images": [], "categories": []}', OnnxplainError, "missing: 'annotations'"),
        ("a.json", '{"images": [], "categories": [], "annotations": []}', UsageError, "annotates no image"),
        ("a.csv", "image,class\na.png,cat", UsageError, r"lacks the columns \['label'\]"),
        ("a.csv", "image,label,x0,y0,x1\na.png,cat,1,1,2", UsageError, r"lacks the columns \['y1'\]"),
        ("a.csv", "image,label,xmin\na.png,cat,1", UsageError, r"unknown columns \['xmin'\]"),
        ("a.csv", "image,label\na.png,cat", UsageError, "none of its images is in .*looked for a.png.*--images"),
        ("a.txt", "a\n", UsageError, "neither Annotations nor SegmentationClass"),
        ("a.pdf", "", UsageError, "not a data set that is known"),
    ],
)
def test_what_is_no_data_set_is_refused(
    tmp_path: Path, name: str, text: str | None, kind: type[Exception], message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(kind, match=message):
        read_dataset(tmp_path / name)


def test_a_folder_of_images_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OnnxplainError, match="no such folder of images"):
        read_dataset(coco(tmp_path), tmp_path / "none")


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"bbox": [1, 1, 0, 4]}, "of 'cat' is empty"),
        ({"bbox": [1, 1, 4]}, r"not \[x, y, width, height\]"),
    ],
)
def test_a_broken_annotation_concerns_its_image_alone(tmp_path: Path, annotation: Any, message: str) -> None:
    dataset = read_dataset(coco(tmp_path, annotations=[{"image_id": 7, "category_id": 1, **annotation}]))
    with pytest.raises(OnnxplainError, match=rf"a\.png: .*{message}"):
        dataset.entries["a.png"]()
    assert dataset.entries["gone.png"]().objects == ()


def test_broken_masks_and_xml(tmp_path: Path) -> None:
    segmentation = {"size": [4, 6], "counts": {"what": 1}}
    path = coco(tmp_path, annotations=[{"image_id": 7, "category_id": 1, "segmentation": segmentation}])
    with pytest.raises(OnnxplainError, match="neither polygons nor run lengths"):
        next(iter(read_dataset(path))).objects[0].region(SHAPE)
    root = voc(tmp_path / "VOC")
    (root / "Annotations" / "a.xml").write_text("<annotation>")
    (root / "Annotations" / "b.xml").write_text("<annotation><object><name>cat</name></object></annotation>")
    first, second = read_dataset(root).entries.values()
    with pytest.raises(OnnxplainError, match=r"a\.xml: not valid XML"):
        first()
    with pytest.raises(OnnxplainError, match=r"b\.xml: the bndbox of 'cat' is not four numbers"):
        second()
    picture = np.full((*SHAPE, 3), 77, np.uint8)
    photo(tmp_path / "seg" / "JPEGImages" / "a.jpg")
    (tmp_path / "seg" / "SegmentationClass").mkdir()
    cv2.imwrite(str(tmp_path / "seg" / "SegmentationClass" / "a.png"), picture)
    with pytest.raises(OnnxplainError, match="not in Pascal VOC's palette"):
        next(iter(read_dataset(tmp_path / "seg")))


def test_indices_are_written_with_vocs_palette_and_read_back(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(8, 32)
    (tmp_path / "a.png").write_bytes(encode_indices(values))
    np.testing.assert_array_equal(read_indices(tmp_path / "a.png"), values)
    blue_first = np.asarray(cv2.imread(str(tmp_path / "a.png")))
    # Aeroplane, cat, tvmonitor and the border, as the development kit's colour map has them.
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 20: (0, 64, 128), 255: (224, 224, 192)}
    for value, colour in known.items():
        assert (blue_first[values == value] == colour[::-1]).all()
