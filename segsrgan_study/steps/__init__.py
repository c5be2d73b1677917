"""What the notebooks of the study call, one file a stage: prepare, fit, evaluate, measure, draw."""
