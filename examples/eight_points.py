"""Files for the picture of the theorem: python examples/eight_points.py FOLDER

grid.npy                  161 values of x, the queries
initial.safetensors       weights of mlp:1-32-1 before training

PyTorch's own initial weights of a network with one input give a kernel that is nearly the same everywhere, and contributions a
hundred times as large as what they add up to. Here every hidden unit switches at a place of its own: tanh(2.5 (x − t_j)).
"""
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
units, steepness, size = 32, 2.5, 0.7
random = np.random.default_rng(1)
places = np.linspace(-3.4, 3.4, units)
inner = steepness * random.choice([-1.0, 1.0], units)
outer = size * np.tile([1.0, -1.0], units // 2) * np.sign(inner) + random.normal(0, 0.15, units)  # neighbours nearly cancel
save_file(
    {"fc1.weight": inner[:, None], "fc1.bias": -inner * places, "fc2.weight": outer[None, :], "fc2.bias": np.array([-size])},
    folder / "initial.safetensors",
)
np.save(folder / "grid.npy", np.linspace(-3.2, 3.2, 161)[:, None])
