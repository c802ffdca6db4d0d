"""What a studio does besides running jobs."""
