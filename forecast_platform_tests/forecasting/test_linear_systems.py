"""The batched solver agrees with LAPACK, and with itself whatever the batch."""

import numpy as np

from forecast_platform.forecasting.linear_systems import solve_symmetric, sum_rows


def systems(size, series, seed=0):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(series, size + 3, size))
    gram = np.einsum("nri,nrj->ijn", root, root) + 0.1 * np.eye(size)[:, :, None]
    return gram, generator.normal(size=(size, series))


def test_solutions_are_those_of_lapack():
    gram, right = systems(12, 50)
    expected = np.linalg.solve(gram.transpose(2, 0, 1), right.T[:, :, None])[:, :, 0].T
    np.testing.assert_allclose(solve_symmetric(gram, right), expected, rtol=1e-8)


def test_a_series_has_the_same_bits_alone():
    gram, right = systems(9, 33)
    together = solve_symmetric(gram, right)
    for series in range(33):
        one = slice(series, series + 1)
        assert np.array_equal(solve_symmetric(gram[:, :, one], right[:, one])[:, 0], together[:, series])


def test_a_matrix_that_is_not_positive_definite_gives_nan_and_spoils_no_other():
    gram, right = systems(4, 3)
    expected = solve_symmetric(gram, right)
    gram[:, :, 1] = -np.eye(4)
    got = solve_symmetric(gram, right)
    assert np.isnan(got[:, 1]).all()
    assert np.array_equal(got[:, [0, 2]], expected[:, [0, 2]])


def test_only_the_lower_triangle_is_read():
    gram, right = systems(5, 4)
    lower = np.tril(np.ones((5, 5)))[:, :, None] * gram
    assert np.array_equal(solve_symmetric(lower, right), solve_symmetric(gram, right))


def test_rows_are_added_in_their_order_whatever_the_number_of_columns():
    matrix = np.random.default_rng(2).normal(size=(200, 5)) * 10.0 ** np.arange(-8, 2, 2)
    wide = sum_rows(matrix)
    expected = [np.add.accumulate(matrix[:, n])[-1] for n in range(5)]
    assert wide.tolist() == expected
    assert [sum_rows(matrix[:, [n]])[0] for n in range(5)] == expected
