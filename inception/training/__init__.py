"""Training InceptionV1 on labelled photos: `python -m inception train`."""
