# LibTorch from the torch wheel: in TORCH_ROOT (the folder that `import torch` comes from), else that of Python3_EXECUTABLE, else in .venv
# beside the project's CMakeLists.txt. Installed beside pathkernelConfig.cmake, which looks in the torch that the library was built with first.
#
# The wheel's own TorchConfig.cmake asks for the CUDA toolkit wherever the wheel was built with CUDA, even to link programs that
# never call it. Everything this project needs of it is below.
#
#   Torch::Torch          headers, libtorch_cpu and libc10, and -DNDEBUG: a struct of torch has another layout without it, so
#                         every unit that sees torch's headers is compiled as the wheel was
#   TORCH_LIBRARY_torch   libtorch. It holds no code; linking it all the same loads the CUDA half, where there is one
#   TORCH_INSTALL_PREFIX  the folder of the torch package
#   Torch_VERSION         "2.13.0"

file(GLOB _torch_in_venv LIST_DIRECTORIES true ${CMAKE_CURRENT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
if(Python3_EXECUTABLE AND NOT TORCH_ROOT)
  execute_process(COMMAND ${Python3_EXECUTABLE} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
                  OUTPUT_VARIABLE _torch_of_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(SKBUILD AND NOT TORCH_ROOT AND NOT _torch_of_python)  # a build in isolation
  execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/python/build_support/torch_pin.py OUTPUT_VARIABLE _torch_of_python OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
set(_torch_places ${TORCH_ROOT} ${_torch_of_python} ${_torch_in_venv})

find_path(TORCH_INCLUDE ATen/core/Tensor.h PATHS ${_torch_places} PATH_SUFFIXES include NO_DEFAULT_PATH)
set(_torch_libraries)
foreach(name torch torch_cpu c10)
  find_library(TORCH_LIBRARY_${name} ${name} PATHS ${_torch_places} PATH_SUFFIXES lib NO_DEFAULT_PATH)
  list(APPEND _torch_libraries TORCH_LIBRARY_${name})
endforeach()
if(TORCH_INCLUDE)
  file(STRINGS ${TORCH_INCLUDE}/torch/headeronly/version.h _torch_version REGEX "^ *\"[0-9.]+\"$")
  string(REGEX REPLACE "[\" ]" "" Torch_VERSION "${_torch_version}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Torch
  REQUIRED_VARS ${_torch_libraries} TORCH_INCLUDE VERSION_VAR Torch_VERSION
  REASON_FAILURE_MESSAGE "Pass -DTORCH_ROOT=<folder of the torch package>, or run `make setup`, which puts torch into .venv.")
mark_as_advanced(TORCH_INCLUDE ${_torch_libraries})

get_filename_component(TORCH_INSTALL_PREFIX ${TORCH_INCLUDE} DIRECTORY)
if(NOT TARGET Torch::Torch)
  add_library(Torch::Torch INTERFACE IMPORTED)
  target_include_directories(Torch::Torch INTERFACE ${TORCH_INCLUDE} ${TORCH_INCLUDE}/torch/csrc/api/include)
  target_compile_definitions(Torch::Torch INTERFACE NDEBUG)
  target_link_libraries(Torch::Torch INTERFACE ${TORCH_LIBRARY_torch_cpu} ${TORCH_LIBRARY_c10})
  # What libtorch_cuda needs in turn is found by its own run path at load time, not by us at link time.
  target_link_options(Torch::Torch INTERFACE LINKER:--allow-shlib-undefined)
endif()
