"""What the machine and its operating system give and refuse. Imports the contract alone."""
