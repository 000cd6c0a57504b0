"""When a training ends: the same for MRLM, its initial vectors and every baseline. Gap G45.

Where an epoch is few steps, a model stays for a dozen of them at what is popular before it tells users apart: with
less patience some ended there, xDeepFM on iot-shop at half the Recall that it comes to.
"""

PATIENCE = 20  # epochs without a better validation score
MOST_EPOCHS = 300  # so many that validation comes first
