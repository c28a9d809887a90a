"""Streets as a camera in a car sees them, drawn from random numbers."""
