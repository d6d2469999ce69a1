"""Start InceptionLens: `python app.py`, or through Hugging Face Spaces."""

from inception.interrupt import install

if __name__ == "__main__":
    install()  # before the imports that take long

    from inception.app import main

    main()
