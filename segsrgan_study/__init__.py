"""The study and the command line around SegSRGAN: cohorts, baselines, statistics, figures, one's own images."""
