"""Cases for `gradients/elementwise.py` and `gradients/functions.py`; inputs stay off kinks and poles."""

import numpy as np
from onnx import TensorProto

from .harness import Case

rng = np.random.default_rng(0)
X, Y, ROW = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4)), rng.normal(size=(4,))
COLUMN, SCALAR = rng.normal(size=(3, 1)), np.array(0.7)
POSITIVE = rng.uniform(0.5, 2, size=(2, 3, 4))
POSITIVE_ROW = rng.uniform(0.5, 2, size=(4,))
UNIT = rng.uniform(-0.9, 0.9, size=(2, 3, 4))
FAR = np.where(np.abs(X) < 0.1, 0.5, X)  # away from 0
CONDITION = X > 0.2

PATTERNS = [(X, Y), (X, ROW), (ROW, X), (COLUMN, X), (X, SCALAR), (SCALAR, X), (COLUMN, ROW), (X[:1], Y)]
PLAIN = ["Neg", "Exp", "Erf", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Identity"]
TRIGONOMETRIC = ["Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Atanh"]

CASES = [
    *[Case(op, pair) for op in ("Add", "Sub", "Mul", "Div") for pair in PATTERNS],
    *[Case(op, [X, X[0], COLUMN, SCALAR]) for op in ("Sum", "Mean", "Max", "Min")],
    *[Case(op, pair) for op in ("Max", "Min") for pair in PATTERNS],
    *[Case(op, [X]) for op in ("Sum", "Mean", "Max", "Min")],
    Case("Max", [X, np.array(0.0)], constant=[1], wrt=[0]),
    Case("Mul", [X, ROW], constant=[1], note="constant"),
    # Pow
    *[
        Case("Pow", pair)
        for pair in [(POSITIVE, X), (POSITIVE_ROW, X), (POSITIVE, ROW), (POSITIVE, SCALAR), (SCALAR, X)]
    ],
    *[Case("Pow", [FAR, np.array(p)], constant=[1], wrt=[0], note=f"p={p}") for p in (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)],
    *[Case("Pow", [POSITIVE, np.array(p)], constant=[1], wrt=[0], note=f"p={p}") for p in (0.5, -0.5, 1.5)],
    Case("Pow", [FAR, np.array([2.0])], constant=[1], wrt=[0], note="p=[2]"),
    Case("Pow", [FAR, np.array([0, 1, 2, 3])], note="integer exponents"),
    Case("Pow", [FAR, np.array(3, np.int32)], note="integer exponent"),
    Case("Pow", [FAR, np.array(2)], constant=[1], note="constant integer exponent"),
    Case("Pow", [FAR, np.array(3, np.float32)], note="exponent of another width", wrt=[0]),
    # one input
    *[Case(op, [x]) for op in PLAIN for x in (X, SCALAR)],
    *[Case(op, [FAR]) for op in ("Abs", "Reciprocal")],
    *[Case(op, [POSITIVE]) for op in ("Sqrt", "Log")],
    *[Case(op, [UNIT]) for op in ("Tan", "Asin", "Acos", "Atanh")],
    Case("Acosh", [POSITIVE + 1]),
    *[Case(op, [UNIT], opset=22) for op in TRIGONOMETRIC],
    Case("Acosh", [POSITIVE + 1], opset=22),
    *[Case(op, [X]) for op in ("Floor", "Ceil", "Round", "Sign")],
    # selection
    *[Case("Where", [CONDITION, *pair]) for pair in [(X, Y), (X, ROW), (COLUMN, X), (SCALAR, X), (X, SCALAR)]],
    Case("Where", [CONDITION[0, 0], X, Y], note="condition broadcasts"),
    Case("Where", [CONDITION, SCALAR, ROW], note="the condition alone is full"),
    Case("Where", [CONDITION, X, np.array(-1e9)], constant=[2], wrt=[1], note="attention mask"),
    Case("Clip", [X]),
    Case("Clip", [X, np.array(-0.5)]),
    Case("Clip", [X, None, np.array(0.5)]),
    Case("Clip", [X, np.array(-0.5), np.array(0.5)]),
    Case("Clip", [X, np.array(0.5), np.array(-0.5)], note="min above max"),
    Case("Clip", [X, np.array(-0.5), np.array(0.5)], constant=[1, 2], wrt=[0], note="constant bounds"),
    *[Case("Mod", [3 * FAR, y], {"fmod": 1}) for y in (POSITIVE, POSITIVE_ROW, -POSITIVE)],
    # types
    Case("Cast", [X], {"to": TensorProto.DOUBLE}),
    Case("CastLike", [X, ROW], wrt=[0, 1]),
    Case("Dropout", [X]),
    Case("Dropout", [X], outputs=2, note="with mask"),
    Case("Dropout", [X, np.array(0.3)], wrt=[0]),
    Case("Dropout", [X, np.array(0.3), np.array(False)], constant=[1, 2], wrt=[0]),
    Case("Dropout", [X, None, np.array(False)], constant=[2]),
    Case("Dropout", [X], opset=22),
    *[
        Case("Dropout", [X, np.array(0.3), np.array(True)], {"seed": 3}, outputs=n, no_runtime="it draws other numbers")
        for n in (1, 2)
    ],
    # values that do not depend on the input
    *[Case(op, [X[0]], {"seed": 1.0}) for op in ("RandomNormalLike", "RandomUniformLike")],
    Case("Bernoulli", [np.abs(UNIT)], {"seed": 1.0}),
    Case("EyeLike", [X[0]]),
    Case(
        "MelWeightMatrix",
        [np.array(8), np.array(32), np.array(8192), np.array(510.0), np.array(3190.0)],
        output_rank=2,
        note="edges off whole bins",
    ),
    *[Case("Range", [np.array(v) for v in r], opset=o) for r in ((0.5, 3.0, 0.4), (2.0, -1.1, -0.7)) for o in (17, 27)],
    Case("Range", [np.array(v) for v in (0.5, 3.0, 0.4)], constant=[1, 2], wrt=[0], note="constant step"),
    *[
        Case("OneHot", [np.array([[1, 0, 2], [3, -1, 1]]), np.array(4), np.array([0.3, 2.0])], {"axis": axis})
        for axis in (-1, 0, 1)
    ],
]
