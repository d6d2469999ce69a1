"""Bad and odd photo files, made at each run: `python -m support.corpus.cases FOLDER` writes them."""
