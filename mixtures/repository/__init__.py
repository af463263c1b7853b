"""Files of one repository in the order of their dependencies: imports, what they mean, and the order."""
