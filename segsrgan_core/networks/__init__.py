"""Generators and critic, and layers and optimizers that Keras lacks or has only in a slow form."""
