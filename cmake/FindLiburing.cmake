# Finds liburing and defines Liburing::liburing. It is installed beside the package's configuration,
# because whoever links the static library has to find liburing again.
# liburing.pc tells the version; without it (or without pkg-config) the version header does, which
# releases before 2.4 do not have: those pass unchecked.

find_path(Liburing_INCLUDE_DIR liburing.h)
find_library(Liburing_LIBRARY uring)
mark_as_advanced(Liburing_INCLUDE_DIR Liburing_LIBRARY)

if(Liburing_LIBRARY)
  get_filename_component(liburing_dir "${Liburing_LIBRARY}" DIRECTORY)
  set(liburing_pc "${liburing_dir}/pkgconfig/liburing.pc")
  set(liburing_header "${Liburing_INCLUDE_DIR}/liburing/io_uring_version.h")
  if(EXISTS "${liburing_pc}")
    file(STRINGS "${liburing_pc}" liburing_line REGEX "^Version:")
    string(REGEX REPLACE "^Version:[ \t]*" "" Liburing_VERSION "${liburing_line}")
  elseif(EXISTS "${liburing_header}")
    file(STRINGS "${liburing_header}" liburing_lines REGEX "VERSION_(MAJOR|MINOR)[ \t]+[0-9]+")
    string(REGEX REPLACE ".*MAJOR[ \t]+([0-9]+).*MINOR[ \t]+([0-9]+).*" "\\1.\\2"
      Liburing_VERSION "${liburing_lines}")
  else()
    set(Liburing_VERSION "${Liburing_FIND_VERSION}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Liburing
  REQUIRED_VARS Liburing_LIBRARY Liburing_INCLUDE_DIR
  VERSION_VAR Liburing_VERSION)

if(Liburing_FOUND AND NOT TARGET Liburing::liburing)
  add_library(Liburing::liburing UNKNOWN IMPORTED)
  set_target_properties(Liburing::liburing PROPERTIES
    IMPORTED_LOCATION "${Liburing_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${Liburing_INCLUDE_DIR}")
endif()
