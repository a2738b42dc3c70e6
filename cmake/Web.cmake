# The pages' programs: web/ bundled by esbuild into one file each, and those written into the library as text, so that the
# installed program needs no files beside it. Needs node and npm at build time only.
find_program(NPM npm REQUIRED)

set(WEB_SOURCE ${CMAKE_SOURCE_DIR}/web)
set(WEB_BUILD ${CMAKE_BINARY_DIR}/web)
set(WEB_INSTALLED ${WEB_SOURCE}/node_modules/.package-lock.json)
file(GLOB_RECURSE WEB_SOURCES CONFIGURE_DEPENDS
     ${WEB_SOURCE}/common/*.ts ${WEB_SOURCE}/common/*.css ${WEB_SOURCE}/report/*.ts ${WEB_SOURCE}/report/*.css
     ${WEB_SOURCE}/theorem/*.ts ${WEB_SOURCE}/theorem/*.css ${WEB_SOURCE}/spectrum/*.ts ${WEB_SOURCE}/spectrum/*.css)

add_custom_command(
  OUTPUT ${WEB_INSTALLED}
  COMMAND ${NPM} ci --silent --no-audit --no-fund
  COMMAND ${CMAKE_COMMAND} -E touch ${WEB_INSTALLED}
  WORKING_DIRECTORY ${WEB_SOURCE}
  DEPENDS ${WEB_SOURCE}/package.json ${WEB_SOURCE}/package-lock.json
  COMMENT "Installing what the pages are built with"
  VERBATIM)

add_custom_command(
  OUTPUT ${WEB_BUILD}/report.js ${WEB_BUILD}/theorem.js ${WEB_BUILD}/spectrum.js
  COMMAND node_modules/.bin/esbuild report=report/report.ts theorem=theorem/theorem.ts spectrum=spectrum/spectrum.ts --bundle --minify
          --target=es2020 --charset=ascii --loader:.css=text --legal-comments=inline --log-level=warning --outdir=${WEB_BUILD}
  WORKING_DIRECTORY ${WEB_SOURCE}
  DEPENDS ${WEB_SOURCES} ${WEB_INSTALLED} ${WEB_SOURCE}/tsconfig.json
  COMMENT "Bundling the pages"
  VERBATIM)

add_custom_command(
  OUTPUT ${WEB_BUILD}/programs.cpp
  COMMAND ${CMAKE_COMMAND} -DREPORT=${WEB_BUILD}/report.js -DTHEOREM=${WEB_BUILD}/theorem.js -DSPECTRUM=${WEB_BUILD}/spectrum.js -DOUTPUT=${WEB_BUILD}/programs.cpp
          -P ${CMAKE_SOURCE_DIR}/cmake/embed_programs.cmake
  DEPENDS ${WEB_BUILD}/report.js ${WEB_BUILD}/theorem.js ${WEB_BUILD}/spectrum.js ${CMAKE_SOURCE_DIR}/cmake/embed_programs.cmake
  VERBATIM)

target_sources(pathkernel PRIVATE ${WEB_BUILD}/programs.cpp)
