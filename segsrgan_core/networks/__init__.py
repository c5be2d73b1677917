"""The Keras layers and models: generators and critic."""
