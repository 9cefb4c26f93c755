"""Compares onnxplain's maps with those of grad-cam, captum and zennit, on small torch models, in float64.

    pip install -e '.[cpu,parity]'
    python -m benchmarks.parity            # from the repository's root: prints the table
    python -m benchmarks.parity --write    # and puts it into docs/methods.md

Exits with 1 where a map differs from the peer's by more than 1e-5 and no reason is stated beside it.
"""

from . import before_peers as before_peers
