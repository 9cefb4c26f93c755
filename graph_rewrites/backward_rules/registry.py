"""The backward rule sets by name: tables laid over the gradient table, for methods that change the reverse pass.

    @backward_rule("mine", "Relu")
    def mine(op, node, grad):
        return [op.Mul(grad, 0.5)]          # or None: this node keeps its ordinary gradient

Operators that a set does not list keep their gradients, unless it says otherwise:

    @default_rule("mine")
    def refuse(op, node, *grads):
        raise OnnxplainError(f"the rules 'mine' are not defined for {node.op_type}")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..autodiff import gradients as gradients  # registers the gradient table
from ..autodiff.reverse import Override, Rules
from ..errors import OnnxplainError, UsageError, closest

RULES: dict[str, dict[str, Override]] = {"standard": {}}
# What a rule set gives operators that it does not list; without an entry, their gradients.
DEFAULTS: dict[str, Override] = {}
# What a rule set treats, for the error where there is none of it.
SUBJECTS: dict[str, str] = {}


def backward_rule(name: str, *op_types: str) -> Callable[[Override], Override]:
    """Registers the decorated function in the rule set `name` for operators (`Name`, or `domain::Name`)."""

    def register(rule: Override) -> Override:
        for op_type in op_types:
            if op_type in RULES.setdefault(name, {}):
                raise ValueError(f"rule set {name!r} has a rule for {op_type} already")
            RULES[name][op_type] = rule
        return rule

    return register


def default_rule(name: str, subject: str = "operator that it treats") -> Callable[[Override], Override]:
    """Registers the decorated function as what operators get that the rule set `name` does not list.

    `subject` says what the set treats, for the error where a model has none of it.
    """

    def register(rule: Override) -> Override:
        if name in DEFAULTS:
            raise ValueError(f"rule set {name!r} has a default rule already")
        RULES.setdefault(name, {})
        DEFAULTS[name], SUBJECTS[name] = rule, subject
        return rule

    return register


def rule_set(name: str) -> Rules:
    """The gradient table under a rule set.

    Raises:
        UsageError: no rule set has this name.
    """
    if name not in RULES:
        raise UsageError(f"unknown backward rules {name!r}; {closest(name, RULES)}")
    return Rules(name, RULES[name], DEFAULTS.get(name))


def require_applied(rules: Rules, model: str, end: str, start: Sequence[str]) -> None:
    """A rule set that changed nothing must not pass for one that did."""
    if (rules.listed or rules.default) and not rules.taken:
        what = SUBJECTS.get(rules.name, f"operator that rules {rules.name!r} treat")
        raise OnnxplainError(
            f"{model}: no {what} lies between {', '.join(map(repr, start))} and {end!r}, so backward "
            f"rules {rules.name!r} would change nothing; choose an earlier layer, or rules='standard'"
        )
