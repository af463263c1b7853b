"""What several filters share that is not a kernel: limits by language."""
