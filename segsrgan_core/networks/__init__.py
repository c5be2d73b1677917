"""Generators and critic, and layers and optimizers that Keras lacks or has only in a slow form."""

import tensorflow as tf

# TensorFlow would merge sums into sums of three and more terms, and add those in the order in which they are ready,
# which changes the rounding from run to run. A sum of two does not change.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
