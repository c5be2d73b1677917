"""What the notebooks `explore_*` and `demo_*` show: pages of controls and pictures that change no result."""
