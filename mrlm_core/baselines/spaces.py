"""What several models start from and what their searches try, so that none is held to less than another."""

DIMS = ("choice", [16, 32, 64, 128, 256])  # lengths of the vectors of users and items

# Factors of weighted least squares, of iALS and of what is built on it. With the strength in proportion to ratings and
# catalogue (exponent 1) none was good on both of iot-shop's 500 items and MovieLens latest-small's 10,000.
FACTOR_L2, UNOBSERVED_WEIGHT, FREQUENCY_EXPONENT, FACTOR_EPOCHS = 0.3, 0.1, 0.5, 10
FACTOR_L2S = ("float", 0.03, 3.0, True)
UNOBSERVED_WEIGHTS = ("float", 0.01, 1.0, True)

# Defaults of models that read texts. A step reads nearly all texts whatever its size, and what they learn goes by the
# pairs they have seen, not by the steps.
LARGE_BATCHES = {"batch_size": 32_768, "negatives": 4}
