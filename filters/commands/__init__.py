"""What the command line asks of this room, one command a module."""
