"""Cases for `gradients/einsum.py`."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(21)


def array(*shape: int) -> np.ndarray:
    return rng.normal(size=shape)


A, B, C = array(2, 3), array(3, 4), array(4, 2)
RANKS = "onnx's checker refuses ellipses of different ranks"
SQUARE, CUBE = array(3, 3), array(3, 2, 3)


def einsum(equation: str, *inputs: np.ndarray, **options: object) -> Case:
    return Case("Einsum", inputs, {"equation": equation}, **options)  # type: ignore[arg-type]


CASES = [
    einsum("ij->ji", A),
    einsum("ij->", A),
    einsum("ij->i", A),
    einsum("ij->j", A, opset=28),
    einsum("ij", A),
    einsum("ba", A, note="implicit output is alphabetical"),
    einsum("ij,jk->ik", A, B),
    einsum("ij,jk", A, B, note="implicit output"),
    einsum("i j , j k -> k i", A, B, note="spaces"),
    einsum("ij,jk->", A, B),
    einsum("ij,kj->", A, array(4, 3), note="scalar output, a subscript in one operand alone"),
    einsum("ij,jk,ki->", A, B, C, note="trace of three"),
    einsum("ij,jk,kl->il", A, B, C),
    einsum("i,j->ij", array(2), array(3)),
    einsum("i,i->", array(3), array(3)),
    einsum("i,i->i", array(3), array(3)),
    einsum("Ab,bC->AC", A, B, note="capitals"),
    einsum("ij,k->i", A, array(4), note="summed away on both sides"),
    einsum("bhqd,bhkd->bhqk", array(2, 2, 3, 4), array(2, 2, 5, 4), note="attention"),
    einsum("bhwc,hkc->bhwk", array(2, 3, 4, 2), array(3, 5, 2), note="relative position, height"),
    einsum("bhwc,wkc->bhwk", array(2, 3, 4, 2), array(4, 5, 2), note="relative position, width"),
    # diagonals
    einsum("ii->i", SQUARE),
    einsum("ii->", SQUARE),
    einsum("ii", SQUARE, note="implicit trace"),
    einsum("iji->ij", CUBE),
    einsum("iji->j", CUBE),
    einsum("iij->ji", array(3, 3, 2)),
    einsum("jii->ij", array(2, 3, 3)),
    einsum("ii,ij->j", SQUARE, B),
    einsum("iii->i", array(3, 3, 3)),
    einsum("ijij->ij", array(2, 3, 2, 3)),
    # ellipses
    einsum("...ij->...ji", array(2, 4, 2, 3)),
    einsum("...ij,...jk->...ik", array(2, 2, 3), array(2, 3, 4)),
    einsum("...ij,...jk", array(2, 2, 3), array(2, 3, 4), note="implicit output with ellipsis"),
    einsum("...ij,jk->...ik", array(2, 2, 3), B),
    einsum(
        "...ij,...jk->...ik",
        array(2, 1, 2, 3),
        array(5, 3, 4),
        note="ellipses broadcast",
        output_rank=4,
        no_runtime=RANKS,
    ),
    einsum("...ij,...jk->...ik", array(1, 2, 3), array(5, 3, 4), note="ellipsis of size 1"),
    einsum("...i,...i->...", array(2, 3), array(3), note="empty ellipsis", output_rank=1, no_runtime=RANKS),
    einsum("i...->...", array(3, 2, 2)),
    einsum("...ii->...i", array(2, 3, 3)),
    einsum("b...c,c->b...", array(2, 3, 2, 4), array(4)),
]
