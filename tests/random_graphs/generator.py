"""Random graphs, seeded: what a step may be, and graphs of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from onnx import numpy_helper, parser
from onnxplain.engine.gradcheck.float64.session import Float64Session

# A step's text, from {x} (and {b}, another tensor of its shape) to {y}. {F} is the float type, {H} the narrower one of
# float16 parts; {r}, {s}, {t} are names of its own, and {c} is a number of channels.
ANY = [
    "{y} = Relu({x})",
    "{y} = LeakyRelu<alpha = 0.2>({x})",
    "{y} = Sigmoid({x})",
    "{y} = Tanh({x})",
    "{y} = Softplus({x})",
    "{y} = Softsign({x})",
    "{y} = Elu<alpha = 0.7>({x})",
    "{y} = Selu({x})",
    "{y} = Celu<alpha = 0.7>({x})",
    "{y} = HardSigmoid<alpha = 0.3, beta = 0.4>({x})",
    "{y} = HardSwish({x})",
    "{y} = ThresholdedRelu<alpha = 0.3>({x})",
    "{y} = Erf({x})",
    "{y} = Sin({x})",
    "{y} = Abs({x})",
    "{y} = Neg({x})",
    "{y} = Clip({x}, low, high)",
    "{y} = Clip({x}, zero, high)",
    "{y} = PRelu({x}, half)",
    "{y} = Pow({x}, three)",
    "{r} = Abs({x}) {s} = Add({r}, half) {y} = Sqrt({s})",
    "{r} = Relu({x}) {y} = Sqrt({r})",
    "{r} = Clip({x}, zero, high) {y} = Pow({r}, half)",
    "{r} = Relu({x}) {s} = Mul({r}, {r}) {t} = ReduceSum<keepdims = 1>({s}, axis1) {y} = Sqrt({t})",
    "{r} = Abs({x}) {s} = Add({r}, half) {y} = Log({s})",
    "{y} = Mul({x}, scales)",
    "{y} = Add({x}, shifts)",
    "{r} = Max({x}, shifts) {y} = Min({r}, high)",
    "{r} = Greater({x}, shifts) {y} = Where({r}, {x}, half)",
]
TWO = [
    "{y} = Add({x}, {b})",
    "{y} = Sub({x}, {b})",
    "{y} = Mul({x}, {b})",
    "{y} = Max({x}, {b})",
    "{y} = Min({x}, {b})",
    "{y} = Sum({x}, {b}, {x})",
    "{y} = Mean({x}, {b})",
    "{r} = Exp({b}) {s} = Add({r}, half) {y} = Div({x}, {s})",
    "{y} = Concat<axis = 2>({x}, {b})",
    "{y} = Concat<axis = -1>({x}, {b})",
    "{r} = Transpose<perm = [0, 1, 3, 2]>({b}) {y} = MatMul({x}, {r})",
    '{y} = Einsum<equation = "nchw,nchv->ncwv">({x}, {b})',
]
MAPS = [
    "{y} = Conv<pads = [1, 1, 1, 1]>({x}, kernel, bias)",
    "{y} = Conv<strides = [2, 2], pads = [1, 1, 0, 0]>({x}, kernel)",
    '{y} = Conv<auto_pad = "SAME_UPPER", strides = [2, 1]>({x}, kernel)',
    "{y} = Conv<group = 4, dilations = [2, 1], pads = [2, 1, 2, 1]>({x}, depthwise, bias)",
    "{y} = ConvTranspose<strides = [2, 1], output_padding = [1, 0]>({x}, kernel)",
    "{y} = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>({x})",
    "{y} = MaxPool<kernel_shape = [3, 2], strides = [2, 3], ceil_mode = 1>({x})",
    "{y} = AveragePool<kernel_shape = [2, 3], strides = [1, 2], pads = [1, 1, 0, 1]>({x})",
    "{y} = AveragePool<kernel_shape = [2, 2], strides = [3, 3], ceil_mode = 1, count_include_pad = 1>({x})",
    "{y} = LpPool<kernel_shape = [2, 2], strides = [1, 1]>({x})",
    "{y} = LRN<size = 3>({x})",
    "{y} = BatchNormalization({x}, vector, bias, bias, vector)",
    "{y} = InstanceNormalization({x}, vector, bias)",
    '{y} = Resize<mode = "linear">({x}, , resized)',
    '{y} = Resize<mode = "cubic", coordinate_transformation_mode = "asymmetric">({x}, , resized)',
    '{y} = Resize<mode = "nearest">({x}, , doubled)',
    '{y} = Pad<mode = "reflect">({x}, pads)',
    '{y} = Pad<mode = "edge">({x}, pads)',
    "{y} = Pad({x}, pads, half)",
    "{y} = Slice({x}, starts, ends, axes)",
    "{y} = Slice({x}, from_end, to_start, axes, backwards)",
    "{y} = Transpose<perm = [0, 1, 3, 2]>({x})",
    "{y} = Gather<axis = 1>({x}, places)",
    "{y} = CumSum({x}, axis)",
    "{y} = Softmax<axis = 1>({x})",
    "{y} = LogSoftmax<axis = -1>({x})",
    "{y} = ReduceMean<axes = [2], keepdims = 1>({x})",
    "{y} = ReduceMax<axes = [3], keepdims = 1>({x})",
    "{y} = ReduceL2<axes = [2], keepdims = 1>({x})",
    "{y} = ReduceLogSumExp<axes = [1], keepdims = 1>({x})",
    "{y} = ReduceSum<keepdims = 1>({x}, axes)",
    "{y} = GlobalAveragePool({x})",
    "{y} = GlobalMaxPool({x})",
    "{r} = Reshape({x}, flat) {s} = Tanh({r}) {t} = Shape({x}) {y} = Reshape({s}, {t})",
    "{y} = DepthToSpace<blocksize = 2>({x})",
    "{r}, {s} = Split<axis = 1>({x}) {y} = Mul({r}, {s})",
    "{y} = LpNormalization<axis = 1>({x})",
    "{r}, {s} = TopK<axis = 1>({x}, two) {y} = Tanh({r})",
]
PARTS = [
    "{r} = ReduceMean<keepdims = 0>({x}) {s} = Greater({r}, zero) "
    "{y} = If<then_branch = t () => ({F} {t}) {{{t} = Sin({x})}}, "
    "else_branch = e () => ({F} {q}) {{{q} = Relu({x})}}>({s})",
    "{r} = Loop<body = step (int64 {q}1, bool {q}2, {F}[A, B, C, D] {q}3) => (bool {q}4, {F}[A, B, C, D] {q}5) "
    "{{{q}4 = Identity({q}2) {q}6 = Tanh({q}3) {q}5 = Mul({q}6, {x})}}>(steps, , {x}) "
    "{s} = Shape({x}) {y} = Reshape({r}, {s})",
    "{r} = Cast<to = {H}>({x}) {s} = Relu({r}) {t} = Cast<to = {N}>({s}) {y} = Add({t}, {x})",
    "{r} = Cast<to = {H}>({x}) {s} = Sigmoid({r}) {y} = Cast<to = {N}>({s})",
    "{r} = DequantizeLinear(quantised, step) {s} = CastLike({r}, {x}) {y} = Conv({x}, {s})",
]
QUANTISER = "{r} = QuantizeLinear({x}, wide, middle) {y} = DequantizeLinear({r}, wide, middle)"
PARTS.append(QUANTISER)
WIDE = 0.5  # the step of quantisers


@dataclass(frozen=True)
class Step:
    """A template, and the tensors in it."""

    template: str
    x: str
    b: str
    y: str

    @property
    def rounds(self) -> bool:
        """Whether it quantises, for which the gradient is that of a shift by the rounding error."""
        return self.template == QUANTISER

    def text(self, kind: str, shifts: bool) -> str:
        """The step's nodes in a float type, `double` or `float`. In `double` it quantises nothing, or `shifts` it."""
        if kind == "double" and self.rounds:
            return f"{self.y} = " + (f"Add({self.x}, {self.y}_shift)" if shifts else f"Identity({self.x})")
        own = {name: f"{self.y}_{name}" for name in "rstq"}
        narrow, full = ("11", "11") if kind == "double" else ("10", "1")
        return self.template.format(x=self.x, b=self.b, y=self.y, F=kind, H=narrow, N=full, **own)


