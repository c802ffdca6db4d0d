"""The parts that the screens share."""
