"""The commands, one per file: they parse options, call the engine and print."""

# In the order of `onnxplain --help`: each command, and the module in this folder that has a function of its name.
COMMANDS = {
    "explain": "explain",
    "compare": "compare",
    "report": "report",
    "occlude": "occlude",
    "layers": "layers",
    "rewrite": "rewrite",
    "check": "check",
    "caption": "caption",
    "vqa": "vqa",
    "evaluate": "experiments.evaluate",
    "audit": "experiments.audit",
    "ablate": "experiments.ablate",
    "sweep": "experiments.sweep",
    "seeds": "experiments.seeds",
}
