"""What is run beside the stages of the study: networks of other cohorts."""
