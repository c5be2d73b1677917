"""SegSRGAN: super-resolution and segmentation of thick-slice neonatal brain MRI in one network."""

__version__ = "0.1.0"
