# Finds what the library needs and gives it the target names that the rest of the build uses:
# Boost::headers, Threads::Threads, and on Linux Liburing::liburing. Nothing is downloaded.
# The targets are global, so that a parent project that links fairway::fairway sees them too.

set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")

# A cross build may take header-only packages from the build machine, whose /usr/include as a whole
# must never reach the cross compiler: one symbolic link a package keeps the rest out.
function(fairway_borrow_headers package header target)
  find_path(FAIRWAY_HOST_${package}_DIR "${package}/${header}"
    PATHS /usr/include /usr/local/include NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
  if(NOT FAIRWAY_HOST_${package}_DIR)
    message(FATAL_ERROR "The headers of ${package} were not found on this machine.")
  endif()
  set(borrowed "${PROJECT_BINARY_DIR}/borrowed_headers/${package}")
  file(MAKE_DIRECTORY "${borrowed}")
  file(CREATE_LINK "${FAIRWAY_HOST_${package}_DIR}/${package}" "${borrowed}/${package}" SYMBOLIC)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE "${borrowed}")
endfunction()

if(NOT TARGET Boost::headers)
  if(CMAKE_CROSSCOMPILING)
    find_package(Boost 1.81 QUIET)
    if(NOT Boost_FOUND)
      fairway_borrow_headers(boost version.hpp Boost::headers)
    endif()
  else()
    find_package(Boost 1.81 REQUIRED)
  endif()
endif()

find_package(Threads REQUIRED)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  find_package(Liburing 2.3 REQUIRED)
endif()
