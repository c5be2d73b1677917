"""Muon for convolutions, which makes a short training go far, and Adam in one pass over the weights."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("segsrgan")
class ConvolutionMuon(keras.optimizers.Muon):
    """Muon, with a convolution's kernel as a matrix: one row a weight of the receptive field, one column a channel.

    The momentum of each kernel is replaced by the nearest matrix with orthonormal columns or rows, so that every
    direction learns at the same pace. Keras's own Muon takes matrices alone. Kernels that look at the image itself or
    make the outputs, scales and offsets are left to Adam.

    Source: Jordan et al. 2024, Muon; step size matched to Adam's as in Liu et al. 2025, "Muon is scalable", eq. 4.
    """

    def _should_use_adamw(self, variable) -> bool:
        return len(variable.shape) < 4 or min(variable.shape[-2:]) < 4

    def _muon_update_step(self, gradient, variable, lr, m):
        self.assign_add(m, ops.add(gradient, m * (self.momentum - 1)))
        direction = ops.reshape(ops.add(gradient, self.momentum * m), (-1, variable.shape[-1]))
        update = self.zeropower_via_newtonschulz5(direction, self.ns_steps)
        self.assign_sub(variable, ops.reshape(self.lr_adjust(lr * update), variable.shape))

    def zeropower_via_newtonschulz5(self, x, steps):
        """Iterate as Keras does, but on the matrix of inner products along the short side.

        Each iteration multiplies `x` by a polynomial of that matrix: the factors are gathered, and meet `x` once. With
        thousands of weights of a receptive field to a hundred channels that saves most of the products.

        Args:
            x: float32 (m, n).
            steps: iterations.

        Returns:
            float32 (m, n), of singular values near 1.
        """
        tall = x.shape[0] > x.shape[1]
        x = x / (ops.norm(x) + 1e-7)
        products = tf.matmul(x, x, transpose_a=tall, transpose_b=not tall)
        factors = one = tf.eye(min(x.shape))
        for _ in range(steps):
            factor = self.muon_a * one + self.muon_b * products + self.muon_c * products @ products
            factors, products = factor @ factors, factor @ products @ factor
        return x @ factors if tall else factors @ x


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
