"""Start InceptionLens: `python app.py`, or through Hugging Face Spaces."""

from inception.runtime.interrupt import install

if __name__ == "__main__":
    install()  # before the imports that take long

    from inception.cli.serve import main

    main()
