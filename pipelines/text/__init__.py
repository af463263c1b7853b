"""What texts share: bounds, character classes, compiled kernels. Imports the contract and the system."""
