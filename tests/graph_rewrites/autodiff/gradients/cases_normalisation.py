"""Cases for `gradients/normalisation.py`."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(4)


def array(*shape: int) -> np.ndarray:
    return rng.normal(size=shape)


IMAGE = array(2, 4, 3, 5)
C4 = [array(4), array(4)]
VARIANCE = rng.uniform(0.5, 2, size=4)

CASES = [
    *[
        Case("BatchNormalization", [x, *C4, array(4), VARIANCE])
        for x in (IMAGE, array(3, 4), array(2, 4, 3), array(2, 4, 1, 2, 3))
    ],
    Case(
        "BatchNormalization", [IMAGE, *C4, array(4), VARIANCE], {"epsilon": 0.5}, constant=[1, 2, 3, 4], note="constant"
    ),
    *[
        Case(
            "BatchNormalization",
            [x, *C4, array(4), VARIANCE],
            {"training_mode": 1, "momentum": 0.75},
            outputs=3,
            of=of,
            wrt=wrt,
            no_runtime="ONNX Runtime computes the training mode only in its training builds",
        )
        for x in (IMAGE, array(3, 4))
        for of, wrt in enumerate([[0, 1, 2], [0, 3], [0, 4]])
    ],
    *[Case("InstanceNormalization", [x, *C4]) for x in (IMAGE, array(2, 4, 5), array(2, 4, 1, 2, 3))],
    Case("InstanceNormalization", [IMAGE, *C4], {"epsilon": 0.5}),
    Case("InstanceNormalization", [IMAGE, *C4], {"epsilon": 0.5}, opset=22),
    Case("LayerNormalization", [IMAGE, array(5), array(5)]),
    Case("LayerNormalization", [IMAGE, array(5)]),
    Case("LayerNormalization", [IMAGE, array(3, 5), array(3, 5)], {"axis": 2, "epsilon": 0.1}),
    Case("LayerNormalization", [IMAGE, array(4, 3, 5), array(4, 3, 5)], {"axis": -3}),
    Case("LayerNormalization", [IMAGE, array(3, 5), array(5)], {"axis": 1}, note="scale broadcasts"),
    Case("LayerNormalization", [array(2, 6), array(6), array(6)], {"axis": -1}, outputs=3, note="all outputs"),
    Case("LayerNormalization", [array(2, 6), array(2, 6)], {"axis": 0}),
    *[
        Case("LayerNormalization", [IMAGE, array(3, 5), array(3, 5)], {"axis": 2}, outputs=3, of=of, wrt=[0])
        for of in (1, 2)
    ],
    *[
        Case(
            "GroupNormalization",
            [x, array(2), array(2)],
            {"num_groups": 2, "epsilon": 0.1},
            opset=18,
            no_runtime="deprecated: onnx's checker refuses this version",
        )
        for x in (IMAGE, array(2, 4, 5))
    ],
    *[
        Case("GroupNormalization", [x, *C4], {"num_groups": groups, "epsilon": 0.1}, opset=21)
        for x in (IMAGE, array(2, 4, 5), array(2, 4, 1, 2, 3))
        for groups in (1, 2, 4)
    ],
    *[Case("LpNormalization", [IMAGE], {"p": p, "axis": axis}) for p in (1, 2) for axis in (-1, 0, 1)],
    Case("LpNormalization", [IMAGE]),
    Case("LpNormalization", [IMAGE], {"p": 1}, opset=22),
    *[
        Case(
            "LRN",
            [array(2, 6, 2, 3)],
            {"size": size, "alpha": 0.5, "beta": 0.75, "bias": 1.5},
            no_runtime="" if size % 2 else "ONNX Runtime 1.32 takes odd sizes only",
        )
        for size in (1, 2, 3, 4, 5, 8)
    ],
    Case("LRN", [array(3, 2, 1, 2)], {"size": 3}),
    *[
        Case("LRN", [x], {"size": 5, "alpha": 0.5}, no_runtime="ONNX Runtime 1.32 takes 4 axes only")
        for x in (array(2, 6, 5), array(2, 6, 1, 2, 3))
    ],
    Case(
        "MeanVarianceNormalization",
        [IMAGE],
        output_rank=4,
        no_runtime="onnx's checker refuses the operator without its attribute",
    ),
    Case("MeanVarianceNormalization", [IMAGE], {"axes": [0, 2, 3]}),
    Case("MeanVarianceNormalization", [IMAGE], {"axes": [0, 2]}),
    Case("MeanVarianceNormalization", [IMAGE[..., 0]], {"axes": [-1, 1]}),
    Case("RMSNormalization", [IMAGE, array(5)], opset=23),
    Case("RMSNormalization", [IMAGE, array(3, 5)], {"axis": -2, "epsilon": 0.1}, opset=23),
]
