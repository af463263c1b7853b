"""What the command line asks of this room, one function a module, found by name."""
