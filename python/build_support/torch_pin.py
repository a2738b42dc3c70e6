"""What the package depends on: the torch that it is built against, found in the environment it goes into, and numpy."""

import pathlib
import re
import site
import sys
import sysconfig


def torch_folder():
    """The torch of this environment; a build in isolation hides it from `import`, not from the disk."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = [sysconfig.get_path("purelib"), f"{sys.prefix}/lib/{version}/site-packages", f"{sys.prefix}/lib/{version}/dist-packages",
              f"/usr/lib/python3/dist-packages", f"/usr/local/lib/{version}/dist-packages", site.getusersitepackages(), *sys.path]
    for place in places:
        folder = pathlib.Path(place) / "torch"
        if (folder / "version.py").exists():
            return folder
    raise RuntimeError("pathkernel is built against the torch of the environment it is installed into, and this one has none; "
                       "first: pip install torch==2.13.0")


def torch_version():
    found = re.search(r"__version__ = '([0-9.]+)", (torch_folder() / "version.py").read_text())
    if not found:
        raise RuntimeError(f"{torch_folder()}/version.py does not say which torch this is; install torch==2.13.0 again")
    return found.group(1)


def dynamic_metadata(field, settings=None):
    if field != "dependencies" or settings:
        raise ValueError(f"torch_pin gives dependencies, without settings; it was asked for {field}")
    return [f"torch=={torch_version()}", "numpy>=2,<3"]


if __name__ == "__main__":
    print(torch_folder())
