"""The program: `corpusmill`, and `python -m corpusmill`."""


def main() -> None:
    """Entry point of the console script. Nothing beside the data is imported, whatever it is called."""
    from corpusmill.pipelines.run.engines.isolation import leave_working_directory

    leave_working_directory()  # before anything else is imported
    from corpusmill.pipelines.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
