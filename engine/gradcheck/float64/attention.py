"""Attention of all kinds, which onnx's reference evaluator computes in float32 or otherwise than it specifies.

Found with onnx 1.23:

    Attention              `qk_matmul_output_mode` 0 gives the scores after the soft cap, not (as the specification and
                           ONNX Runtime) before it
    CausalConvWithState    its activation is rounded to float32
    LinearAttention        computed in float32
    FlexAttention          its subgraphs do not see the tensors around them
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_attention import Attention_23

Array: TypeAlias = Any  # an ndarray; numpy's stubs do not follow starred indices


class Attention(Attention_23):
    def _run(self, *inputs: Array, **attrs: Any) -> Array:
        outputs = super()._run(*inputs, **attrs)
        if attrs.get("qk_matmul_output_mode") or not attrs.get("softcap"):
            return tuple(outputs)
        return (*outputs[:3], super()._run(*inputs, **{**attrs, "softcap": None})[3])


class CausalConvWithState(OpRun):
    def _run(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        past: Array | None = None,
        activation: str = "none",
    ) -> tuple[Array, Array]:
        width, steps = weight.shape[2], x.shape[2]
        past = np.zeros((*x.shape[:2], width - 1), x.dtype) if past is None else past
        whole = np.concatenate([past, x], axis=2)
        y = sum(whole[:, :, k : k + steps] * weight[:, :, k].T[:, :, None] for k in range(width))
        y = y if bias is None else y + bias[:, None]
        if activation in ("silu", "swish"):
            y = y / (1 + np.exp(-y))
        return y.astype(x.dtype), whole[:, :, steps:]


class LinearAttention(OpRun):
    def _run(
        self,
        query: Array,
        key: Array,
        value: Array,
        state: Array | None = None,
        decay: Array | None = None,
        beta: Array | None = None,
        kv_num_heads: int = 1,
        q_num_heads: int = 1,
        scale: float = 0.0,
        **_: Any,
    ) -> tuple[Array, Array]:
        batch, steps, _width = query.shape
        q, k, v = (
            x.reshape(batch, steps, heads, -1)
            for x, heads in ((query, q_num_heads), (key, kv_num_heads), (value, kv_num_heads))
        )
        state = np.zeros((batch, kv_num_heads, k.shape[3], v.shape[3]), query.dtype) if state is None else state
        kept = None if decay is None else np.exp(decay.reshape(batch, steps, kv_num_heads, -1))
        outputs = []
        for t in range(steps):
            state = state if kept is None else state * kept[:, t, :, :, None]
            new = v[:, t]
            if beta is not None:
                new = (new - np.einsum("bhkv,bhk->bhv", state, k[:, t])) * beta[:, t, :, None]
            state = state + np.einsum("bhk,bhv->bhkv", k[:, t], new)
            shared = np.repeat(state, q_num_heads // kv_num_heads, axis=1)
            outputs.append(np.einsum("bhk,bhkv->bhv", q[:, t], shared) * (scale or q.shape[3] ** -0.5))
        return np.stack(outputs, axis=1).reshape(batch, steps, -1).astype(query.dtype), state


class FlexAttention(OpRun):
    op_domain = "ai.onnx.preview"

    def need_context(self) -> bool:
        """The subgraphs read tensors of the graphs around them."""
        return True

    def _run(
        self,
        query: Array,
        key: Array,
        value: Array,
        context: dict[str, Array],
        scale: float | None = None,
        score_mod: Any = None,
        prob_mod: Any = None,
        **_: Any,
    ) -> tuple[Array]:
        def modified(graph: Any, x: Array) -> Array:
            return x if graph is None else graph.run(None, context | {graph.input_names[0]: x})[0]

        key, value = (np.repeat(x, query.shape[1] // x.shape[1], axis=1) for x in (key, value))
        scores = modified(score_mod, query @ key.swapaxes(-1, -2) * (scale or query.shape[3] ** -0.5))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return (modified(prob_mod, weights / weights.sum(axis=-1, keepdims=True)) @ value,)


ATTENTION: list[type[OpRun]] = [Attention, CausalConvWithState, LinearAttention, FlexAttention]
