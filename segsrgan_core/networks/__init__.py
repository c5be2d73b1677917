"""The generators, the critic, and the layers and optimisers that Keras lacks or has only in a slow form."""

import tensorflow as tf

# TensorFlow would gather sums into sums of three and more terms, and make those in the order in which the terms are
# ready: the same training would round otherwise each time. Sums of two are always the same.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
