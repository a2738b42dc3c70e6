# LibTorch from the torch wheel in .venv (or from TORCH_ROOT, the folder that `import torch` comes from).
#
# The wheel's own TorchConfig.cmake asks for the CUDA toolkit wherever the wheel was built with CUDA, even to link programs that
# never call it. Everything this project needs of it is below.
#
#   TORCH_INCLUDE_DIRS, TORCH_LIBRARIES
#   TORCH_INSTALL_PREFIX: the folder of the torch package

file(GLOB _torch_in_venv LIST_DIRECTORIES true ${CMAKE_CURRENT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
set(_torch_places ${TORCH_ROOT} ${_torch_in_venv})

find_path(TORCH_INCLUDE ATen/core/Tensor.h PATHS ${_torch_places} PATH_SUFFIXES include NO_DEFAULT_PATH)
set(_torch_libraries)
foreach(name torch torch_cpu c10)
  find_library(TORCH_LIBRARY_${name} ${name} PATHS ${_torch_places} PATH_SUFFIXES lib NO_DEFAULT_PATH)
  list(APPEND _torch_libraries TORCH_LIBRARY_${name})
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Torch
  REQUIRED_VARS ${_torch_libraries} TORCH_INCLUDE
  REASON_FAILURE_MESSAGE "Run `make setup`, which puts torch into .venv, or pass -DTORCH_ROOT=<folder of the torch package>.")

set(TORCH_INCLUDE_DIRS ${TORCH_INCLUDE} ${TORCH_INCLUDE}/torch/csrc/api/include)
get_filename_component(TORCH_INSTALL_PREFIX ${TORCH_INCLUDE} DIRECTORY)
# libtorch holds no code: linking it all the same is what loads the CUDA half, where there is one. What that half needs in turn is
# found by its own run path at load time, not by us at link time.
set(TORCH_LIBRARIES -Wl,--no-as-needed ${TORCH_LIBRARY_torch} -Wl,--as-needed ${TORCH_LIBRARY_torch_cpu} ${TORCH_LIBRARY_c10}
    -Wl,--allow-shlib-undefined)
mark_as_advanced(TORCH_INCLUDE ${_torch_libraries})
