"""What the answerers learn from: images, and the questions about each of them.

Two data sets: the scenes of `studies.scenes`, and easy-VQA (V. Zhou, 2019, PyPI package `easy-vqa`, MIT): 5000 images
of one shape each, with 48,248 questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt
from onnxplain.engine.language.vocabulary import Vocabulary, words_of

from ..questions import ANSWERS, TEXTS, Question, ask, questions
from ..scenes import COLOURS, SHAPES, Image, Mask, scene

SCENES, TRAINING_SEED = 15_000, 0
TEST_SCENES, TEST_SEED = 2_000, 1
PAD, LONGEST = "<pad>", 16  # a model reads no more words
CNNS = ("alexnet", "vgg16", "vgg19")
KINDS_OF_OBJECT = tuple(product(COLOURS, SHAPES))
# In easy-VQA every object differs by 105 and more in some channel from its background; pixels of its edge by less.
_CONTRAST = 64


@dataclass(frozen=True, eq=False)
class Split:
    """Images, uint8 [M, H, W, 3] RGB, and the questions about each of them."""

    images: npt.NDArray[np.uint8]
    questions: Sequence[Sequence[Question]]


@dataclass(frozen=True, eq=False)
class DataSet:
    """A split to train on, all texts of questions, and all answers in the order of the classes.

    The longest texts come first, as PyTorch packs sequences.
    """

    train: Split
    texts: Sequence[str]
    answers: Sequence[str]


def chosen_cnns(names: Sequence[str]) -> Sequence[str]:
    """The CNNs named on a command line, or all of them; ends the program at an unknown one."""
    unknown = [name for name in names if name not in CNNS]
    if unknown:
        raise SystemExit(f"no CNN is called {unknown[0]!r}; choose among {', '.join(CNNS)}")
    return names or CNNS


def scenes() -> tuple[DataSet, npt.NDArray[np.float32]]:
    """Scenes with all questions that each answers, and how many objects of each kind it holds, [M, KINDS_OF_OBJECT]."""
    rng = np.random.default_rng(TRAINING_SEED)
    drawn = [scene(rng) for _ in range(SCENES)]
    # The masks are not used in training, and would take gigabytes.
    asked = [[replace(question, mask=None) for question in questions(each)] for each in drawn]
    held = [Counter((one.colour, one.shape) for one in each.objects) for each in drawn]
    counts = np.array([[each[kind] for kind in KINDS_OF_OBJECT] for each in held], np.float32)
    return DataSet(Split(np.stack([each.image for each in drawn]), asked), _longest_first(TEXTS), ANSWERS), counts


def scene_test(count: int = TEST_SCENES, seed: int = TEST_SEED) -> Split:
    """So many scenes with one question each, of all kinds equally, and of a question all its answers equally."""
    rng = np.random.default_rng(seed)
    pairs = [ask(rng) for _ in range(count)]
    return Split(np.stack([each.image for each, _ in pairs]), [[question] for _, question in pairs])


def easy_vqa() -> DataSet:
    """The training split of easy-VQA."""
    import easy_vqa as package

    train = _split(package.get_train_image_paths(), package.get_train_questions())
    texts = {question.text for asked in train.questions for question in asked}
    return DataSet(train, _longest_first(sorted(texts)), package.get_answers())


def easy_vqa_test() -> Split:
    """The test split of easy-VQA."""
    import easy_vqa as package

    return _split(package.get_test_image_paths(), package.get_test_questions())


def easy_question(text: str, answer: str, image: Image) -> Question:
    """A question of easy-VQA with its kind and mask; the kinds are colour, shape, presence and absence.

    An answer is about the image's one object, unless it says that something else is not there.
    """
    mask = object_mask(image)
    if answer not in ("yes", "no"):
        return Question(text, answer, "shape" if answer in ("circle", "rectangle", "triangle") else "colour", mask)
    is_negated = bool({"not", "no"} & set(words_of(text)))
    is_there = (answer == "yes") != is_negated
    return Question(text, answer, "absence" if is_negated else "presence", mask if is_there else None)


def object_mask(image: Image) -> Mask:
    """The object of an image of easy-VQA, bool [H, W]: what stands out from the commonest colour."""
    colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    return np.asarray(np.abs(image - colours[counts.argmax()].astype(int)).max(axis=2) >= _CONTRAST)


def vocabulary_of(texts: Sequence[str]) -> Vocabulary:
    """The padding, whose id is 0, and the words of these texts in alphabetical order."""
    words = sorted({word for text in texts for word in words_of(text)})
    return Vocabulary((PAD, *words), input="question", pad=PAD, length=LONGEST)


def weights(asked: Sequence[Question]) -> npt.NDArray[np.float64]:
    """How often to ask each question about an image: each of its kinds as often, and of a kind each answer."""
    answers = Counter((question.kind, question.answer) for question in asked)
    kinds = Counter(kind for kind, _ in answers)
    shares = [1 / kinds[question.kind] / answers[question.kind, question.answer] for question in asked]
    return np.array(shares) / len(kinds)


def _split(paths: Mapping[int, str], listed: tuple[Sequence[str], Sequence[str], Sequence[int]]) -> Split:
    images = {key: cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for key, path in sorted(paths.items())}
    asked: dict[int, list[Question]] = {key: [] for key in images}
    for text, answer, key in zip(*listed, strict=True):
        asked[key].append(easy_question(text, answer, images[key]))
    return Split(np.stack(list(images.values())), list(asked.values()))


def _longest_first(texts: Sequence[str]) -> list[str]:
    return sorted(texts, key=lambda text: -len(words_of(text)))
