"""Files that other libraries write, for the C++ tests to read (tests/data/*_test.cc). Called by scripts/test.sh."""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.lib import format as npy
from safetensors.torch import save_file

to = Path(sys.argv[1])
to.mkdir(parents=True, exist_ok=True)

names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
tensors = {name: (torch.arange(6) % 5).to(getattr(torch, name)).reshape(2, 3) for name in names}
save_file(tensors | {"scalar": torch.ones(()), "empty": torch.empty(0, 3)}, to / "from_python.safetensors", {"format": "pt"})

array = np.arange(24).reshape(2, 3, 4)
for code in "f2 f4 f8 i1 i2 i4 i8 u1 b1".split():
    values = array % 2 if code == "b1" else array
    np.save(to / f"c_{code}.npy", values.astype(code))
    np.save(to / f"fortran_{code}.npy", np.asfortranarray(values.astype(code)))
for version in ((1, 0), (2, 0), (3, 0)):
    with open(to / f"version_{version[0]}.npy", "wb") as file:
        npy.write_array(file, array.astype("f4"), version)
np.save(to / "scalar.npy", np.float64(2.5))
np.save(to / "vector.npy", np.arange(3))
np.save(to / "empty.npy", np.zeros((0, 3), "f4"))
np.save(to / "big_endian.npy", array.astype(">f4"))
np.save(to / "complex.npy", array.astype("c8"))
np.save(to / "records.npy", np.zeros(3, [("a", "f4"), ("b", "i4")]))
