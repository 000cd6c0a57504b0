"""Adam in one pass over memory, and its row-wise form for tables of which a batch touches few rows."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mrlm_core.errors import ConfigError, problem


class Adam(keras.optimizers.Adam):
    """Keras' Adam (Kingma & Ba 2015), the same numbers; on TensorFlow one operation updates each weight.

    ``rows`` changes what happens to a weight whose gradient reaches some of its rows only (a sampled identity head):
    moments and values of the other rows stay as they are, where Adam itself would let them drift on. Raises
    ConfigError for ``rows`` on another backend than TensorFlow, the only one whose gradients say which rows those are.
    """

    def __init__(self, learning_rate: float, rows: bool = False, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        if rows and not on_tensorflow():
            raise ConfigError(
                problem("training.optimizer", "'adam' on this Keras backend", "'row-adam', which needs TensorFlow",
                        "Set training.optimizer to 'adam', or KERAS_BACKEND to tensorflow.")
            )
        self.rows = rows

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        step = ops.cast(self.iterations + 1, "float32")  # once, not for each of a hundred weights
        self._decayed = tuple(ops.power(ops.cast(beta, "float32"), step) for beta in (self.beta_1, self.beta_2))
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one weight; ``gradient`` is a tensor or TensorFlow's IndexedSlices."""
        if not on_tensorflow():
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        place = self._get_variable_index(variable)
        value, first, second = map(_resource, (variable, self._momentums[place], self._velocities[place]))
        if self.rows and isinstance(gradient, tf.IndexedSlices):
            self._update_rows(value, first, second, gradient, learning_rate)
            return
        # The operation checks no types: one that differs from the weight's would end the process.
        inputs = {
            "beta1_power": self._decayed[0], "beta2_power": self._decayed[1], "lr": learning_rate,
            "beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon,
            "grad": tf.convert_to_tensor(gradient),
        }
        inputs = {name: tf.cast(number, value.dtype) for name, number in inputs.items()}
        tf.raw_ops.ResourceApplyAdam(var=value.handle, m=first.handle, v=second.handle, **inputs)

    def _update_rows(self, value: Any, first: Any, second: Any, gradient: Any, learning_rate: Any) -> None:
        import tensorflow as tf

        rows, place = tf.unique(gradient.indices)  # a row may come several times; its gradients add up
        slope = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(rows))
        m = self.beta_1 * tf.gather(first, rows) + (1 - self.beta_1) * slope
        v = self.beta_2 * tf.gather(second, rows) + (1 - self.beta_2) * tf.square(slope)
        rate = learning_rate * tf.sqrt(1 - self._decayed[1]) / (1 - self._decayed[0])
        for table, new in ((first, m), (second, v)):
            table.scatter_update(tf.IndexedSlices(new, rows))
        value.scatter_sub(tf.IndexedSlices(rate * m / (tf.sqrt(v) + self.epsilon), rows))


def on_tensorflow() -> bool:
    """Whether Keras runs on TensorFlow."""
    return keras.backend.backend() == "tensorflow"


def _resource(variable: Any) -> Any:
    """TensorFlow's variable inside Keras' one."""
    return variable.value if isinstance(variable, keras.Variable) else variable
