"""Ablations: short trainings that each change one setting (`ablations/ablations.yaml`)."""
