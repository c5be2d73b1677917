"""Which images there are: manifests, presets, downloads and the phantoms of the embedded cohort."""
