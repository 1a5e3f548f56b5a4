# Every public header compiles by itself, also when included twice: one generated source a header.
# The list is read from the directory, so that no header can be forgotten.

file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
  "${PROJECT_SOURCE_DIR}/include/*.hpp")
add_library(headers_alone OBJECT)
foreach(header IN LISTS headers)
  string(MAKE_C_IDENTIFIER "${header}" name)
  set(source "${CMAKE_CURRENT_BINARY_DIR}/headers_alone/${name}.cpp")
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include <${header}>\n#include <${header}>\n")
  target_sources(headers_alone PRIVATE "${source}")
endforeach()
set_target_properties(headers_alone PROPERTIES UNITY_BUILD OFF)
target_link_libraries(headers_alone PRIVATE fairway::fairway)
fairway_warnings(headers_alone)
# Nothing of it runs: no time is spent on optimising.
target_compile_options(headers_alone PRIVATE $<$<CXX_COMPILER_ID:GNU,Clang>:-O0>)
