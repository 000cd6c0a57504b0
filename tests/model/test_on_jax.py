"""The equations, and one epoch of training, on the JAX backend: the same tests in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_equations_and_one_epoch_on_jax():
    settings = {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # nearly all the time goes into compiling
    }
    chosen = ["test_losses.py", "test_gfrl.py", "test_mrlm.py::test_one_epoch_on_any_backend"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(str(HERE / name) for name in chosen)]
    command += ["-k", "not sampled_"]  # slow one operation at a time; the epoch uses the sampled heads
    environment = {**os.environ, **settings}
    done = subprocess.run(command, env=environment, cwd=HERE.parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "35 passed" in done.stdout  # a file that collected nothing would pass too
