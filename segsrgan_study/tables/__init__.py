"""Tables of the paper, from the results as JSON to HTML and LaTeX."""
