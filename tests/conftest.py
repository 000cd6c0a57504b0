"""Every test computes with the kernels that the package chooses, whatever it imports first."""

import mrlm_core  # noqa: F401
