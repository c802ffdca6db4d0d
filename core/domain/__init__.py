"""The words of the studio, as frozen values: they import the errors and each other, nothing else."""
