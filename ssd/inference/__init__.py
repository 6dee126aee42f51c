"""A model made ready to predict, and the device and number format it computes in."""
