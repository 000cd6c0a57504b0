"""Readings of histories: as many as differ, each as a row by itself would read."""

import keras
import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines.network import NOBODY, without
from mrlm_core.baselines.readings import readings

HISTORIES = np.array([[4, 2, 9], [7, 4, -1], [-1, -1, -1]], np.int32)
USERS = np.array([0, 0, 0, 0, 1, 1, 2, 1, 1], np.int32)
TARGETS = np.array([2, 5, NOBODY, 2, 4, 2, 4, 7, NOBODY], np.int32)


def test_each_row_reads_what_it_would_by_itself() -> None:
    reading = readings(ops.convert_to_tensor(HISTORIES), USERS, TARGETS)
    np.testing.assert_array_equal(reading.by_row(reading.users), USERS)
    np.testing.assert_array_equal(reading.by_row(reading.readable), without(HISTORIES[USERS], TARGETS))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere every row is a reading")
def test_rows_that_read_the_same_share_a_reading() -> None:
    reading = readings(ops.convert_to_tensor(HISTORIES), USERS, TARGETS)
    np.testing.assert_array_equal(reading.of_row, [0, 1, 1, 0, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(
        reading.readable,
        [[True, False, True], [True, True, True], [True, False, False], [True, True, False], [False] * 3,
         [False, True, False], [True, True, False]],
    )
