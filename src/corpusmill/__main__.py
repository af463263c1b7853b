"""`python -m corpusmill`."""

from corpusmill.pipelines.cli.main import main

if __name__ == "__main__":
    main()
