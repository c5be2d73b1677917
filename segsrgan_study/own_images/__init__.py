"""One's own images: what is read, what is written beside the results, and the page to look at."""
