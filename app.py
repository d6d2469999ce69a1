"""Start InceptionLens: `python app.py`, or through Hugging Face Spaces."""

from inception.app import main

if __name__ == "__main__":
    main()
