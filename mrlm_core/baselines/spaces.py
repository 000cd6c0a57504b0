"""What the searches of several models try, so that none is held to less than another."""

DIMS = ("choice", [16, 32, 64, 128, 256])  # lengths of the vectors of users and items
