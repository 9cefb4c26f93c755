"""RNN, GRU and LSTM, which onnx's reference evaluator computes in part.

Found with onnx 1.23, by comparison with ONNX Runtime: sequence lengths, activations, clip and input_forget are ignored.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

Array: TypeAlias = np.ndarray[Any, Any]

FUNCTIONS: dict[str, Any] = {
    "relu": lambda x, a, b: np.maximum(x, 0),
    "tanh": lambda x, a, b: np.tanh(x),
    "sigmoid": lambda x, a, b: 1 / (1 + np.exp(-x)),
    "affine": lambda x, a, b: a * x + b,
    "leakyrelu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "thresholdedrelu": lambda x, a, b: np.where(x >= a, x, 0),
    "scaledtanh": lambda x, a, b: a * np.tanh(b * x),
    "hardsigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "elu": lambda x, a, b: np.where(x >= 0, x, a * (np.exp(np.minimum(x, 0)) - 1)),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "softplus": lambda x, a, b: np.logaddexp(x, 0),
}
ALPHAS = {"affine": 1.0, "leakyrelu": 0.01, "thresholdedrelu": 1.0, "scaledtanh": 1.0, "hardsigmoid": 0.2, "elu": 1.0}
BETAS = {"affine": 0.0, "scaledtanh": 1.0, "hardsigmoid": 0.5}


class Recurrent(OpRun):
    """One sample after the other, one time after the other, over the sample's own length."""

    gates = 1
    states = 1
    functions: tuple[str, ...] = ("Tanh",)

    def step(self, f: Any, u: Array, h: Array, c: Array, r: Array, b: Array, p: Array, attrs: Any) -> Any:
        """H and C after one step of one sample; u = X*W^T + Wb, b = Rb."""
        raise NotImplementedError

    def _run(self, x: Array, w: Array, r: Array, *rest: Array | None, **attrs: Any) -> tuple[Array, ...]:
        b, lengths, h0, c0, p = (list(rest) + [None] * 5)[:5]
        if attrs["layout"]:
            x = x.swapaxes(0, 1)
            h0, c0 = (None if s is None else s.swapaxes(0, 1) for s in (h0, c0))
        times, samples, _ = x.shape
        directions, hidden = w.shape[0], r.shape[2]
        b = np.zeros((directions, 2 * self.gates * hidden), x.dtype) if b is None else b
        p = np.zeros((directions, 3 * hidden), x.dtype) if p is None else p
        h, c = (np.zeros((directions, samples, hidden), x.dtype) if s is None else s.copy() for s in (h0, c0))
        y = np.zeros((times, directions, samples, hidden), x.dtype)
        functions = self._functions(directions, attrs)
        for d in range(directions):
            for n in range(samples):
                order = range(times if lengths is None else int(lengths[n]))
                backwards = attrs["direction"] == "reverse" or d == 1
                for t in reversed(order) if backwards else order:
                    u = w[d] @ x[t, n] + b[d, : self.gates * hidden]
                    rb = b[d, self.gates * hidden :]
                    h[d, n], c[d, n] = self.step(functions[d], u, h[d, n], c[d, n], r[d], rb, p[d], attrs)
                    y[t, d, n] = h[d, n]
        if attrs["layout"]:
            y, h, c = y.transpose(2, 0, 1, 3), h.swapaxes(0, 1), c.swapaxes(0, 1)
        return (y, h, c)[: max(1, len(self.onnx_node.output))]

    def _functions(self, directions: int, attrs: Any) -> list[list[Any]]:
        names = [name.lower() for name in attrs["activations"] or self.functions * directions]
        alphas, betas = (list(attrs[f"activation_{kind}"] or []) for kind in ("alpha", "beta"))
        bound = np.inf if attrs["clip"] is None else attrs["clip"]
        made = []
        for index, name in enumerate(names):
            alpha = alphas.pop(0) if alphas and name in ALPHAS else ALPHAS.get(name)
            beta = betas.pop(0) if betas and name in BETAS else BETAS.get(name)
            # ONNX Runtime does not clip what goes into an LSTM's h.
            low_high = (-np.inf, np.inf) if index % len(self.functions) == 2 else (-bound, bound)
            made.append(lambda v, f=FUNCTIONS[name], a=alpha, b=beta, clip=low_high: f(np.clip(v, *clip), a, b))
        count = len(self.functions)
        return [made[i * count : (i + 1) * count] for i in range(directions)]


class RNN(Recurrent):
    """H' = f(u + R*H + Rb)."""

    def step(self, f: Any, u: Array, h: Array, c: Array, r: Array, b: Array, p: Array, attrs: Any) -> Any:
        """H and C after one step."""
        return f[0](u + r @ h + b), c


class GRU(Recurrent):
    """Gates z, r, h."""

    gates = 3
    functions = ("Sigmoid", "Tanh")

    def step(self, f: Any, u: Array, h: Array, c: Array, r: Array, b: Array, p: Array, attrs: Any) -> Any:
        """H and C after one step."""
        (uz, ur, uh), (rz, rr, rh), (bz, br, bh) = np.split(u, 3), np.split(r, 3), np.split(b, 3)
        z, reset = f[0](uz + rz @ h + bz), f[0](ur + rr @ h + br)
        inner = reset * (rh @ h + bh) if attrs["linear_before_reset"] else rh @ (reset * h) + bh
        return (1 - z) * f[1](uh + inner) + z * h, c


class LSTM(Recurrent):
    """Gates i, o, f, c."""

    gates = 4
    functions = ("Sigmoid", "Tanh", "Tanh")

    def step(self, f: Any, u: Array, h: Array, c: Array, r: Array, b: Array, p: Array, attrs: Any) -> Any:
        """H and C after one step."""
        (i, o, forget, new), (pi, po, pf) = np.split(u + r @ h + b, 4), np.split(p, 3)
        i = f[0](i + pi * c)
        forget = 1 - i if attrs["input_forget"] else f[0](forget + pf * c)
        cell = forget * c + i * f[1](new)
        return f[0](o + po * cell) * f[2](cell), cell


RECURRENT: list[type[OpRun]] = [RNN, GRU, LSTM]
