"""The method, drawn on the user's own picture: one HTML page, from the functions that training and detection use."""
