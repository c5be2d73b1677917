"""Speed and memory, compared with the published design on one machine."""
