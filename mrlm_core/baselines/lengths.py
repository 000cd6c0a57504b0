"""Texts of about one length are read together, so that little time goes into what is past the end of most of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from keras import ops

from mrlm_core.baselines.network import Tensor
from mrlm_core.training.optimizer import on_tensorflow


class Lengths:
    """Reads texts, short ones apart from long ones: past the end of a text a step costs as much as within it.

    A text of nothing counts as one of length 1.
    """

    def __init__(self, lengths: np.ndarray, groups: int = 4) -> None:
        """``lengths`` int ``[n]`` of all texts; each group takes about as many of them."""
        shares = np.arange(1, groups + 1) / groups
        self.longest = np.unique(np.maximum(np.quantile(lengths, shares, method="higher"), 1))
        self.group = ops.convert_to_tensor(np.searchsorted(self.longest, lengths).astype(np.int32))

    def read(self, texts: Tensor, states_of: Callable[[Tensor, int], Tensor]) -> Tensor:
        """``states_of`` (texts ``[m]``, length of the longest) -> ``[m, k]``, for the ``texts`` ``[n]``: ``[n, k]``.

        Only TensorFlow can let the size of a group depend on the data; elsewhere all are read to the longest end.
        """
        longest = [int(length) for length in self.longest]
        if not on_tensorflow() or len(longest) == 1:
            return states_of(texts, longest[-1])
        import tensorflow as tf

        groups = tf.gather(self.group, texts)
        places = tf.dynamic_partition(tf.range(tf.size(texts)), groups, len(longest))
        read = [states_of(tf.gather(texts, there), most) for there, most in zip(places, longest, strict=True)]
        return tf.dynamic_stitch(places, read)
