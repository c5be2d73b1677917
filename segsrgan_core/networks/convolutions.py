"""Convolutions laid out for the matrix units of a processor; in exact arithmetic they equal Keras's own."""

import keras
import tensorflow as tf

FOLD = 4  # voxels along z that are treated as channels
FEW = 32  # largest number of channels at which the gradient of the weights is faster plane by plane


class Convolution(keras.layers.Layer):
    """Convolution without bias that keeps the grid or halves it.

    Few channels leave matrix units (AMX, tensor cores) mostly empty. A kernel larger than 3 therefore treats four
    neighbours along z as channels of one voxel, without a copy: a 7^3 kernel is 3 to 5 times as fast. For smaller
    kernels on few channels, a processor takes the gradient of the weights plane by plane.

    Args:
        filters: number of output channels.
        kernel_size: edge of the kernel in voxels, odd.
        strides: 1 or 2.
        padding: "zero", or "reflect": the volume mirrored without repeating the edge voxel. With stride 2 always zero,
            as published.
        scale: of the variance of the initial weights (k, k, k, channels, filters).
        seed: of the initial weights.

    Input: (B, X, Y, Z, C), Z a multiple of 4 for kernels larger than 3. Output: (B, X / strides, ..., filters).
    """

    def __init__(self, filters, kernel_size=3, strides=1, padding="zero", scale=1.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.padding = filters, padding
        self.kernel_size, self.strides = (kernel_size,) * 3, (strides,) * 3
        self.initial = keras.initializers.VarianceScaling(scale, "fan_avg", "uniform", seed=seed)

    def build(self, input_shape):
        """Create the kernel."""
        shape = (*self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.initial, name="kernel")

    def call(self, inputs):
        """Convolve."""
        kernel = tf.cast(self.kernel, self.compute_dtype)
        reach = self.kernel_size[0] // 2
        if self.strides[0] == 2:
            return tf.nn.conv3d(inputs, kernel, [1, 2, 2, 2, 1], "SAME")
        margins = "VALID" if self.padding == "reflect" else "SAME"
        if reach < 2:
            padded = mirrored(inputs, (reach,) * 3) if self.padding == "reflect" else inputs
            return _convolved_small(padded, kernel, margins)
        margin = -(-reach // FOLD) * FOLD
        padded = mirrored(inputs, (reach, reach, margin)) if self.padding == "reflect" else inputs
        output = _convolved(_folded(padded), folded_kernel(kernel), margins)
        return tf.reshape(output, (*tf.unstack(tf.shape(inputs)[:4]), self.filters))


class UpsamplingConvolution(Convolution):
    """Nearest-neighbour upsampling by 2 and a 3^3 convolution, as one transposed convolution.

    The 27 taps of a voxel meet only 8 different voxels of the coarse grid. Summing the taps that meet the same voxel
    gives a transposed convolution with a 4^3 kernel and stride 2, with 8 products in place of 27.

    Arguments, input and output are those of `Convolution` with kernel size 3 and stride 1; the grid is doubled.
    """

    size = (2, 2, 2)

    def call(self, inputs):
        """Repeat and convolve."""
        kernel = tf.cast(doubled_kernel(self.kernel), self.compute_dtype)
        if self.padding == "zero":
            return _transposed(inputs, kernel)
        # Mirroring the fine grid at its edge voxels' centres repeats the coarse one's edge voxels.
        padded = mirrored(inputs, (1, 1, 1), repeat_edge=True)
        return _transposed(padded, kernel)[:, 2:-2, 2:-2, 2:-2]


class UpsamplingJoin(Convolution):
    """Nearest-neighbour upsampling by 2, concatenation with a fine grid's channels, and a 3^3 convolution.

    A convolution of concatenated channels is a sum of two; that of the coarse channels is a transposed one, see
    `UpsamplingConvolution`. In float32 a training step of the U-Net takes 0.7 of the time; other precisions and
    reflected edges use the plain form.

    Arguments are those of `Convolution` with kernel size 3 and stride 1.
    Input: list of (B, X / 2, ..., C) and (B, X, ..., C'). Output: (B, X, ..., filters).
    """

    size = (2, 2, 2)

    def build(self, input_shape):
        """Create the kernel."""
        self._double = keras.layers.UpSampling3D(2, dtype=self.dtype_policy)
        coarse, fine = input_shape
        super().build((*fine[:-1], coarse[-1] + fine[-1]))

    def call(self, inputs):
        """Repeat, join and convolve."""
        coarse, fine = inputs
        if self.padding == "reflect" or self.compute_dtype != "float32":
            return super().call(tf.concat([self._double(coarse), fine], axis=-1))
        of_coarse, of_fine = self.kernel[..., : coarse.shape[-1], :], self.kernel[..., coarse.shape[-1] :, :]
        return _transposed(coarse, doubled_kernel(of_coarse)) + _convolved_small(fine, of_fine, "SAME")


class FoldedConv3D(keras.layers.Conv3D):
    """`keras.layers.Conv3D` with kernel 4, stride 2 and padding "same" on few channels and even grids, folded.

    Blocks of 2^3 voxels are treated as channels of one voxel, and the kernel is then 2^3. For 2 -> 32 channels output
    and gradients take a third of the time.
    """

    def call(self, inputs):
        """Fold, convolve, add the bias."""
        channels = inputs.shape[-1]
        padded = tf.pad(inputs, [[0, 0], *[[1, 1]] * 3, [0, 0]])
        batch, x, y, z = tf.unstack(tf.shape(padded)[:4] // [1, 2, 2, 2])
        blocks = tf.transpose(tf.reshape(padded, (batch, x, 2, y, 2, z, 2 * channels)), (0, 1, 3, 5, 2, 4, 6))
        kernel = tf.reshape(tf.cast(self.kernel, self.compute_dtype), (*[2] * 6, channels, self.filters))
        kernel = tf.reshape(tf.transpose(kernel, (0, 2, 4, 1, 3, 5, 6, 7)), (2, 2, 2, -1, self.filters))
        output = _convolved(tf.reshape(blocks, (batch, x, y, z, 8 * channels)), kernel, "VALID")
        return output + tf.cast(self.bias, self.compute_dtype)


class PatchConv3D(keras.layers.Conv3D):
    """`keras.layers.Conv3D` with kernel 4, stride 2 and padding "same" on small grids, as one matrix product.

    The gradient of the weights is then a matrix product too: 4 times as fast for 256 -> 512 channels on a grid of 4^3.
    """

    def call(self, inputs):
        """Gather the patches, multiply, add the bias."""
        channels = inputs.shape[-1]
        padded = tf.pad(inputs, [[0, 0], *([1, 1 + n % 2] for n in tf.unstack(tf.shape(inputs)[1:4])), [0, 0]])
        batch, *space = tf.unstack(tf.shape(padded)[:4])
        x, y, z = (2 * tf.range(n // 2 - 1)[:, None] + tf.range(4) for n in space)
        index = (x[:, None, None, :, None, None] * space[1] + y[:, None, None, :, None]) * space[2]
        index += z[:, None, None, :]
        voxels = tf.reshape(padded, (batch, tf.reduce_prod(space), channels))
        rows = tf.reshape(tf.gather(voxels, index, axis=1), (-1, 4**3 * channels))
        kernel = tf.reshape(tf.cast(self.kernel, self.compute_dtype), (-1, self.filters))
        output = tf.matmul(rows, kernel) + tf.cast(self.bias, self.compute_dtype)
        return tf.reshape(output, (batch, *(n // 2 - 1 for n in space), self.filters))


def _transposed(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    shape = (*tf.unstack(tf.shape(inputs)[:4] * [1, 2, 2, 2]), kernel.shape[3])
    return tf.nn.conv3d_transpose(inputs, kernel, shape, 2, "SAME")


def _convolved(inputs: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    return tf.nn.conv3d(inputs, kernel, [1] * 5, padding)


def _convolved_small(inputs: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    by_planes = inputs.shape[0] == 1 and max(kernel.shape[-2:]) <= FEW and not tf.config.list_physical_devices("GPU")
    return (convolved_by_planes if by_planes else _convolved)(inputs, kernel, padding)


def convolved_by_planes(inputs: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    """Convolve a volume; the gradient of the weights is computed plane by plane, from batches of images.

    On large grids with few channels the gradient is 2 times as fast, with one channel 8 times. `inputs` are
    (1, X, Y, Z, C), `kernel` (k, k, k, C, F) with odd k.
    """

    @tf.custom_gradient
    def convolved(volume, kernel):
        def gradients(outer):
            of_volume = tf.raw_ops.Conv3DBackpropInputV2(
                input_sizes=tf.shape(volume), filter=kernel, out_backprop=outer, strides=[1] * 5, padding=padding
            )
            return of_volume, _gradient_by_planes(volume, outer, kernel.shape, padding)

        return _convolved(volume, kernel, padding), gradients

    return convolved(inputs, kernel)


def _gradient_by_planes(volume: tf.Tensor, outer: tf.Tensor, shape: tuple[int, ...], padding: str) -> tf.Tensor:
    planes, outer_planes = tf.squeeze(volume, 0), tf.squeeze(outer, 0)
    n, m = tf.shape(planes)[0], tf.shape(outer_planes)[0]

    def of_taps(shift: int) -> tf.Tensor:
        first, last = max(0, shift), tf.minimum(n, m + shift)
        return tf.raw_ops.Conv2DBackpropFilter(
            input=planes[first:last],
            filter_sizes=shape[1:],
            out_backprop=outer_planes[first - shift : last - shift],
            strides=[1] * 4,
            padding=padding,
        )

    before = shape[0] // 2 if padding == "SAME" else 0
    return tf.stack([of_taps(tap - before) for tap in range(shape[0])])


def mirrored(inputs: tf.Tensor, margins: tuple[int, int, int], repeat_edge: bool = False) -> tf.Tensor:
    """Mirror a volume (B, X, Y, Z, C) at its edges; several times as fast as `tf.pad`, with the gradient of `tf.pad`.

    `margins` are the voxels to add at both ends of X, Y and Z; with `repeat_edge` the outer faces of the edge voxels
    are the mirrors, not their centres.
    """
    paddings = [[0, 0], *([margin, margin] for margin in margins), [0, 0]]
    mode = "SYMMETRIC" if repeat_edge else "REFLECT"

    @tf.custom_gradient
    def gathered(volume):
        shape = tf.shape(volume)
        x, y, z = (_mirrored_line(shape[axis + 1], margin, repeat_edge) for axis, margin in enumerate(margins))
        index = (x[:, None, None] * shape[2] + y[:, None]) * shape[3] + z
        voxels = tf.reshape(volume, (shape[0], shape[1] * shape[2] * shape[3], volume.shape[-1]))
        return tf.gather(voxels, index, axis=1), lambda outer: tf.raw_ops.MirrorPadGrad(
            input=outer, paddings=paddings, mode=mode
        )

    return gathered(inputs)


def _mirrored_line(n: tf.Tensor, margin: int, repeat_edge: bool) -> tf.Tensor:
    line = tf.range(-margin, n + margin)
    line = tf.maximum(line, -line - int(repeat_edge))
    return tf.minimum(line, 2 * (n - 1) + int(repeat_edge) - line)


def _folded(volume: tf.Tensor) -> tf.Tensor:
    *space, z = tf.unstack(tf.shape(volume)[:4])
    return tf.reshape(volume, (*space, z // FOLD, FOLD * volume.shape[-1]))


def folded_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """Return a kernel (k, k, k, C, F) laid out for voxels folded along z: (k, k, m, 4 C, 4 F)."""
    size = kernel.shape[2]
    margin = -(-(size // 2) // FOLD) * FOLD
    room = 2 * margin + FOLD - size
    first = margin - size // 2
    twice = tf.identity(kernel), tf.identity(kernel)  # gradients are added in pairs, see `losses`
    margins = [[[0, 0], [0, 0], [first + o, room - first - o], [0, 0], [0, 0]] for o in range(FOLD)]
    shifted = [tf.pad(twice[o // 2], margins[o]) for o in range(FOLD)]
    blocks = (size + room) // FOLD
    shape = (*kernel.shape[:2], blocks, FOLD * kernel.shape[3], FOLD * kernel.shape[4])
    return tf.reshape(tf.stack(shifted, axis=4), shape)


def doubled_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """Return the transposed kernel (4, 4, 4, F, C) of upsampling by 2 and a convolution with (3, 3, 3, C, F)."""
    kernel = tf.reverse(kernel, [0, 1, 2])
    for axis in range(3):
        before, after = ([[int(a == axis) * one, int(a == axis) * (1 - one)] for a in range(5)] for one in (1, 0))
        kernel = tf.pad(kernel, before) + tf.pad(kernel, after)
    return tf.transpose(kernel, (0, 1, 2, 4, 3))
