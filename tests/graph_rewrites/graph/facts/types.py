"""Facts of operators by what their schemas say of types."""

from __future__ import annotations

from onnx import defs

from ..operands import Operator

GRAPHS = (defs.OpSchema.AttrType.GRAPH, defs.OpSchema.AttrType.GRAPHS)


def _schema(operator: Operator) -> defs.OpSchema | None:
    return defs.get_schema(operator.key) if defs.has(operator.key) else None


def _held(types: set[str]) -> set[str]:
    """The types of tensors that sequences and optionals among the types hold."""
    return {kind[kind.index("tensor") :].rstrip(")") + ")" for kind in types if kind.startswith(("seq", "optional"))}


def body(operator: Operator) -> bool:
    """An attribute of it is a graph."""
    schema = _schema(operator)
    return schema is not None and any(one.type in GRAPHS for one in schema.attributes.values())


def holds_tensors(operator: Operator) -> bool:
    """Its output may be a sequence or an optional, and not only because its body makes one of whatever type."""
    schema = _schema(operator)
    made = schema.outputs[0].types if schema is not None and schema.outputs else set()
    return bool(_held(made)) and (not body(operator) or not any(kind.startswith("tensor") for kind in made))


def takes_tensors(operator: Operator) -> bool:
    """Its first input may be a sequence or an optional, and its output any tensor that such a one holds."""
    schema = _schema(operator)
    if schema is None or not schema.inputs or not schema.outputs:
        return False
    given, made = schema.inputs[0], schema.outputs[0]
    return bool(_held(given.types)) and _held(given.types) <= made.types and given.type_str != made.type_str
