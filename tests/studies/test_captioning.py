"""The committed captioner: as often true as its card says, and its decoder is the same network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxplain.engine.images.preprocess import Preprocess
from onnxplain.engine.language.decoding import GreedyDecoder
from onnxplain.graph_rewrites.model.metadata import read_metadata

from studies.captioning.measure import scenes, summary
from studies.captions import LONGEST, WORDS, caption
from studies.scenes import Scene, SceneObject, render

FOLDER = Path(__file__).parents[2] / "exported_models" / "captioner"
TEACHER, DECODER = FOLDER / "captioner.onnx", FOLDER / "captioner_greedy.onnx"
FRESH = 300
MARGIN = 9.0  # per cent: 4 standard deviations of 300 captions of which 80 % are true
BYTES = 5_000_000


@pytest.fixture(scope="module")
def fresh() -> list[Scene]:
    return scenes(FRESH)


@pytest.fixture(scope="module")
def said(fresh: list[Scene]) -> list[list[str]]:
    decode = GreedyDecoder(TEACHER, DECODER)
    return [decode(each.image) for each in fresh]


def test_captions_of_fresh_scenes_are_true_as_the_card_says(fresh: list[Scene], said: list[list[str]]) -> None:
    table = (FOLDER / "README.md").read_text().partition("<!-- truth:begin -->")[2]
    on_card = float(next(line for line in table.splitlines() if line.startswith("| all |")).split("|")[3])
    _, _, true, _, by_chance = summary(fresh, said)[-1]
    assert float(true) > on_card - MARGIN > 60
    assert float(by_chance) < 5


def test_the_decoder_says_what_the_captioner_finds_most_probable(fresh: list[Scene], said: list[list[str]]) -> None:
    stepwise = GreedyDecoder(TEACHER)
    assert [stepwise(each.image) for each in fresh[:20]] == said[:20]


def test_a_batch_is_decoded_as_its_images_are(fresh: list[Scene], said: list[list[str]]) -> None:
    session = onnxruntime.InferenceSession(DECODER, providers=["CPUExecutionProvider"])
    record = read_metadata(onnx.load(DECODER)) or {}
    vocabulary, preprocess = record["text"]["vocabulary"], Preprocess.from_json(record["preprocessing"])
    (tokens,) = session.run(None, {"image": np.stack([preprocess.apply(each.image) for each in fresh[:20]])})
    assert tokens.shape == (20, 1 + max(map(len, said[:20])))
    for row, words in zip(tokens, said, strict=False):
        assert [vocabulary[token] for token in row] == words + ["<end>"] * (len(row) - len(words))


@pytest.mark.parametrize("path", [TEACHER, DECODER], ids=["teacher", "decoder"])
def test_the_records_say_how_it_is_used(path: Path) -> None:
    record = read_metadata(onnx.load(path)) or {}
    assert Preprocess.from_json(record["preprocessing"]) == Preprocess((96, 96), scale=1 / 127.5, mean=(1.0,))
    assert record["text"] == {
        "vocabulary": ["<pad>", "<begin>", "<end>", *WORDS],
        "input": "tokens" if path == TEACHER else None,
        "begin": "<begin>", "end": "<end>", "pad": "<pad>", "unknown": None, "length": LONGEST,
    }  # fmt: skip
    assert path.stat().st_size < BYTES


def test_one_lstm_reads_the_image_first_and_then_the_words() -> None:
    teacher, decoder = onnx.load(TEACHER), onnx.load(DECODER)
    kinds = Counter(node.op_type for node in teacher.graph.node)
    assert (kinds["Conv"], kinds["LSTM"], kinds["Concat"]) == (6, 1, 1)
    assert Counter(node.op_type for node in decoder.graph.node)["Loop"] == 1
    made_by = {name: node for node in teacher.graph.node for name in node.output}
    (lstm,) = (node for node in teacher.graph.node if node.op_type == "LSTM")
    sequence = made_by[lstm.input[0]]
    while sequence.op_type == "Transpose":
        sequence = made_by[sequence.input[0]]
    first, second = (made_by[name].op_type for name in sequence.input)
    assert (first, second) == ("Unsqueeze", "Gather")


def test_the_summary_counts_what_is_true() -> None:
    one = SceneObject("circle", "red", "small", 0.25, 0.25, 0.07, 0)
    other = SceneObject("square", "blue", "large", 0.75, 0.7, 0.11, 0)
    rng = np.random.default_rng(0)
    shown = [render([one], rng), render([other], rng), render([one, other], rng), render([one, other], rng)]
    own = [list(caption(each).words) for each in shown]
    said = [own[0], ["a", "blue", "square"], ["a", "red", "square"], own[3]]
    assert summary(shown, said) == [
        ["1", "2", "100.0", "50.0", "0.0"],
        ["2", "2", "50.0", "50.0", "50.0"],
        ["all", "4", "75.0", "50.0", "25.0"],
    ]
