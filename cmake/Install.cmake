# cmake --install: the library, its headers, the program, and what find_package(pathkernel) reads. The installed library finds the
# torch it was built with by its run path; a process that has loaded another copy of the same torch already uses that one.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(PATHKERNEL_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/pathkernel)
get_filename_component(TORCH_LIBRARY_DIR ${TORCH_LIBRARY_torch_cpu} DIRECTORY)
set_target_properties(pathkernel PROPERTIES INSTALL_RPATH ${TORCH_LIBRARY_DIR}
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
file(RELATIVE_PATH BIN_TO_LIB /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${CMAKE_INSTALL_LIBDIR})
set_target_properties(pathkernel_program PROPERTIES INSTALL_RPATH "$ORIGIN/${BIN_TO_LIB};${TORCH_LIBRARY_DIR}")

install(TARGETS pathkernel_program)
install(TARGETS pathkernel EXPORT pathkernelTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# Headers that are the library's own affair stay here: each includes what a user need not have, or is of no use without its room.
install(DIRECTORY pathkernel DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h"
  PATTERN precompiled.h EXCLUDE
  PATTERN core/json.h EXCLUDE
  PATTERN explain/looks.h EXCLUDE
  PATTERN record/format.h EXCLUDE
  PATTERN record/database.h EXCLUDE
  PATTERN tangent/capture_state.h EXCLUDE
  PATTERN tangent/rules EXCLUDE
  PATTERN tangent/kernels/kink.h EXCLUDE
  PATTERN tangent/kernels/max_pool.h EXCLUDE
  PATTERN tangent/kernels/convolution.h EXCLUDE
  PATTERN tangent/kernels/vectorised.h EXCLUDE
  PATTERN spectrum/numerics EXCLUDE
  PATTERN explain/html.h EXCLUDE)

install(EXPORT pathkernelTargets NAMESPACE pathkernel:: DESTINATION ${PATHKERNEL_CMAKE_DIR})
configure_package_config_file(cmake/pathkernelConfig.cmake.in ${CMAKE_BINARY_DIR}/pathkernelConfig.cmake
  INSTALL_DESTINATION ${PATHKERNEL_CMAKE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/pathkernelConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/pathkernelConfig.cmake ${CMAKE_BINARY_DIR}/pathkernelConfigVersion.cmake cmake/FindTorch.cmake
  DESTINATION ${PATHKERNEL_CMAKE_DIR})
install(FILES README.md LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})
