"""Muon for convolutions: the optimiser that makes a short training go far."""

import keras
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
