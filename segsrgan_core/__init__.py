"""SegSRGAN: super-resolution and segmentation of thick-slice neonatal brain MRI in one network."""

import os
import sys
import warnings

__version__ = "0.1.0"

if "tensorflow" in sys.modules and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "1":
    said = "tensorflow was imported first: without AVX-512 training is then up to 5 times slower"
    warnings.warn(f"{said}; import segsrgan_core before it.", stacklevel=2)

# Read once: no settings of Keras from other projects; oneDNN also without AVX-512 (training is 4 times as fast).
for name in [name for name in os.environ if name.startswith("KERAS_") or name == "TF_XLA_FLAGS"]:
    del os.environ[name]
os.environ |= {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull, "TF_ENABLE_ONEDNN_OPTS": "1"}
