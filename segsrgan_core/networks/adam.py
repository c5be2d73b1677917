"""Adam in one pass over the weights."""

import keras
import tensorflow as tf


class OnePassAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` through TensorFlow's own kernel: the same formula and variables, a third of the time.

    Keras writes the update as a dozen operations, each of which walks through all weights; for the critic's 11 million
    that takes as long as the generator's forward pass. Float32 weights; neither `amsgrad` nor sparse gradients.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable and its two moments."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
            use_locking=True,
        )
