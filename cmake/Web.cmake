# The pages' programs: web/ bundled by esbuild into one file each, and those written into the library as text, so that the
# installed program needs no files beside it. Needs node and npm at build time only.
find_program(NPM npm REQUIRED)

set(WEB_PAGES report theorem audit spectrum)  # PAGE/PAGE.ts becomes PAGE_program (explain/html.h)
set(WEB_SOURCE ${CMAKE_SOURCE_DIR}/web)
set(WEB_BUILD ${CMAKE_BINARY_DIR}/web)
set(WEB_INSTALLED ${WEB_SOURCE}/node_modules/.package-lock.json)
set(WEB_ENTRIES)
set(WEB_BUNDLES)
set(WEB_FILES ${WEB_SOURCE}/common/*.ts ${WEB_SOURCE}/common/*.css)
foreach(page ${WEB_PAGES})
  list(APPEND WEB_ENTRIES ${page}=${page}/${page}.ts)
  list(APPEND WEB_BUNDLES ${WEB_BUILD}/${page}.js)
  list(APPEND WEB_FILES ${WEB_SOURCE}/${page}/*.ts ${WEB_SOURCE}/${page}/*.css)
endforeach()
file(GLOB_RECURSE WEB_SOURCES CONFIGURE_DEPENDS ${WEB_FILES})

add_custom_command(
  OUTPUT ${WEB_INSTALLED}
  COMMAND ${NPM} ci --silent --no-audit --no-fund
  COMMAND ${CMAKE_COMMAND} -E touch ${WEB_INSTALLED}
  WORKING_DIRECTORY ${WEB_SOURCE}
  DEPENDS ${WEB_SOURCE}/package.json ${WEB_SOURCE}/package-lock.json
  COMMENT "Installing what the pages are built with"
  VERBATIM)

add_custom_command(
  OUTPUT ${WEB_BUNDLES}
  COMMAND node_modules/.bin/esbuild ${WEB_ENTRIES} --bundle --minify
          --target=es2020 --charset=ascii --loader:.css=text --legal-comments=inline --log-level=warning --outdir=${WEB_BUILD}
  WORKING_DIRECTORY ${WEB_SOURCE}
  DEPENDS ${WEB_SOURCES} ${WEB_INSTALLED} ${WEB_SOURCE}/tsconfig.json
  COMMENT "Bundling the pages"
  VERBATIM)

add_custom_command(
  OUTPUT ${WEB_BUILD}/programs.cpp
  COMMAND ${CMAKE_COMMAND} "-DPAGES=${WEB_PAGES}" -DBUNDLES=${WEB_BUILD} -DOUTPUT=${WEB_BUILD}/programs.cpp -P ${CMAKE_SOURCE_DIR}/cmake/embed_programs.cmake
  DEPENDS ${WEB_BUNDLES} ${CMAKE_SOURCE_DIR}/cmake/embed_programs.cmake
  VERBATIM)

target_sources(pathkernel PRIVATE ${WEB_BUILD}/programs.cpp)
