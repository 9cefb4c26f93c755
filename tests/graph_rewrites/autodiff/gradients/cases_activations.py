"""Cases for `gradients/activations.py`; inputs stay off kinks."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(1)
X = np.linspace(-4.3, 4.2, 24).reshape(2, 3, 4)
IMAGE = rng.normal(size=(2, 3, 4, 2))
SCALAR = np.array(0.7)
SLOPES = [rng.normal(size=shape) for shape in [(3, 1, 1), (1, 3, 1, 1), (2, 3, 4, 2), (2,), (1,), ()]]

PLAIN = [
    "Relu",
    "LeakyRelu",
    "Elu",
    "Selu",
    "Celu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Softplus",
    "Softsign",
]

CASES = [
    *[Case(op, [x]) for op in PLAIN for x in (X, SCALAR)],
    Case("LeakyRelu", [X], {"alpha": 0.25}),
    Case("LeakyRelu", [X], {"alpha": -0.5}),
    *[Case("PRelu", [IMAGE, slope]) for slope in SLOPES],
    Case("PRelu", [IMAGE, SLOPES[0]], constant=[1], note="constant slope"),
    Case("Elu", [X], {"alpha": 0.5}),
    Case("Elu", [X], {"alpha": -0.5}),
    Case("Elu", [X], opset=22),
    Case("Selu", [X], {"alpha": 1.5, "gamma": 2.0}),
    Case("Selu", [X], {"alpha": 1.0, "gamma": 2.0}),
    Case("Selu", [X], opset=22),
    Case("Celu", [X], {"alpha": 0.5}),
    Case("Celu", [X], {"alpha": 2.0}),
    Case("HardSigmoid", [X], {"alpha": 0.5, "beta": 0.25}),
    Case("HardSigmoid", [X], {"alpha": 0.5, "beta": 0.25}, opset=22),
    Case("HardSwish", [X], opset=22),
    Case("Swish", [X], opset=24),
    Case("Swish", [X], {"alpha": 1.5}, opset=24),
    Case("Mish", [X], opset=18),
    Case("Mish", [X], opset=22),
    *[Case("Gelu", [X], {"approximate": mode}, opset=20) for mode in ("none", "tanh")],
    Case("Gelu", [X], opset=20),
    Case("Softplus", [X], opset=22),
    Case("Softsign", [X], opset=22),
    Case("ThresholdedRelu", [X]),
    Case("ThresholdedRelu", [X], {"alpha": -0.5}),
    Case("ThresholdedRelu", [X], {"alpha": -0.5}, opset=22),
    Case("Shrink", [X]),
    Case("Shrink", [X], {"lambd": 1.5, "bias": 1.5}),
    *[Case(op, [IMAGE], {"axis": axis}) for op in ("Softmax", "LogSoftmax") for axis in (-1, 0, 1, -2)],
    *[Case(op, [IMAGE[0, 0]]) for op in ("Softmax", "LogSoftmax", "Hardmax")],
    Case("Hardmax", [IMAGE], {"axis": 1}),
]
