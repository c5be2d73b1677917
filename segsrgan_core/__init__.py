"""SegSRGAN: super-resolution and segmentation of thick-slice neonatal brain MRI in one network."""

import os

__version__ = "0.1.0"

# TensorFlow leaves oneDNN's convolutions off on processors without AVX-512 (AMD up to Zen 3, laptops), where they make
# a training step four times as fast; and it decides when it is first imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
