"""Many small symmetric systems solved at once, one per series, by elementwise arithmetic.

The last axis of every array is the series. Only ``+ - * /`` and square roots of whole vectors are used,
each of which IEEE 754 rounds correctly, so a series' result does not depend, to the bit, on its
neighbours, on the size of the block, on BLAS or on the processor. LAPACK promises none of that. For 12
unknowns and 30,490 series this takes 0.02 s. No statistics and no model belongs here.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


BLOCK = 4096
"""Series whose days are looked at together where a whole matrix of them beside the given ones would be made."""


def blocks_of(series: int) -> list[slice]:
    """The series in blocks; at least one, which may be empty."""
    return [slice(start, start + BLOCK) for start in range(0, max(series, 1), BLOCK)]


def sum_rows(matrix: Array) -> Array:
    """Sum over the first axis, first row first.

    ``matrix.sum(axis=0)`` chooses its order by the shape (pairwise for one column, row by row for many), so
    the bits of a series would depend on how many others there are.
    """
    total = np.zeros(matrix.shape[1:])
    for row in matrix:
        np.add(total, row, out=total)
    return total


def solve_symmetric(gram: Array, right: Array) -> Array:
    """Solve ``gram[:, :, s] @ x[:, s] = right[:, s]`` for every series ``s`` by Cholesky's factors.

    Args:
        gram: ``p x p x n``, symmetric and positive definite for each series; only the lower triangle is read.
        right: ``p x n``.

    Returns:
        ``p x n``. NaN for a series whose matrix is not positive definite.
    """
    size = len(right)
    lower = np.zeros_like(gram)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for column in range(size):
            pivot = gram[column, column].copy()
            for k in range(column):
                pivot -= lower[column, k] * lower[column, k]
            lower[column, column] = np.sqrt(np.where(pivot > 0, pivot, np.nan))
            for row in range(column + 1, size):
                entry = gram[row, column].copy()
                for k in range(column):
                    entry -= lower[row, k] * lower[column, k]
                lower[row, column] = entry / lower[column, column]
        solution = np.empty_like(right)
        for row in range(size):
            entry = right[row].copy()
            for k in range(row):
                entry -= lower[row, k] * solution[k]
            solution[row] = entry / lower[row, row]
        for row in reversed(range(size)):
            entry = solution[row].copy()
            for k in range(row + 1, size):
                entry -= lower[k, row] * solution[k]
            solution[row] = entry / lower[row, row]
    return solution