@dataclass(frozen=True)
class Graph:
    """Steps from x [2, 4, H, W] on; the last makes the output."""

    seed: int
    shape: tuple[int, ...]
    symbolic: bool
    opset: int
    steps: tuple[Step, ...] = ()
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def is_coarse(self) -> bool:
        """Whether a part is rounded to few digits."""
        return any("{H}" in step.template for step in self.steps)

    def rounded(self, x: np.ndarray) -> Graph:
        """The graph with the shifts by which its quantisers round at `x`."""
        graph = self
        for i, step in enumerate(self.steps):
            if step.rounds:
                (value,) = Float64Session(replace(graph, steps=self.steps[:i]).model(step.x)).run(["y"], {"x": x})
                shift = np.round(value / WIDE) * WIDE - value
                graph = replace(graph, weights={**graph.weights, f"{step.y}_shift": shift})
        return graph

    def model(self, output: str = "", kind: str = "double") -> onnx.ModelProto:
        """The model in a float type, without the steps that the output does not need."""
        sizes = "N, 4, H, W" if self.symbolic else ", ".join(map(str, self.shape))
        output = output or self.steps[-1].y
        body = " ".join(step.text(kind, f"{step.y}_shift" in self.weights) for step in needed(self.steps, output))
        text = f'<ir_version: 8, opset_import: ["" : {self.opset}]> g ({kind}[{sizes}] x) => ({kind} y) '
        made = parser.parse_model(f"{text} {{ {body} y = Identity({output}) }}")
        made.graph.output[0].type.tensor_type.ClearField("shape")
        for node in made.graph.node:  # what the text cannot say: the outputs of a branch without a shape
            for inner in (a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH and node.op_type == "If"):
                for value in inner.output:
                    value.type.tensor_type.ClearField("shape")
        float_type = np.float64 if kind == "double" else np.float32
        used = {name for node in made.graph.node for name in node.input}
        for name, value in self.weights.items():
            if name in used:
                array = value.astype(float_type) if value.dtype == np.float64 else value
                made.graph.initializer.append(numpy_helper.from_array(array, name))
        return made


