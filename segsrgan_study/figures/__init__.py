"""The figures of the paper, drawn from the tables in results/: each `draw` returns one, and its plotted values."""