def needed(steps: Sequence[Step], output: str) -> list[Step]:
    """The steps that an output needs."""
    names, kept = {output}, []
    for step in reversed(steps):
        if step.y in names:
            names |= {step.x, step.b}
            kept.append(step)
    return kept[::-1]


def constants(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What steps read: floats in float64, which become the model's type, and integers."""
    floats = {"zero": 0.0, "half": 0.5, "low": -0.8, "high": 0.9, "three": 3.0}
    shapes = {"scales": (4, 1, 1), "shifts": (1, 1, 1), "kernel": (4, 4, 2, 3), "depthwise": (4, 1, 3, 3), "bias": (4,)}
    made = {name: np.array(value) for name, value in floats.items()}
    made |= {name: rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])) for name, shape in shapes.items()}
    made["vector"] = rng.uniform(0.5, 2, 4)
    integers = {"axis": 2, "axis1": [1], "pads": [0, 0, 1, 2, 0, 0, 2, 1], "starts": [1, 0], "ends": [9, -1]}
    integers |= {"axes": [2, 3], "from_end": [-1, -1], "to_start": [-99, -99], "backwards": [-1, -2], "flat": [0, -1]}
    integers |= {"places": [0, 2, 2, 3], "two": [2], "steps": 2}
    made |= {name: np.array(value, np.int64) for name, value in integers.items()}
    made |= {"resized": np.array([1, 1, 1.25, 1.7], np.float32), "doubled": np.array([1, 1, 2, 2], np.float32)}
    made |= {"quantised": rng.integers(-99, 99, (4, 4, 1, 1)).astype(np.int8), "step": np.array(1 / 64, np.float32)}
    made |= {"wide": np.array(WIDE, np.float32), "middle": np.array(3, np.int8)}
    return made


def random_graph(seed: int, length: int = 8) -> Graph:
    """A graph by its seed; a step that the shape does not allow, or that makes huge values, is drawn again."""
    rng = np.random.default_rng(seed)
    shape = (2, 4, int(rng.integers(3, 8)), int(rng.integers(3, 8)))
    graph = Graph(seed, shape, bool(rng.integers(2)), 17, (), constants(rng))
    x = rng.normal(size=shape)
    values = {"x": x}
    while len(graph.steps) < length:
        kind = rng.choice(4, p=[0.3, 0.2, 0.35, 0.15])
        latest = list(values)[-3:]
        source = str(rng.choice(latest))
        twins = [name for name, value in values.items() if value.shape == values[source].shape]
        template = str(rng.choice((ANY, TWO, MAPS, PARTS)[kind]))
        step = Step(template, source, str(rng.choice(twins)), f"v{len(graph.steps)}")
        longer = replace(graph, steps=(*graph.steps, step))
        try:
            (value,) = Float64Session(longer.model()).run(["y"], {"x": x})
        except Exception:  # the reference does not take this step at this shape
            continue
        if value.ndim == 4 and 0 < value.size < 2000 and np.isfinite(value).all() and np.abs(value).max() < 50:
            graph, values[step.y] = longer, value
    return graph
